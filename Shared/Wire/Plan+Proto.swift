import CProtobufC
import ClusterModel
import ClusterProto

extension Arena {
  private func edge(_ edge: Edge) -> UnsafeMutablePointer<Tutti__V1__Edge> {
    let message = unsafe make(tutti__v1__edge__init)
    unsafe message.pointee.from = text(edge.from.name)
    unsafe message.pointee.name = text(edge.name)
    unsafe message.pointee.use = text(edge.use == .draft ? "" : edge.use.rawValue)
    unsafe message.pointee.weight_milli =
      edge.weightMilli == 1_000 ? 0 : UInt32(clamping: edge.weightMilli)
    return unsafe message
  }

  private func contract(
    _ contract: OutputContract
  ) -> UnsafeMutablePointer<Tutti__V1__OutputContract> {
    let message = unsafe make(tutti__v1__output_contract__init)
    switch contract {
    case .text: unsafe message.pointee.kind = text("text")
    case .json(let schema):
      unsafe message.pointee.kind = text("json")
      unsafe message.pointee.schema = text(schema)
    case .choice(let words):
      unsafe message.pointee.kind = text("choice")
      unsafe message.pointee.n_words = words.count
      unsafe message.pointee.words = array(words) { unsafe text($0) }
    case .vector: unsafe message.pointee.kind = text("vector")
    }
    return unsafe message
  }

  func planTask(_ task: PlanTask) -> UnsafeMutablePointer<Tutti__V1__PlanTask> {
    let message = unsafe make(tutti__v1__plan_task__init)
    unsafe message.pointee.id = text(task.id.name)
    unsafe message.pointee.role = text(task.role.rawValue)
    unsafe message.pointee.instruction = text(task.instruction)
    unsafe message.pointee.n_inputs = task.inputs.count
    unsafe message.pointee.inputs = array(task.inputs) { unsafe edge($0) }
    unsafe message.pointee.merge = text(task.merge.rawValue)
    unsafe message.pointee.on_failure = text(task.onFailure.rawValue)
    unsafe message.pointee.quorum = UInt32(wire: task.quorum)
    unsafe message.pointee.model = text(task.model?.name ?? "")
    unsafe message.pointee.n_alternatives = task.alternatives.count
    unsafe message.pointee.alternatives = array(task.alternatives) { unsafe text($0.name) }
    unsafe message.pointee.max_tokens = UInt32(wire: task.maxTokens)
    unsafe message.pointee.deadline_ms = task.deadline?.wireMilliseconds ?? 0
    unsafe message.pointee.temperature_milli = Int32(clamping: task.temperatureMilli ?? -1)
    unsafe message.pointee.seed = task.seed
    if task.contract != .text { unsafe message.pointee.contract = contract(task.contract) }
    unsafe message.pointee.deadline_share = UInt32(wire: task.deadlineShare)
    unsafe message.pointee.profile = text(task.profile?.rawValue ?? "")
    unsafe message.pointee.data_policy = text(task.dataPolicy?.rawValue ?? "")
    unsafe message.pointee.reads_conversation = task.readsConversation ? 1 : 0
    unsafe message.pointee.n_documents = task.documents.count
    unsafe message.pointee.documents = array(task.documents) { unsafe text($0) }
    unsafe message.pointee.document_part = UInt32(wire: task.documentPart?.number)
    unsafe message.pointee.document_parts = UInt32(wire: task.documentPart?.count)
    unsafe message.pointee.expansion = text(task.expansion ?? "")
    unsafe message.pointee.mark = text(task.mark ?? "")
    unsafe message.pointee.asking = text(task.asking == .role ? "" : task.asking.rawValue)
    unsafe message.pointee.stage = UInt32(clamping: task.stage)
    unsafe message.pointee.kind = text(task.kind?.rawValue ?? "")
    return unsafe message
  }

  func plan(_ plan: Plan) -> UnsafeMutablePointer<Tutti__V1__Plan> {
    let message = unsafe make(tutti__v1__plan__init)
    unsafe message.pointee.id = text(plan.id.name)
    unsafe message.pointee.pattern = text(plan.pattern)
    unsafe message.pointee.n_tasks = plan.tasks.count
    unsafe message.pointee.tasks = array(plan.tasks) { unsafe planTask($0) }
    unsafe message.pointee.sink = text(plan.sink.name)
    unsafe message.pointee.seed = plan.seed
    unsafe message.pointee.deadline_ms = plan.deadline.wireMilliseconds
    unsafe message.pointee.reason = text(plan.reason)
    unsafe message.pointee.expansions = UInt32(clamping: plan.expansions)
    if let estimate = plan.estimate { unsafe message.pointee.estimate = self.estimate(estimate) }
    return unsafe message
  }

  private func estimate(
    _ estimate: PlanEstimate
  ) -> UnsafeMutablePointer<Tutti__V1__PlanEstimate> {
    let message = unsafe make(tutti__v1__plan_estimate__init)
    unsafe message.pointee.decision = text(estimate.decision.rawValue)
    unsafe message.pointee.direct = way(estimate.direct)
    unsafe message.pointee.split = way(estimate.split)
    return unsafe message
  }

  private func way(
    _ way: PlanEstimate.Way
  ) -> UnsafeMutablePointer<Tutti__V1__EstimatedWay> {
    let message = unsafe make(tutti__v1__estimated_way__init)
    unsafe message.pointee.milliseconds = UInt64(clamping: way.milliseconds)
    unsafe message.pointee.writing_milliseconds = UInt64(clamping: way.writingMilliseconds)
    unsafe message.pointee.tokens = UInt64(clamping: way.tokens)
    return unsafe message
  }
}

extension OutputContract {
  /// Reads a contract. If none was sent, the contract is text.
  init(wire pointer: UnsafeMutablePointer<Tutti__V1__OutputContract>?) throws(WireError) {
    guard let message = unsafe pointer?.pointee else {
      self = .text
      return
    }
    switch try unsafe String(wire: message.kind, "OutputContract.kind") {
    case "text": self = .text
    case "json":
      self = .json(schema: try unsafe String(wire: message.schema, "OutputContract.schema"))
    case "choice":
      self = .choice(try unsafe texts(message.n_words, message.words, "OutputContract.words"))
    case "vector": self = .vector
    default: throw .unknownValue(field: "OutputContract.kind")
    }
  }
}

extension PlanTask {
  init(wire message: Tutti__V1__PlanTask) throws(WireError) {
    let model = try unsafe String(wire: message.model, "PlanTask.model")
    let deadline = unsafe message.deadline_ms
    let temperature = Int(unsafe message.temperature_milli)
    let expansion = try unsafe String(wire: message.expansion, "PlanTask.expansion")
    self.init(
      id: TaskID(try unsafe String(wire: message.id, "PlanTask.id")),
      role: try unsafe AgentRole(wire: message.role, "PlanTask.role"),
      instruction: try unsafe String(wire: message.instruction, "PlanTask.instruction"),
      inputs: try unsafe elements(message.n_inputs, message.inputs) { edge throws(WireError) in
        Edge(
          from: TaskID(try unsafe String(wire: edge.from, "Edge.from")),
          name: try unsafe String(wire: edge.name, "Edge.name"),
          use: try unsafe EdgeUse?(wire: edge.use, "Edge.use") ?? .draft,
          weightMilli: Int?(wire: unsafe edge.weight_milli) ?? 1_000)
      },
      merge: try unsafe MergeRule(wire: message.merge, "PlanTask.merge"),
      contract: try unsafe OutputContract(wire: message.contract),
      onFailure: try unsafe FailureRule(wire: message.on_failure, "PlanTask.on_failure"),
      quorum: Int?(wire: unsafe message.quorum), model: model.isEmpty ? nil : ModelID(model),
      alternatives: try unsafe texts(
        message.n_alternatives, message.alternatives, "PlanTask.alternatives"
      ).map { ModelID($0) },
      maxTokens: Int?(wire: unsafe message.max_tokens),
      deadline: deadline == 0 ? nil : .milliseconds(deadline),
      deadlineShare: Int?(wire: unsafe message.deadline_share),
      temperatureMilli: temperature < 0 ? nil : temperature,
      profile: try unsafe SamplingProfile?(wire: message.profile, "PlanTask.profile"),
      seed: unsafe message.seed,
      dataPolicy: try unsafe DataPolicy?(wire: message.data_policy, "PlanTask.data_policy"),
      readsConversation: unsafe message.reads_conversation != 0,
      documents: try unsafe texts(message.n_documents, message.documents, "PlanTask.documents"),
      documentPart: unsafe message.document_part == 0
        ? nil
        : DocumentPart(
          number: Int(unsafe message.document_part), count: Int(unsafe message.document_parts)),
      expansion: expansion.isEmpty ? nil : expansion,
      mark: unsafe message.mark.len == 0
        ? nil : try unsafe String(wire: message.mark, "PlanTask.mark"),
      asking: try unsafe Asking?(wire: message.asking, "PlanTask.asking") ?? .role,
      stage: Int(unsafe message.stage),
      kind: try unsafe AnswerKind?(wire: message.kind, "PlanTask.kind"))
  }
}

extension Plan {
  init(wire message: Tutti__V1__Plan) throws(WireError) {
    self.init(
      id: PlanID(try unsafe String(wire: message.id, "Plan.id")),
      pattern: try unsafe String(wire: message.pattern, "Plan.pattern"),
      tasks: try unsafe elements(message.n_tasks, message.tasks) { task throws(WireError) in
        try unsafe PlanTask(wire: task)
      },
      sink: TaskID(try unsafe String(wire: message.sink, "Plan.sink")), seed: unsafe message.seed,
      deadline: .milliseconds(unsafe message.deadline_ms),
      reason: try unsafe String(wire: message.reason, "Plan.reason"),
      expansions: Int(unsafe message.expansions),
      estimate: try unsafe PlanEstimate?(wire: message.estimate))
  }
}

extension PlanEstimate? {
  /// `nil` means that no estimate was sent.
  init(wire pointer: UnsafeMutablePointer<Tutti__V1__PlanEstimate>?) throws(WireError) {
    guard let message = unsafe pointer?.pointee else {
      self = nil
      return
    }
    let name = try unsafe String(wire: message.decision, "PlanEstimate.decision")
    guard let decision = PlanEstimate.Decision(rawValue: name) else {
      throw .unknownValue(field: "PlanEstimate.decision")
    }
    self = PlanEstimate(
      decision: decision, direct: unsafe PlanEstimate.Way(wire: message.direct),
      split: unsafe PlanEstimate.Way(wire: message.split))
  }
}

extension PlanEstimate.Way {
  /// Maximum of each value: the milliseconds of a year. Computations with values from other
  /// processes then cannot overflow.
  private static let most = 365 * 24 * 3_600 * 1_000

  init(wire pointer: UnsafeMutablePointer<Tutti__V1__EstimatedWay>?) {
    let message = unsafe pointer?.pointee
    let milliseconds = min(Int(clamping: unsafe message?.milliseconds ?? 0), Self.most)
    self.init(
      milliseconds: milliseconds,
      writingMilliseconds: min(
        Int(clamping: unsafe message?.writing_milliseconds ?? 0), milliseconds),
      tokens: max(1, min(Int(clamping: unsafe message?.tokens ?? 0), Self.most)))
  }
}
