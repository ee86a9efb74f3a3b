import ClusterModel
import Limits
import Text

/// Returns the tasks after a round: another round or the answer.
func debateRound(_ expand: ExpandRequest, basis: PlanBasis) -> SubPlan {
  guard let comparison = expand.plan.tasks.first(where: { $0.id == expand.task }),
    let shape = try? DebateShape(basis)
  else { return .nothing(after: expand.task) }
  let history = DebateHistory(expand.plan)
  let standing = DebateStanding(
    comparison: comparison, inputs: expand.inputs, history: history,
    isClosed: ClosedQuestion(basis) != nil)
  // Members that missed a round do not return, so one remaining member ends the debate.
  guard standing.answers.count > 1, history.round < shape.rounds, !standing.isSettled else {
    return conclusion(of: standing, basis: basis, shape: shape, plan: expand.plan)
  }
  return nextRound(standing: standing, history: history, basis: basis, shape: shape)
}

/// The rounds so far, read from the plan's graph.
struct DebateHistory {
  let plan: Plan
  /// Round of the latest comparison; 0 for the opening positions.
  let round: Int
  private var tasks: [TaskID: PlanTask] = [:]
  private var positions: [TaskID: Int] = [:]

  init(_ plan: Plan) {
    self.plan = plan
    round = plan.tasks.count { $0.merge == .agree }.subtractingCapped(1)
    for task in plan.tasks {
      tasks[task.id] = task
      if task.inputs.isEmpty { positions[task.id] = positions.count }
    }
  }

  /// Index of the member that wrote the answer. Follows the member's answers back to its opening
  /// position. `nil` means that the plan is not a debate.
  func member(of answer: TaskID) -> Int? {
    var answer = answer
    for _ in 0...round {
      if let member = positions[answer] { return member }
      guard let earlier = tasks[answer].flatMap(ownLastAnswer) else { return nil }
      answer = earlier
    }
    return nil
  }

  /// Whether one of `answers` reads this answer. If so, this answer is from the previous round.
  func isEarlier(_ answer: TaskID, among answers: [TaskID]) -> Bool {
    answers.contains { tasks[$0]?.inputs.contains { $0.from == answer } ?? false }
  }
}

/// The members' latest answers.
struct DebateStanding {
  /// Available answers, in the order of the members.
  var answers: [(task: TaskID, text: String)] = []
  /// Answers of the previous round, by member.
  private var before: [Int: String] = [:]
  /// True for a closed question, for which only the answer counts and not the reasons around it.
  private let isClosed: Bool
  private let history: DebateHistory

  /// Minimum similarity, in thousandths, at which two positions count as equal.
  static let convergedMilli = 700
  /// Minimum similarity, in thousandths, at which a member's answer counts as unchanged.
  static let unchangedMilli = 900

  /// - Parameter inputs: texts of the comparison's inputs that are available.
  init(
    comparison: PlanTask, inputs: [TaskOrder.NamedInput], history: DebateHistory, isClosed: Bool
  ) {
    self.isClosed = isClosed
    self.history = history
    let texts = Dictionary(inputs.map { ($0.name, $0.text) }) { first, _ in first }
    let all = comparison.inputs.map(\.from)
    let earlier = comparison.inputs.filter { history.isEarlier($0.from, among: all) }
    let latest = comparison.inputs.filter { !history.isEarlier($0.from, among: all) }
    func available(_ edges: [Edge]) -> [(task: TaskID, text: String)] {
      edges.compactMap { edge in texts[edge.name].map { (edge.from, $0) } }
    }
    for (answer, text) in available(earlier) {
      if let member = history.member(of: answer) { before[member] = text }
    }
    answers = available(latest)
    // If a whole round failed, the previous answers stand.
    if answers.isEmpty { answers = available(earlier) }
    if answers.isEmpty {
      // No texts are available, so all answers are kept. The dispatcher knows which of them failed.
      answers = latest.map { ($0.from, "") }
    }
  }

  var isSettled: Bool { hasConverged || isUnchanging }

  /// True if all pairs of answers are similar or, for a closed question, all give the same answer.
  private var hasConverged: Bool {
    if isClosed, Self.haveOneAnswer(answers.map(\.text)) { return true }
    // The matrix reads each text only once.
    return Agreement.matrix(of: answers.map(\.text)).joined().allSatisfy {
      $0 >= Self.convergedMilli
    }
  }

  /// True if every member repeats its previous answer.
  private var isUnchanging: Bool {
    guard !before.isEmpty else { return false }
    return answers.allSatisfy { answer in
      guard let member = history.member(of: answer.task), let last = before[member] else {
        return false
      }
      if isClosed, Self.haveOneAnswer([answer.text, last]) { return true }
      return Agreement.similarityMilli(answer.text, last) >= Self.unchangedMilli
    }
  }

  /// True if all texts give the same word, number or choice.
  private static func haveOneAnswer(_ texts: [String]) -> Bool {
    let ballot = Ballot(texts)
    return ballot.counts.first?.votes == texts.count
  }
}

private func nextRound(
  standing: DebateStanding, history: DebateHistory, basis: PlanBasis, shape: DebateShape
) -> SubPlan {
  let round = history.round + 1
  var tasks: [PlanTask] = []
  for (place, own) in standing.answers.enumerated() {
    let known = history.member(of: own.task)
    let member = known.flatMap { (0..<shape.members.count).contains($0) ? $0 : nil } ?? place
    let number = history.plan.tasks.count + tasks.count
    var task = shape.members.task(
      member, id: DebateShape.id(round: round, member: member), number: number,
      draftRoles: shape.draftRoles(basis), basis: basis,
      // The remarks about other answers come first, so a short limit would cut off the reply.
      maxTokens: shape.shares.working)
    task.instruction = DebateInstruction.improve
    task.mark = DebateInstruction.mark
    task.inputs = readings(
      of: standing.answers.map(\.task), by: own.task, seed: basis.seed(number))
    task.merge = .synthesise
    // The task needs no quorum. Only members that answered take part, so all its inputs exist.
    tasks.append(task)
  }
  let comparison = comparison(
    round: round, of: tasks.map(\.id), before: standing.answers.map(\.task),
    quorum: min(shape.quorum, tasks.count))
  return SubPlan(tasks: tasks + [comparison], output: comparison.id)
}

/// Returns a member's inputs: its own last answer, then the other answers, named by letters. Each
/// member gets them in another order, because models favour the text that they read first.
private func readings(of answers: [TaskID], by reader: TaskID, seed: UInt64) -> [Edge] {
  var order = SplitMix64(seed: seed)
  let others = answers.filter { $0 != reader }.shuffled(using: &order)
  let letters = others.enumerated().map { place, answer in
    Edge(
      from: answer, name: "Answer \(Character(Unicode.Scalar(UInt8(ascii: "A") + UInt8(place))))")
  }
  return [Edge(from: reader, name: "Your last answer")] + letters
}

/// The answer that a task of a later round improves: the first of its `readings`.
private func ownLastAnswer(_ task: PlanTask) -> TaskID? { task.inputs.first?.from }

private func conclusion(
  of standing: DebateStanding, basis: PlanBasis, shape: DebateShape, plan: Plan
) -> SubPlan {
  let edges = standing.answers.enumerated().map { Edge(from: $1.task, name: "Draft \($0 + 1)") }
  let answer = synthesis(
    of: edges, basis: basis, number: plan.tasks.count, quorum: min(shape.quorum, edges.count),
    maxTokens: shape.shares.answer(basis.request))
  return SubPlan(tasks: [answer], output: answer.id)
}

enum DebateInstruction {
  /// Separates a member's remarks about other answers from its own answer.
  static let mark = "My reply now:"

  static let improve = """
    Below are your last answer to what I just said, and those of others. For each of the others \
    name in a sentence what is strong and what is weak in it. Then improve your own answer: take \
    what is right from theirs, correct what they show to be wrong in yours, and keep what you have \
    good reason for. End with a line "\(mark)" and, below it, your whole improved reply.
    """
}
