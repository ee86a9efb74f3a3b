/// Request to the planner after a task with an `expansion` has ended.
public struct ExpandRequest: Equatable, Sendable {
  /// The plan in its current state.
  public var plan: Plan
  public var task: TaskID
  /// Output of the task. Code that reads it must expect anything, since a model wrote it.
  public var output: String
  /// Inputs of the task, under the names of its edges.
  public var inputs: [TaskOrder.NamedInput]
  /// Request that the plan was made from.
  public var request: PlanRequest

  public init(
    plan: Plan, task: TaskID, output: String, inputs: [TaskOrder.NamedInput] = [],
    request: PlanRequest
  ) {
    self.plan = plan
    self.task = task
    self.output = output
    self.inputs = inputs
    self.request = request
  }
}

/// Tasks that follow from a task's output.
public struct SubPlan: Equatable, Sendable {
  /// New tasks. A new task may read the other new tasks. It may also read every task of the plan
  /// that does not depend on the expanding task.
  public var tasks: [PlanTask]
  /// Task whose output replaces the expanding task's output for all its readers: a new task or the
  /// expanding task itself. If the expanding task is the sink, this task becomes the sink.
  public var output: TaskID

  public init(tasks: [PlanTask], output: TaskID) {
    self.tasks = tasks
    self.output = output
  }

  /// Returns a sub-plan without tasks: the task keeps its own output.
  public static func nothing(after task: TaskID) -> SubPlan { SubPlan(tasks: [], output: task) }
}

extension Plan {
  /// Returns the plan with the tasks of `sub`. The task at `task` does not expand again, and its
  /// readers read the output of `sub`.
  ///
  /// - Throws: the validation rule that the result would break.
  public func splicing(_ sub: SubPlan, at task: TaskID) throws(InvalidPlan) -> Plan {
    guard let index = tasks.firstIndex(where: { $0.id == task }) else {
      throw InvalidPlan(.unknownOutput, task: task, "it expands but is not a task of the plan")
    }
    guard sub.output == task || sub.tasks.contains(where: { $0.id == sub.output }) else {
      throw InvalidPlan(
        .unknownOutput, task: task, "its sub-plan ends in \"\(sub.output)\", which is not in it")
    }
    guard expansions < PlanValidation.maximumExpansions else {
      throw InvalidPlan(
        .tooManyExpansions, task: task,
        "the plan was expanded \(expansions) times; at most \(PlanValidation.maximumExpansions) "
          + "are allowed")
    }
    var plan = self
    plan.expansions += 1
    plan.tasks[index].expansion = nil
    if sub.output != task {
      for reader in plan.tasks.indices {
        for edge in plan.tasks[reader].inputs.indices
        where plan.tasks[reader].inputs[edge].from == task {
          plan.tasks[reader].inputs[edge].from = sub.output
        }
      }
      if sink == task { plan.sink = sub.output }
    }
    plan.tasks += sub.tasks
    try PlanValidation.validate(plan, mustReach: sub.tasks.map(\.id))
    return plan
  }
}
