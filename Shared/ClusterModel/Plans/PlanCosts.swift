/// Tokens of a plan's tasks. A dispatcher sends them to the gateway that has cancelled the plan.
public struct PlanCosts: Equatable, Sendable {
  public struct Task: Equatable, Sendable {
    public var task: TaskID
    /// The task's host, usage and inferences, without its output.
    public var report: TaskReport

    public init(task: TaskID, report: TaskReport) {
      self.task = task
      self.report = report
    }
  }

  /// Trace of the request that the plan answers.
  public var trace: TraceID
  /// Number of the dispatch whose tasks these are: `PlanOrder.dispatch`.
  public var dispatch: Int
  /// Tasks with tokens, at most `Limits.planTasks`, also tasks that have not ended.
  public var tasks: [Task]

  public init(trace: TraceID, dispatch: Int, tasks: [Task]) {
    self.trace = trace
    self.dispatch = dispatch
    self.tasks = tasks
  }
}
