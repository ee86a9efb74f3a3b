/// What the planner is asked when a task has ended whose `expansion` is set.
public struct ExpandRequest: Equatable, Sendable {
  /// As it is by now.
  public var plan: Plan
  public var task: TaskID
  /// What the task wrote. Whoever reads it must expect anything: models write what they like.
  public var output: String
  /// What it read, under the names of its edges.
  public var inputs: [TaskOrder.NamedInput]
  /// What the plan was made from.
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

/// What follows from a task's output.
public struct SubPlan: Equatable, Sendable {
  /// New tasks. They may read each other, and every task of the plan that is not behind the one that
  /// expands.
  public var tasks: [PlanTask]
  /// The task whose output takes the place of the expanding task's for all that read it: a new one,
  /// or the expanding task itself. Of a sink: the new sink.
  public var output: TaskID

  public init(tasks: [PlanTask], output: TaskID) {
    self.tasks = tasks
    self.output = output
  }

  /// Nothing follows: the task's own output stands.
  public static func nothing(after task: TaskID) -> SubPlan { SubPlan(tasks: [], output: task) }
}

extension Plan {
  /// The plan with `sub` in the place of `task`, which expands no more.
  ///
  /// - Throws: the rule of plans that the result breaks; the plan is as it was.
  public func splicing(_ sub: SubPlan, at task: TaskID) throws(InvalidPlan) -> Plan {
    guard let index = tasks.firstIndex(where: { $0.id == task }) else {
      throw InvalidPlan(.unknownOutput, task: task, "it expands but is no task of the plan")
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
