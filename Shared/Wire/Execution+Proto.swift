import CProtobufC
import ClusterModel
import ClusterProto

extension Arena {
  private func conversation(
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

  private func usage(_ usage: Usage) -> UnsafeMutablePointer<Tutti__V1__Usage> {
    let message = unsafe make(tutti__v1__usage__init)
    unsafe message.pointee.prompt_tokens = UInt64(clamping: usage.promptTokens)
    unsafe message.pointee.completion_tokens = UInt64(clamping: usage.completionTokens)
    unsafe message.pointee.estimated = usage.estimated ? 1 : 0
    return unsafe message
  }

  private func terms(
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

  func runTask(_ order: TaskOrder) -> UnsafeMutablePointer<Tutti__V1__RunTask> {
    let message = unsafe make(tutti__v1__run_task__init)
    unsafe message.pointee.plan_id = text(order.plan.name)
    unsafe message.pointee.task = planTask(order.task)
    unsafe message.pointee.conversation = conversation(order.conversation)
    unsafe message.pointee.n_inputs = order.inputs.count
    unsafe message.pointee.inputs = array(order.inputs) { input in
      let named = unsafe make(tutti__v1__named_input__init)
      unsafe named.pointee.name = text(input.name)
      unsafe named.pointee.text = text(input.text)
      return unsafe named
    }
    unsafe message.pointee.is_sink = order.isSink ? 1 : 0
    unsafe message.pointee.data_policy = text(order.dataPolicy.rawValue)
    unsafe message.pointee.n_avoid_hosts = order.avoidHosts.count
    unsafe message.pointee.avoid_hosts = array(order.avoidHosts) { unsafe text($0.name) }
    unsafe message.pointee.terms = terms(order.terms)
    return unsafe message
  }

  private func began(_ began: TaskBegan) -> UnsafeMutablePointer<Tutti__V1__TaskBegan> {
    let message = unsafe make(tutti__v1__task_began__init)
    unsafe message.pointee.host = text(began.host.name)
    unsafe message.pointee.model = text(began.model.name)
    unsafe message.pointee.first_token_ms = UInt32(clamping: began.firstTokenMilliseconds)
    return unsafe message
  }

  private func delta(_ delta: TaskDelta) -> UnsafeMutablePointer<Tutti__V1__TaskDelta> {
    let message = unsafe make(tutti__v1__task_delta__init)
    unsafe message.pointee.text = text(delta.text)
    unsafe message.pointee.delta_json = bytes(delta.deltaJSON ?? [])
    return unsafe message
  }

  private func report(_ report: TaskReport) -> UnsafeMutablePointer<Tutti__V1__TaskReport> {
    let message = unsafe make(tutti__v1__task_report__init)
    unsafe message.pointee.host = text(report.host.name)
    unsafe message.pointee.model = text(report.model.name)
    unsafe message.pointee.usage = usage(report.usage)
    unsafe message.pointee.first_token_ms = UInt32(clamping: report.firstTokenMilliseconds)
    unsafe message.pointee.total_ms = UInt32(clamping: report.totalMilliseconds)
    unsafe message.pointee.finish_reason = text(report.finishReason)
    unsafe message.pointee.output = text(report.output)
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

  func runPlan(_ order: PlanOrder) -> UnsafeMutablePointer<Tutti__V1__RunPlan> {
    let message = unsafe make(tutti__v1__run_plan__init)
    unsafe message.pointee.plan = plan(order.plan)
    unsafe message.pointee.conversation = conversation(order.conversation)
    unsafe message.pointee.n_finished = order.finished.count
    let finished = order.finished.sorted { $0.key < $1.key }
    unsafe message.pointee.finished = array(finished) { entry in
      let output = unsafe make(tutti__v1__task_output__init)
      unsafe output.pointee.task = text(entry.key.name)
      unsafe output.pointee.report = report(entry.value)
      return unsafe output
    }
    unsafe message.pointee.data_policy = text(order.dataPolicy.rawValue)
    unsafe message.pointee.terms = terms(order.terms)
    return unsafe message
  }

  private func ended(_ ended: TaskEnded) -> UnsafeMutablePointer<Tutti__V1__TaskEnded> {
    let message = unsafe make(tutti__v1__task_ended__init)
    unsafe message.pointee.task = text(ended.task.name)
    unsafe message.pointee.role = text(ended.role.rawValue)
    unsafe message.pointee.agent = text(ended.agent)
    unsafe message.pointee.status =
      switch ended.status {
      case .done: TUTTI__V1__TASK_STATUS__TASK_STATUS_DONE
      case .skipped: TUTTI__V1__TASK_STATUS__TASK_STATUS_SKIPPED
      case .degraded: TUTTI__V1__TASK_STATUS__TASK_STATUS_DEGRADED
      case .failed: TUTTI__V1__TASK_STATUS__TASK_STATUS_FAILED
      }
    unsafe message.pointee.reason = text(ended.reason)
    if let value = ended.report { unsafe message.pointee.report = report(value) }
    return unsafe message
  }

  func planEvent(_ event: PlanEvent) -> UnsafeMutablePointer<Tutti__V1__PlanEvent> {
    let message = unsafe make(tutti__v1__plan_event__init)
    switch event {
    case .started(let task, let role, let agent, let attempt):
      let started = unsafe make(tutti__v1__task_started__init)
      unsafe started.pointee.task = text(task.name)
      unsafe started.pointee.role = text(role.rawValue)
      unsafe started.pointee.agent = text(agent)
      unsafe started.pointee.attempt = UInt32(clamping: attempt)
      unsafe message.pointee.event_case = TUTTI__V1__PLAN_EVENT__EVENT_STARTED
      unsafe message.pointee.started = started
    case .firstToken(let task, let value):
      let token = unsafe make(tutti__v1__task_first_token__init)
      unsafe token.pointee.task = text(task.name)
      unsafe token.pointee.began = began(value)
      unsafe message.pointee.event_case = TUTTI__V1__PLAN_EVENT__EVENT_FIRST_TOKEN
      unsafe message.pointee.first_token = token
    case .ended(let value):
      unsafe message.pointee.event_case = TUTTI__V1__PLAN_EVENT__EVENT_ENDED
      unsafe message.pointee.ended = ended(value)
    case .delta(let value):
      unsafe message.pointee.event_case = TUTTI__V1__PLAN_EVENT__EVENT_DELTA
      unsafe message.pointee.delta = delta(value)
    case .finished(let value):
      let finished = unsafe make(tutti__v1__plan_finished__init)
      unsafe finished.pointee.finish_reason = text(value.finishReason)
      unsafe finished.pointee.usage = usage(value.usage)
      unsafe finished.pointee.sink_usage = usage(value.sinkUsage)
      unsafe message.pointee.event_case = TUTTI__V1__PLAN_EVENT__EVENT_FINISHED
      unsafe message.pointee.finished = finished
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
      promptTokens: Int(clamping: unsafe message.prompt_tokens),
      completionTokens: Int(clamping: unsafe message.completion_tokens),
      estimated: unsafe message.estimated != 0)
  }
}

extension InferenceTerms {
  /// What was not sent says nothing.
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
        NamedInput(
          name: try unsafe String(wire: input.name, "NamedInput.name"),
          text: try unsafe String(wire: input.text, "NamedInput.text"))
      },
      isSink: unsafe message.is_sink != 0,
      dataPolicy: try unsafe DataPolicy(wire: message.data_policy, "RunTask.data_policy"),
      avoidHosts: try unsafe texts(
        message.n_avoid_hosts, message.avoid_hosts, "RunTask.avoid_hosts"
      ).map { HostID($0) },
      terms: try unsafe InferenceTerms(wire: message.terms))
  }
}

extension TaskBegan {
  init(wire message: Tutti__V1__TaskBegan) throws(WireError) {
    self.init(
      host: HostID(try unsafe String(wire: message.host, "TaskBegan.host")),
      model: ModelID(try unsafe String(wire: message.model, "TaskBegan.model")),
      firstTokenMilliseconds: Int(unsafe message.first_token_ms))
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

extension TaskReport {
  init(wire message: Tutti__V1__TaskReport) throws(WireError) {
    self.init(
      host: HostID(try unsafe String(wire: message.host, "TaskReport.host")),
      model: ModelID(try unsafe String(wire: message.model, "TaskReport.model")),
      usage: try unsafe required(message.usage, "TaskReport.usage") { usage throws(WireError) in
        try unsafe Usage(wire: usage)
      },
      firstTokenMilliseconds: Int(unsafe message.first_token_ms),
      totalMilliseconds: Int(unsafe message.total_ms),
      finishReason: try unsafe String(wire: message.finish_reason, "TaskReport.finish_reason"),
      output: try unsafe String(wire: message.output, "TaskReport.output"))
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

extension PlanOrder {
  init(wire message: Tutti__V1__RunPlan) throws(WireError) {
    let outputs = try unsafe elements(message.n_finished, message.finished) {
      output throws(WireError) in
      (
        TaskID(try unsafe String(wire: output.task, "TaskOutput.task")),
        try unsafe required(output.report, "TaskOutput.report") { report throws(WireError) in
          try unsafe TaskReport(wire: report)
        }
      )
    }
    self.init(
      plan: try unsafe required(message.plan, "RunPlan.plan") { plan throws(WireError) in
        try unsafe Plan(wire: plan)
      },
      conversation: try unsafe required(message.conversation, "RunPlan.conversation") {
        conversation throws(WireError) in try unsafe Conversation(wire: conversation)
      },
      finished: Dictionary(outputs) { first, _ in first },
      dataPolicy: try unsafe DataPolicy(wire: message.data_policy, "RunPlan.data_policy"),
      terms: try unsafe InferenceTerms(wire: message.terms))
  }
}

extension TaskStatus {
  init(wire status: Tutti__V1__TaskStatus) throws(WireError) {
    switch status {
    case TUTTI__V1__TASK_STATUS__TASK_STATUS_DONE: self = .done
    case TUTTI__V1__TASK_STATUS__TASK_STATUS_SKIPPED: self = .skipped
    case TUTTI__V1__TASK_STATUS__TASK_STATUS_DEGRADED: self = .degraded
    case TUTTI__V1__TASK_STATUS__TASK_STATUS_FAILED: self = .failed
    default: throw .unknownValue(field: "TaskEnded.status")
    }
  }
}

extension TaskEnded {
  init(wire message: Tutti__V1__TaskEnded) throws(WireError) {
    var report: TaskReport?
    if let value = unsafe message.report { report = try unsafe TaskReport(wire: value.pointee) }
    self.init(
      task: TaskID(try unsafe String(wire: message.task, "TaskEnded.task")),
      role: try unsafe AgentRole(wire: message.role, "TaskEnded.role"),
      agent: try unsafe String(wire: message.agent, "TaskEnded.agent"),
      status: try unsafe TaskStatus(wire: message.status),
      reason: try unsafe String(wire: message.reason, "TaskEnded.reason"), report: report)
  }
}

extension PlanFinished {
  init(wire message: Tutti__V1__PlanFinished) throws(WireError) {
    self.init(
      finishReason: try unsafe String(wire: message.finish_reason, "PlanFinished.finish_reason"),
      usage: try unsafe required(message.usage, "PlanFinished.usage") { usage throws(WireError) in
        try unsafe Usage(wire: usage)
      },
      sinkUsage: try unsafe required(message.sink_usage, "PlanFinished.sink_usage") {
        usage throws(WireError) in try unsafe Usage(wire: usage)
      })
  }
}

extension PlanEvent {
  init(wire message: Tutti__V1__PlanEvent) throws(WireError) {
    switch unsafe message.event_case {
    case TUTTI__V1__PLAN_EVENT__EVENT_STARTED:
      self = try unsafe required(message.started, "PlanEvent.started") {
        started throws(WireError) in
        .started(
          task: TaskID(try unsafe String(wire: started.task, "TaskStarted.task")),
          role: try unsafe AgentRole(wire: started.role, "TaskStarted.role"),
          agent: try unsafe String(wire: started.agent, "TaskStarted.agent"),
          attempt: Int(unsafe started.attempt))
      }
    case TUTTI__V1__PLAN_EVENT__EVENT_FIRST_TOKEN:
      self = try unsafe required(message.first_token, "PlanEvent.first_token") {
        token throws(WireError) in
        .firstToken(
          task: TaskID(try unsafe String(wire: token.task, "TaskFirstToken.task")),
          try unsafe required(token.began, "TaskFirstToken.began") { began throws(WireError) in
            try unsafe TaskBegan(wire: began)
          })
      }
    case TUTTI__V1__PLAN_EVENT__EVENT_ENDED:
      self = .ended(
        try unsafe required(message.ended, "PlanEvent.ended") { ended throws(WireError) in
          try unsafe TaskEnded(wire: ended)
        })
    case TUTTI__V1__PLAN_EVENT__EVENT_DELTA:
      self = .delta(
        try unsafe required(message.delta, "PlanEvent.delta") { delta throws(WireError) in
          try unsafe TaskDelta(wire: delta)
        })
    case TUTTI__V1__PLAN_EVENT__EVENT_FINISHED:
      self = .finished(
        try unsafe required(message.finished, "PlanEvent.finished") { value throws(WireError) in
          try unsafe PlanFinished(wire: value)
        })
    default: throw .unknownValue(field: "PlanEvent.event")
    }
  }
}
