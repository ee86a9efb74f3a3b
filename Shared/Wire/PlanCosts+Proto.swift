import CProtobufC
import ClusterModel
import ClusterProto
import Limits

extension Arena {
  func planCosts(_ costs: PlanCosts) -> UnsafeMutablePointer<Tutti__V1__PlanCosts> {
    let message = unsafe make(tutti__v1__plan_costs__init)
    unsafe message.pointee.trace_id = text(costs.trace.description)
    unsafe message.pointee.dispatch = UInt32(clamping: costs.dispatch)
    unsafe message.pointee.n_tasks = costs.tasks.count
    unsafe message.pointee.tasks = array(costs.tasks) { unsafe taskOutput($0.task, $0.report) }
    return unsafe message
  }

  func taskOutput(
    _ task: TaskID, _ value: TaskReport
  ) -> UnsafeMutablePointer<Tutti__V1__TaskOutput>? {
    let message = unsafe make(tutti__v1__task_output__init)
    unsafe message.pointee.task = text(task.name)
    unsafe message.pointee.report = report(value)
    return unsafe message
  }
}

/// The task and the report of a message.
func taskOutput(
  _ message: Tutti__V1__TaskOutput
) throws(WireError) -> (TaskID, TaskReport) {
  (
    TaskID(try unsafe String(wire: message.task, "TaskOutput.task")),
    try unsafe required(message.report, "TaskOutput.report") { report throws(WireError) in
      try unsafe TaskReport(wire: report)
    }
  )
}

extension PlanCosts {
  init(wire message: Tutti__V1__PlanCosts) throws(WireError) {
    let count = unsafe message.n_tasks
    guard count <= Limits.planTasks.value else {
      throw .tooManyElements(limit: Limits.planTasks.value)
    }
    self.init(
      trace: try unsafe TraceID(wire: message.trace_id, "PlanCosts.trace_id"),
      dispatch: Int(unsafe message.dispatch),
      tasks: try unsafe elements(count, message.tasks) { task throws(WireError) in
        let (id, report) = try unsafe taskOutput(task)
        return Task(task: id, report: report)
      })
  }
}
