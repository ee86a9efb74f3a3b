import CProtobufC
import ClusterModel
import ClusterProto
import Limits

extension Arena {
  func conversation(
    _ conversation: Conversation
  ) -> UnsafeMutablePointer<Tutti__V1__Conversation> {
    let message = unsafe make(tutti__v1__conversation__init)
    unsafe message.pointee.messages_json = bytes(conversation.messagesJSON)
    unsafe message.pointee.n_parameters = conversation.parameters.count
    unsafe message.pointee.parameters = array(conversation.parameters) { parameter in
      let member = unsafe make(tutti__v1__parameter__init)
      unsafe member.pointee.name = text(parameter.name)
      unsafe member.pointee.json = bytes(parameter.json)
      return unsafe member
    }
    return unsafe message
  }

  func usage(_ usage: Usage) -> UnsafeMutablePointer<Tutti__V1__Usage> {
    let message = unsafe make(tutti__v1__usage__init)
    unsafe message.pointee.prompt_tokens = UInt64(clamping: usage.promptTokens)
    unsafe message.pointee.cached_tokens = UInt64(clamping: usage.cachedTokens)
    unsafe message.pointee.completion_tokens = UInt64(clamping: usage.completionTokens)
    unsafe message.pointee.estimated = usage.estimated ? 1 : 0
    return unsafe message
  }

  func terms(
    _ terms: InferenceTerms
  ) -> UnsafeMutablePointer<Tutti__V1__InferenceTerms> {
    let message = unsafe make(tutti__v1__inference_terms__init)
    unsafe message.pointee.race = text(terms.race?.rawValue ?? "")
    unsafe message.pointee.first_token_ms = terms.firstToken?.wireMilliseconds ?? 0
    unsafe message.pointee.inter_token_ms = terms.interToken?.wireMilliseconds ?? 0
    unsafe message.pointee.minimum_rate_milli =
      terms.minimumRate.map { Int32(min(max($0, 0), 1_000_000) * 1_000) } ?? -1
    return unsafe message
  }

  func document(_ document: Document) -> UnsafeMutablePointer<Tutti__V1__Document> {
    let message = unsafe make(tutti__v1__document__init)
    unsafe message.pointee.name = text(document.name)
    unsafe message.pointee.text = text(document.text)
    return unsafe message
  }

  func runTask(_ order: TaskOrder) -> UnsafeMutablePointer<Tutti__V1__RunTask> {
    let message = unsafe make(tutti__v1__run_task__init)
    unsafe message.pointee.plan_id = text(order.plan.name)
    unsafe message.pointee.task = planTask(order.task)
    unsafe message.pointee.conversation = conversation(order.conversation)
    unsafe message.pointee.n_inputs = order.inputs.count
    unsafe message.pointee.inputs = array(order.inputs) { unsafe namedInput($0) }
    unsafe message.pointee.is_sink = order.isSink ? 1 : 0
    unsafe message.pointee.data_policy = text(order.dataPolicy.rawValue)
    unsafe message.pointee.n_avoid_hosts = order.avoidHosts.count
    unsafe message.pointee.avoid_hosts = array(order.avoidHosts) { unsafe text($0.name) }
    unsafe message.pointee.terms = terms(order.terms)
    unsafe message.pointee.n_documents = order.documents.count
    unsafe message.pointee.documents = array(order.documents) { unsafe document($0) }
    unsafe message.pointee.prefix = text(order.prefix)
    unsafe message.pointee.host = text(order.host?.name ?? "")
    unsafe message.pointee.spares_tokens = order.sparesTokens ? 1 : 0
    unsafe message.pointee.is_part = order.isPart ? 1 : 0
    unsafe message.pointee.client = text(order.client)
    unsafe message.pointee.n_host_pools = order.pools.names.count
    unsafe message.pointee.host_pools = array(order.pools.sortedNames) { unsafe text($0) }
    unsafe message.pointee.n_models = order.models.names.count
    unsafe message.pointee.models = array(order.models.sortedNames) { unsafe text($0.name) }
    return unsafe message
  }

  func excerpt(
    _ excerpt: DocumentExcerpt
  ) -> UnsafeMutablePointer<Tutti__V1__DocumentExcerpt> {
    let message = unsafe make(tutti__v1__document_excerpt__init)
    unsafe message.pointee.document = text(excerpt.document)
    unsafe message.pointee.size_bytes = UInt64(clamping: excerpt.bytes)
    unsafe message.pointee.read_bytes = UInt64(clamping: excerpt.readBytes)
    return unsafe message
  }

  func began(_ began: TaskBegan) -> UnsafeMutablePointer<Tutti__V1__TaskBegan> {
    let message = unsafe make(tutti__v1__task_began__init)
    unsafe message.pointee.host = text(began.host.name)
    unsafe message.pointee.model = text(began.model.name)
    unsafe message.pointee.first_token_ms = UInt32(clamping: began.firstTokenMilliseconds)
    unsafe message.pointee.n_excerpts = began.excerpts.count
    unsafe message.pointee.excerpts = array(began.excerpts) { unsafe excerpt($0) }
    return unsafe message
  }

  func delta(_ delta: TaskDelta) -> UnsafeMutablePointer<Tutti__V1__TaskDelta> {
    let message = unsafe make(tutti__v1__task_delta__init)
    unsafe message.pointee.text = text(delta.text)
    unsafe message.pointee.delta_json = bytes(delta.deltaJSON ?? [])
    return unsafe message
  }

  private func paidAttempt(
    _ attempt: PaidAttempt
  ) -> UnsafeMutablePointer<Tutti__V1__PaidAttempt>? {
    let message = unsafe make(tutti__v1__paid_attempt__init)
    unsafe message.pointee.host = text(attempt.host.name)
    unsafe message.pointee.model = text(attempt.model.name)
    unsafe message.pointee.tier = text(attempt.tier.rawValue)
    unsafe message.pointee.tokens = UInt64(clamping: attempt.tokens)
    unsafe message.pointee.outcome = text(attempt.outcome.rawValue)
    return unsafe message
  }

  private func inference(
    _ inference: TaskInference
  ) -> UnsafeMutablePointer<Tutti__V1__TaskInference>? {
    let message = unsafe make(tutti__v1__task_inference__init)
    unsafe message.pointee.model = text(inference.model.name)
    unsafe message.pointee.usage = usage(inference.usage)
    unsafe message.pointee.n_attempts = inference.attempts.count
    unsafe message.pointee.attempts = array(inference.attempts) { unsafe paidAttempt($0) }
    return unsafe message
  }

  func report(_ report: TaskReport) -> UnsafeMutablePointer<Tutti__V1__TaskReport> {
    let message = unsafe make(tutti__v1__task_report__init)
    unsafe message.pointee.host = text(report.host.name)
    unsafe message.pointee.model = text(report.model.name)
    unsafe message.pointee.usage = usage(report.usage)
    unsafe message.pointee.first_token_ms = UInt32(clamping: report.firstTokenMilliseconds)
    unsafe message.pointee.total_ms = UInt32(clamping: report.totalMilliseconds)
    unsafe message.pointee.finish_reason = text(report.finishReason)
    unsafe message.pointee.output = text(report.output)
    unsafe message.pointee.contract_met = report.contractMet ? 1 : 0
    unsafe message.pointee.n_inferences = report.inferences.count
    unsafe message.pointee.inferences = array(report.inferences) { unsafe inference($0) }
    return unsafe message
  }

  func taskEvent(_ event: TaskEvent) -> UnsafeMutablePointer<Tutti__V1__TaskEvent> {
    let message = unsafe make(tutti__v1__task_event__init)
    switch event {
    case .began(let value):
      unsafe message.pointee.event_case = TUTTI__V1__TASK_EVENT__EVENT_BEGAN
      unsafe message.pointee.began = began(value)
    case .delta(let value):
      unsafe message.pointee.event_case = TUTTI__V1__TASK_EVENT__EVENT_DELTA
      unsafe message.pointee.delta = delta(value)
    case .finished(let value):
      unsafe message.pointee.event_case = TUTTI__V1__TASK_EVENT__EVENT_FINISHED
      unsafe message.pointee.finished = report(value)
    }
    return unsafe message
  }
}

extension Conversation {
  init(wire message: Tutti__V1__Conversation) throws(WireError) {
    self.init(
      messagesJSON: unsafe [UInt8](wire: message.messages_json),
      parameters: try unsafe elements(message.n_parameters, message.parameters) {
        member throws(WireError) in
        Parameter(
          name: try unsafe String(wire: member.name, "Parameter.name"),
          json: unsafe [UInt8](wire: member.json))
      })
  }
}

extension Usage {
  init(wire message: Tutti__V1__Usage) throws(WireError) {
    self.init(
      promptTokens: Self.bounded(Int(clamping: unsafe message.prompt_tokens)),
      cachedTokens: Self.bounded(Int(clamping: unsafe message.cached_tokens)),
      completionTokens: Self.bounded(Int(clamping: unsafe message.completion_tokens)),
      estimated: unsafe message.estimated != 0)
  }
}

extension InferenceTerms {
  /// Reads the terms. Absent terms, and members with the value that means `nil`, keep their
  /// defaults.
  init(wire pointer: UnsafeMutablePointer<Tutti__V1__InferenceTerms>?) throws(WireError) {
    self.init()
    guard let message = unsafe pointer?.pointee else { return }
    if unsafe message.race.len > 0 {
      race = try unsafe RaceMode(wire: message.race, "InferenceTerms.race")
    }
    if unsafe message.first_token_ms > 0 {
      firstToken = .milliseconds(unsafe message.first_token_ms)
    }
    if unsafe message.inter_token_ms > 0 {
      interToken = .milliseconds(unsafe message.inter_token_ms)
    }
    if unsafe message.minimum_rate_milli >= 0 {
      minimumRate = Double(unsafe message.minimum_rate_milli) / 1_000
    }
  }
}

extension TaskOrder {
  init(wire message: Tutti__V1__RunTask) throws(WireError) {
    self.init(
      plan: PlanID(try unsafe String(wire: message.plan_id, "RunTask.plan_id")),
      task: try unsafe required(message.task, "RunTask.task") { task throws(WireError) in
        try unsafe PlanTask(wire: task)
      },
      conversation: try unsafe required(message.conversation, "RunTask.conversation") {
        conversation throws(WireError) in try unsafe Conversation(wire: conversation)
      },
      inputs: try unsafe elements(message.n_inputs, message.inputs) { input throws(WireError) in
        try unsafe NamedInput(wire: input)
      },
      isSink: unsafe message.is_sink != 0,
      dataPolicy: try unsafe DataPolicy(wire: message.data_policy, "RunTask.data_policy"),
      pools: HostPools(
        try unsafe texts(message.n_host_pools, message.host_pools, "RunTask.host_pools")),
      models: AllowedModels(
        try unsafe texts(message.n_models, message.models, "RunTask.models").map { ModelID($0) }),
      avoidHosts: try unsafe texts(
        message.n_avoid_hosts, message.avoid_hosts, "RunTask.avoid_hosts"
      ).map { HostID($0) },
      terms: try unsafe InferenceTerms(wire: message.terms),
      documents: try unsafe elements(message.n_documents, message.documents) {
        document throws(WireError) in try unsafe Document(wire: document)
      },
      prefix: try unsafe String(wire: message.prefix, "RunTask.prefix"),
      host: unsafe message.host.len == 0
        ? nil : HostID(try unsafe String(wire: message.host, "RunTask.host")),
      sparesTokens: unsafe message.spares_tokens != 0, isPart: unsafe message.is_part != 0,
      client: try unsafe String(wire: message.client, "RunTask.client"))
  }
}

extension Document {
  init(wire message: Tutti__V1__Document) throws(WireError) {
    self.init(
      name: try unsafe String(wire: message.name, "Document.name"),
      text: try unsafe String(wire: message.text, "Document.text"))
  }
}

extension TaskBegan {
  init(wire message: Tutti__V1__TaskBegan) throws(WireError) {
    self.init(
      host: HostID(try unsafe String(wire: message.host, "TaskBegan.host")),
      model: ModelID(try unsafe String(wire: message.model, "TaskBegan.model")),
      firstTokenMilliseconds: Int(unsafe message.first_token_ms),
      excerpts: try unsafe elements(message.n_excerpts, message.excerpts) {
        excerpt throws(WireError) in try unsafe DocumentExcerpt(wire: excerpt)
      })
  }
}

extension DocumentExcerpt {
  init(wire message: Tutti__V1__DocumentExcerpt) throws(WireError) {
    self.init(
      document: try unsafe String(wire: message.document, "DocumentExcerpt.document"),
      bytes: Int(clamping: unsafe message.size_bytes),
      readBytes: Int(clamping: unsafe message.read_bytes))
  }
}

extension TaskDelta {
  init(wire message: Tutti__V1__TaskDelta) throws(WireError) {
    let json = unsafe [UInt8](wire: message.delta_json)
    self.init(
      text: try unsafe String(wire: message.text, "TaskDelta.text"),
      deltaJSON: json.isEmpty ? nil : json)
  }
}

extension PaidAttempt {
  fileprivate init(wire message: Tutti__V1__PaidAttempt) throws(WireError) {
    self.init(
      host: HostID(try unsafe String(wire: message.host, "PaidAttempt.host")),
      model: ModelID(try unsafe String(wire: message.model, "PaidAttempt.model")),
      tier: try unsafe HostTier(wire: message.tier, "PaidAttempt.tier"),
      tokens: Usage.bounded(Int(clamping: unsafe message.tokens)),
      outcome: try unsafe Outcome(wire: message.outcome, "PaidAttempt.outcome"))
  }
}

extension TaskInference {
  fileprivate init(wire message: Tutti__V1__TaskInference) throws(WireError) {
    let count = unsafe message.n_attempts
    guard count <= Limits.inferenceAttempts.value else {
      throw .tooManyElements(limit: Limits.inferenceAttempts.value)
    }
    self.init(
      model: ModelID(try unsafe String(wire: message.model, "TaskInference.model")),
      usage: try unsafe required(message.usage, "TaskInference.usage") { usage throws(WireError) in
        try unsafe Usage(wire: usage)
      },
      attempts: try unsafe elements(count, message.attempts) { attempt throws(WireError) in
        try unsafe PaidAttempt(wire: attempt)
      })
  }
}

extension TaskReport {
  init(wire message: Tutti__V1__TaskReport) throws(WireError) {
    let count = unsafe message.n_inferences
    guard count <= Limits.taskInferences.value else {
      throw .tooManyElements(limit: Limits.taskInferences.value)
    }
    self.init(
      host: HostID(try unsafe String(wire: message.host, "TaskReport.host")),
      model: ModelID(try unsafe String(wire: message.model, "TaskReport.model")),
      usage: try unsafe required(message.usage, "TaskReport.usage") { usage throws(WireError) in
        try unsafe Usage(wire: usage)
      },
      firstTokenMilliseconds: Int(unsafe message.first_token_ms),
      totalMilliseconds: Int(unsafe message.total_ms),
      finishReason: try unsafe String(wire: message.finish_reason, "TaskReport.finish_reason"),
      output: try unsafe String(wire: message.output, "TaskReport.output"),
      contractMet: unsafe message.contract_met != 0,
      inferences: try unsafe elements(count, message.inferences) { inference throws(WireError) in
        try unsafe TaskInference(wire: inference)
      })
  }
}

extension TaskEvent {
  init(wire message: Tutti__V1__TaskEvent) throws(WireError) {
    switch unsafe message.event_case {
    case TUTTI__V1__TASK_EVENT__EVENT_BEGAN:
      self = .began(
        try unsafe required(message.began, "TaskEvent.began") { began throws(WireError) in
          try unsafe TaskBegan(wire: began)
        })
    case TUTTI__V1__TASK_EVENT__EVENT_DELTA:
      self = .delta(
        try unsafe required(message.delta, "TaskEvent.delta") { delta throws(WireError) in
          try unsafe TaskDelta(wire: delta)
        })
    case TUTTI__V1__TASK_EVENT__EVENT_FINISHED:
      self = .finished(
        try unsafe required(message.finished, "TaskEvent.finished") { report throws(WireError) in
          try unsafe TaskReport(wire: report)
        })
    default: throw .unknownValue(field: "TaskEvent.event")
    }
  }
}
