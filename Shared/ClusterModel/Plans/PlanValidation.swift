import Limits

/// Validation rules for all plans.
///
/// The planner checks the plans that it makes, and the dispatcher the plans that it receives. A
/// check takes time linear in the plan's size.
public enum PlanValidation {
  public static let maximumTasks = Limits.planTasks.value
  public static let maximumInputs = Limits.planInputs.value
  public static let maximumExpansions = Limits.planExpansions.value
  /// Maximum sum of the tasks' `maxTokens`: 64 tasks of 4,096.
  public static let maximumTokens = 64 * 4_096
  /// Maximum words of a choice contract.
  public static let maximumChoices = 64
  /// Maximum size of a task's JSON schema.
  public static let maximumSchemaBytes = 16 * 1024
  public static let maximumDocuments = Limits.planDocuments.value
  public static let maximumDocumentParts = Limits.documentParts.value
  /// Maximum hosts sent to a planner. More hosts do not change the estimate.
  public static let maximumHosts = 64
  /// Maximum tasks on the longest path.
  public static let maximumDepth = Limits.planDepth.value
  public static let maximumInstructionBytes = Limits.instructionBytes.value
  /// Maximum size of task ids and input names. They go into every event, span and prompt label.
  public static let maximumNameBytes = 128
  /// Allowed time limits. On the wire, less than 1 ms becomes zero. Clients do not wait for more
  /// than an hour.
  public static let deadlines: ClosedRange<Duration> = .milliseconds(1)...Duration.seconds(3600)
  /// Range of OpenAI's API, in thousandths.
  static let temperatures = 0...2000

  /// - Throws: the first rule that the plan breaks, with its task if there is one.
  public static func validate(_ plan: Plan) throws(InvalidPlan) {
    // An expanded task and the tasks before it may have lost their readers, because its sub-plan
    // need not read its output. They have all run, so they cost nothing more.
    try validate(plan, mustReach: plan.expansions == 0 ? plan.tasks.map(\.id) : [])
  }

  /// - Parameter mustReach: tasks whose output must reach the sink.
  static func validate(_ plan: Plan, mustReach: [TaskID]) throws(InvalidPlan) {
    guard !plan.tasks.isEmpty else { throw InvalidPlan(.noTasks, "a plan needs a task") }
    guard plan.tasks.count <= maximumTasks else {
      throw InvalidPlan(
        .tooManyTasks, "it has \(plan.tasks.count) tasks; at most \(maximumTasks) are allowed")
    }
    guard deadlines.contains(plan.deadline) else {
      throw InvalidPlan(.deadlineOutOfRange, "its deadline must be from 1 ms to 1 h")
    }
    var indices: [TaskID: Int] = [:]
    for (index, task) in plan.tasks.enumerated() {
      try checkFields(of: task)
      guard indices.updateValue(index, forKey: task.id) == nil else {
        throw InvalidPlan(.duplicateTask, task: task.id, "two tasks have this id")
      }
    }
    guard let sink = indices[plan.sink] else {
      throw InvalidPlan(.unknownSink, task: plan.sink, "the sink is not a task of the plan")
    }
    guard plan.tasks[sink].onFailure != .skip else {
      throw InvalidPlan(
        .sinkMayNotBeSkipped, task: plan.sink,
        "the sink makes the plan's answer and may not be skipped")
    }
    let readers = try resolveInputs(of: plan, indices: indices)
    if let reader = readers[sink].first {
      throw InvalidPlan(
        .sinkIsRead, task: plan.tasks[reader].id, "it reads the sink, which ends the plan")
    }
    let tokens = plan.tasks.reduce(0) { $0 &+ min($1.maxTokens ?? 0, maximumTokens) }
    guard tokens <= maximumTokens else {
      throw InvalidPlan(
        .tokensOutOfRange,
        "its tasks may write \(tokens) tokens; at most \(maximumTokens) are allowed")
    }
    try checkDepth(of: plan, readers: readers)
    try checkReach(of: mustReach, in: plan, sink: sink, indices: indices)
  }

  private static func checkFields(of task: PlanTask) throws(InvalidPlan) {
    let id = task.id
    guard !id.name.isEmpty else {
      throw InvalidPlan(.emptyTaskID, task: id, "a task's id may not be empty")
    }
    guard id.name.utf8.count <= maximumNameBytes else {
      throw InvalidPlan(
        .nameTooLong, "a task's id has at most \(maximumNameBytes) bytes")
    }
    guard task.instruction.utf8.count <= maximumInstructionBytes else {
      throw InvalidPlan(
        .instructionTooLong, task: id,
        "its instruction has \(task.instruction.utf8.count) bytes; "
          + "at most \(maximumInstructionBytes) are allowed")
    }
    guard task.inputs.count <= maximumInputs else {
      throw InvalidPlan(
        .tooManyInputs, task: id,
        "it reads \(task.inputs.count) inputs; at most \(maximumInputs) are allowed")
    }
    if let quorum = task.quorum, quorum < 1 || quorum > task.inputs.count {
      throw InvalidPlan(
        .quorumOutOfRange, task: id,
        "its quorum is \(quorum), but it has \(task.inputs.count) inputs")
    }
    guard task.inputs.isEmpty == (task.merge == .none) else {
      throw InvalidPlan(
        .mergeWithoutInputs, task: id,
        task.inputs.isEmpty
          ? "it has nothing to merge" : "it has inputs but no rule that merges them")
    }
    try checkContract(of: task)
    try checkChoice(of: task)
    if let share = task.deadlineShare, !(1...1_000).contains(share) {
      throw InvalidPlan(.deadlineOutOfRange, task: id, "its deadline share must be 1 to 1,000")
    }
    guard task.documents.count <= maximumDocuments else {
      throw InvalidPlan(
        .tooManyDocuments, task: id, "it reads more than \(maximumDocuments) documents")
    }
    if let part = task.documentPart,
      !(1...maximumDocumentParts).contains(part.count) || !(1...part.count).contains(part.number)
    {
      throw InvalidPlan(
        .documentPartOutOfRange, task: id,
        "a document has 1 to \(maximumDocumentParts) parts, and it reads part \(part.number) of "
          + "\(part.count)")
    }
    guard task.documents.allSatisfy({ $0.utf8.count <= maximumNameBytes }),
      task.alternatives.count <= maximumInputs
    else {
      throw InvalidPlan(
        .nameTooLong, task: id,
        "a document's name has at most \(maximumNameBytes) bytes, and a task has at most "
          + "\(maximumInputs) alternative models")
    }
    if let deadline = task.deadline, !deadlines.contains(deadline) {
      throw InvalidPlan(.deadlineOutOfRange, task: id, "its deadline must be from 1 ms to 1 h")
    }
    if let tokens = task.maxTokens, tokens < 1 {
      throw InvalidPlan(.tokensOutOfRange, task: id, "it must be allowed at least one token")
    }
    if let temperature = task.temperatureMilli, !temperatures.contains(temperature) {
      throw InvalidPlan(.temperatureOutOfRange, task: id, "its temperature must be from 0 to 2")
    }
  }

  private static func checkContract(of task: PlanTask) throws(InvalidPlan) {
    switch task.contract {
    case .text, .vector: break
    case .json(let schema):
      guard schema.utf8.count <= maximumSchemaBytes else {
        throw InvalidPlan(
          .contractOutOfRange, task: task.id, "its schema is over \(maximumSchemaBytes) bytes")
      }
    case .choice(let words):
      guard (1...maximumChoices).contains(words.count),
        words.allSatisfy({ !$0.isEmpty && $0.utf8.count <= maximumNameBytes })
      else {
        throw InvalidPlan(
          .contractOutOfRange, task: task.id,
          "its choice needs 1 to \(maximumChoices) words of at most \(maximumNameBytes) bytes")
      }
    }
    if task.merge.isMechanical, task.contract != .text {
      throw InvalidPlan(
        .contractOutOfRange, task: task.id, "a merge without a model makes only text")
    }
    if let name = task.expansion, name.isEmpty || name.utf8.count > maximumNameBytes {
      throw InvalidPlan(
        .nameTooLong, task: task.id, "its expansion's name has 1 to \(maximumNameBytes) bytes")
    }
  }

  /// - Returns: for each task, by index, the indices of the tasks that read it.
  private static func resolveInputs(
    of plan: Plan, indices: [TaskID: Int]
  ) throws(InvalidPlan) -> [[Int]] {
    var readers = [[Int]](repeating: [], count: plan.tasks.count)
    for (index, task) in plan.tasks.enumerated() {
      var names: Set<String> = []
      for edge in task.inputs {
        guard let source = indices[edge.from] else {
          throw InvalidPlan(
            .unknownInput, task: task.id, "it reads \"\(edge.from)\", which is not a task")
        }
        guard !edge.name.isEmpty, edge.name.utf8.count <= maximumNameBytes else {
          throw InvalidPlan(
            .inputName, task: task.id, "an input's name has 1 to \(maximumNameBytes) bytes")
        }
        guard names.insert(edge.name).inserted else {
          throw InvalidPlan(
            .duplicateInput, task: task.id, "two of its inputs are named \"\(edge.name)\"")
        }
        readers[source].append(index)
      }
    }
    return readers
  }

  /// Kahn's topological order: takes a task after all its inputs. Tasks that remain are on a cycle
  /// or depend on one.
  private static func checkDepth(of plan: Plan, readers: [[Int]]) throws(InvalidPlan) {
    var missing = plan.tasks.map(\.inputs.count)
    var depth = [Int](repeating: 1, count: plan.tasks.count)
    var ready = missing.indices.filter { missing[$0] == 0 }
    var taken = 0
    while let index = ready.popLast() {
      taken += 1
      guard depth[index] <= maximumDepth else {
        throw InvalidPlan(
          .tooDeep, task: plan.tasks[index].id,
          "it waits for a chain of \(depth[index] - 1) tasks; "
            + "at most \(maximumDepth - 1) are allowed")
      }
      for reader in readers[index] {
        depth[reader] = max(depth[reader], depth[index] + 1)
        missing[reader] -= 1
        if missing[reader] == 0 { ready.append(reader) }
      }
    }
    guard taken == plan.tasks.count else {
      let stuck = missing.firstIndex { $0 > 0 }.map { plan.tasks[$0].id }
      throw InvalidPlan(.cycle, task: stuck, "it waits for itself, directly or through other tasks")
    }
  }

  private static func checkReach(
    of ids: [TaskID], in plan: Plan, sink: Int, indices: [TaskID: Int]
  ) throws(InvalidPlan) {
    var reaches = [Bool](repeating: false, count: plan.tasks.count)
    reaches[sink] = true
    var open = [sink]
    while let index = open.popLast() {
      for edge in plan.tasks[index].inputs {
        guard let source = indices[edge.from], !reaches[source] else { continue }
        reaches[source] = true
        open.append(source)
      }
    }
    for id in ids where indices[id].map({ reaches[$0] }) == false {
      throw InvalidPlan(.unusedTask, task: id, "its output does not reach the sink")
    }
  }
}

/// The validation rule that a plan breaks.
public struct InvalidPlan: Error, Hashable, Sendable, CustomStringConvertible {
  public var rule: Rule
  /// Task that breaks the rule. `nil` means the plan as a whole.
  public var task: TaskID?
  public var message: String

  public init(_ rule: Rule, task: TaskID? = nil, _ message: String) {
    self.rule = rule
    self.task = task
    self.message = message
  }

  public enum Rule: String, CaseIterable, Sendable {
    case noTasks, tooManyTasks, emptyTaskID, nameTooLong, duplicateTask
    case unknownInput, unknownOutput, inputName, duplicateInput, tooManyInputs, mergeWithoutInputs
    case quorumOutOfRange, unknownSink, sinkIsRead, sinkMayNotBeSkipped, unusedTask
    case cycle, tooDeep, tooManyExpansions, tooManyDocuments, documentPartOutOfRange,
      contractOutOfRange
    case instructionTooLong, deadlineOutOfRange, tokensOutOfRange, temperatureOutOfRange
    case answerKind, stageOutOfRange, weightOutOfRange, choiceInputs
  }

  public var description: String {
    guard let task else { return "The plan is invalid: \(message)." }
    return "The plan is invalid: task \"\(task)\": \(message)."
  }

  /// The error in the form that is sent over the bus.
  public var failure: Failure { Failure(.invalidPlan, description) }
}
