import CProtobufC
import ClusterModel
import ClusterProto

extension Arena {
  func planRequest(_ request: PlanRequest) -> UnsafeMutablePointer<Tutti__V1__PlanRequest> {
    let message = unsafe make(tutti__v1__plan_request__init)
    unsafe message.pointee.pattern = text(request.pattern)
    unsafe message.pointee.query = text(request.query)
    unsafe message.pointee.n_models = request.models.count
    unsafe message.pointee.models = array(request.models) { unsafe text($0.name) }
    unsafe message.pointee.members = UInt32(wire: request.members)
    unsafe message.pointee.rounds = UInt32(wire: request.rounds)
    unsafe message.pointee.quorum = UInt32(wire: request.quorum)
    unsafe message.pointee.seed = request.seed
    unsafe message.pointee.max_tokens = UInt32(wire: request.maxTokens)
    unsafe message.pointee.n_available = request.available.count
    unsafe message.pointee.available = array(request.available) { unsafe text($0.name) }
    unsafe message.pointee.budget_tokens = UInt64(clamping: request.budgetTokens ?? 0)
    unsafe message.pointee.data_policy = text(request.dataPolicy.rawValue)
    return unsafe message
  }

  private func edge(_ edge: Edge) -> UnsafeMutablePointer<Tutti__V1__Edge> {
    let message = unsafe make(tutti__v1__edge__init)
    unsafe message.pointee.from = text(edge.from.name)
    unsafe message.pointee.name = text(edge.name)
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
    unsafe message.pointee.max_tokens = UInt32(wire: task.maxTokens)
    unsafe message.pointee.deadline_ms = task.deadline?.wireMilliseconds ?? 0
    unsafe message.pointee.temperature_milli = Int32(clamping: task.temperatureMilli ?? -1)
    unsafe message.pointee.seed = task.seed
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
    return unsafe message
  }
}

extension PlanRequest {
  init(wire message: Tutti__V1__PlanRequest) throws(WireError) {
    let budget = Int(clamping: unsafe message.budget_tokens)
    self.init(
      pattern: try unsafe String(wire: message.pattern, "PlanRequest.pattern"),
      query: try unsafe String(wire: message.query, "PlanRequest.query"),
      models: try unsafe texts(message.n_models, message.models, "PlanRequest.models")
        .map { ModelID($0) },
      members: Int?(wire: unsafe message.members), rounds: Int?(wire: unsafe message.rounds),
      quorum: Int?(wire: unsafe message.quorum), seed: unsafe message.seed,
      maxTokens: Int?(wire: unsafe message.max_tokens),
      available: try unsafe texts(message.n_available, message.available, "PlanRequest.available")
        .map { ModelID($0) },
      budgetTokens: budget == 0 ? nil : budget,
      dataPolicy: try unsafe DataPolicy(wire: message.data_policy, "PlanRequest.data_policy"))
  }
}

extension PlanTask {
  init(wire message: Tutti__V1__PlanTask) throws(WireError) {
    let model = try unsafe String(wire: message.model, "PlanTask.model")
    let deadline = unsafe message.deadline_ms
    let temperature = Int(unsafe message.temperature_milli)
    self.init(
      id: TaskID(try unsafe String(wire: message.id, "PlanTask.id")),
      role: try unsafe AgentRole(wire: message.role, "PlanTask.role"),
      instruction: try unsafe String(wire: message.instruction, "PlanTask.instruction"),
      inputs: try unsafe elements(message.n_inputs, message.inputs) { edge throws(WireError) in
        Edge(
          from: TaskID(try unsafe String(wire: edge.from, "Edge.from")),
          name: try unsafe String(wire: edge.name, "Edge.name"))
      },
      merge: try unsafe MergeRule(wire: message.merge, "PlanTask.merge"),
      onFailure: try unsafe FailureRule(wire: message.on_failure, "PlanTask.on_failure"),
      quorum: Int?(wire: unsafe message.quorum), model: model.isEmpty ? nil : ModelID(model),
      maxTokens: Int?(wire: unsafe message.max_tokens),
      deadline: deadline == 0 ? nil : .milliseconds(deadline),
      temperatureMilli: temperature < 0 ? nil : temperature, seed: unsafe message.seed)
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
      deadline: .milliseconds(unsafe message.deadline_ms))
  }
}
