import CProtobufC
import ClusterModel
import ClusterProto

extension Arena {
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
    unsafe message.pointee.text_of = text(ended.textOf?.name ?? "")
    if let value = ended.choice { unsafe message.pointee.choice = choiceFacts(value) }
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
    case .expanded(let task, let sub):
      let expanded = unsafe make(tutti__v1__task_expanded__init)
      unsafe expanded.pointee.task = text(task.name)
      unsafe expanded.pointee.sub_plan = subPlan(sub)
      unsafe message.pointee.event_case = TUTTI__V1__PLAN_EVENT__EVENT_EXPANDED
      unsafe message.pointee.expanded = expanded
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
    let source = try unsafe String(wire: message.text_of, "TaskEnded.text_of")
    var choice: ChoiceFacts?
    if let value = unsafe message.choice { choice = try unsafe ChoiceFacts(wire: value.pointee) }
    self.init(
      task: TaskID(try unsafe String(wire: message.task, "TaskEnded.task")),
      role: try unsafe AgentRole(wire: message.role, "TaskEnded.role"),
      agent: try unsafe String(wire: message.agent, "TaskEnded.agent"),
      status: try unsafe TaskStatus(wire: message.status),
      reason: try unsafe String(wire: message.reason, "TaskEnded.reason"), report: report,
      textOf: source.isEmpty ? nil : TaskID(source), choice: choice)
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
    case TUTTI__V1__PLAN_EVENT__EVENT_EXPANDED:
      self = try unsafe required(message.expanded, "PlanEvent.expanded") {
        expanded throws(WireError) in
        .expanded(
          task: TaskID(try unsafe String(wire: expanded.task, "TaskExpanded.task")),
          try unsafe required(expanded.sub_plan, "TaskExpanded.sub_plan") {
            sub throws(WireError) in try unsafe SubPlan(wire: sub)
          })
      }
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
