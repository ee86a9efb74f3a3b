import ClusterModel
import Text

/// Returns the tasks after a round: another round or the answer.
func debateRound(_ expand: ExpandRequest, basis: PlanBasis) -> SubPlan {
  guard let comparison = expand.plan.tasks.first(where: { $0.id == expand.task }),
    let shape = try? DebateShape(basis)
  else { return .nothing(after: expand.task) }
  let round = Int(expand.task.name.split(separator: "-").last ?? "") ?? 0
  let standing = DebateStanding(
    comparison: comparison, inputs: expand.inputs, isClosed: ClosedQuestion(basis) != nil)
  // Members that missed a round do not return, so one remaining member ends the debate.
  guard standing.answers.count > 1, round < shape.rounds, !standing.isSettled else {
    return conclusion(of: standing, basis: basis, shape: shape, plan: expand.plan)
  }
  return nextRound(round + 1, standing: standing, basis: basis, shape: shape, plan: expand.plan)
}

/// The members' latest answers.
struct DebateStanding {
  /// Available answers, in the order of the members.
  var answers: [(task: TaskID, text: String)] = []
  /// Answers of the previous round, by member.
  private var before: [Int: String] = [:]
  /// True for a closed question: only the answer counts, not the reasons around it.
  private let isClosed: Bool

  /// Minimum similarity, in thousandths, at which two positions count as equal.
  static let convergedMilli = 700
  /// Minimum similarity, in thousandths, at which a member's answer counts as unchanged.
  static let unchangedMilli = 900

  init(comparison: PlanTask, inputs: [TaskOrder.NamedInput], isClosed: Bool) {
    self.isClosed = isClosed
    let texts = Dictionary(inputs.map { ($0.name, $0.text) }) { first, _ in first }
    var earlier: [(task: TaskID, text: String)] = []
    for edge in comparison.inputs {
      guard let text = texts[edge.name] else { continue }
      if edge.name.hasPrefix("Before ") {
        earlier.append((edge.from, text))
        if let member = DebateShape.member(of: edge.from) { before[member] = text }
      } else {
        answers.append((edge.from, text))
      }
    }
    // If a whole round failed, the previous answers stand.
    if answers.isEmpty { answers = earlier }
    if answers.isEmpty {
      // No texts are available: keep all answers. The dispatcher knows which of them failed.
      answers = comparison.inputs.filter { $0.name.hasPrefix("Answer ") }.map { ($0.from, "") }
    }
  }

  var isSettled: Bool { hasConverged || isUnchanging }

  /// True if all pairs of answers are similar.
  private var hasConverged: Bool {
    if isClosed, Self.haveOneAnswer(answers.map(\.text)) { return true }
    // Reads each text once, however many texts it is compared with.
    return Agreement.matrix(of: answers.map(\.text)).joined().allSatisfy {
      $0 >= Self.convergedMilli
    }
  }

  /// True if every member repeats its previous answer.
  private var isUnchanging: Bool {
    guard !before.isEmpty else { return false }
    return answers.allSatisfy { answer in
      guard let member = DebateShape.member(of: answer.task), let last = before[member] else {
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
  _ round: Int, standing: DebateStanding, basis: PlanBasis, shape: DebateShape, plan: Plan
) -> SubPlan {
  var tasks: [PlanTask] = []
  for (place, own) in standing.answers.enumerated() {
    let named = DebateShape.member(of: own.task)
    let member = named.flatMap { (0..<shape.members.count).contains($0) ? $0 : nil } ?? place
    let number = plan.tasks.count + tasks.count
    var task = shape.members.task(
      member, id: DebateShape.id(round: round, member: member), number: number,
      lineup: shape.lineup(basis), basis: basis, maxTokens: shape.shares.draft(basis.request))
    task.instruction = DebateInstruction.improve
    task.mark = DebateInstruction.mark
    task.inputs = readings(
      of: standing.answers.map(\.task), by: own.task, seed: basis.seed(number))
    task.merge = .synthesise
    // All inputs exist: only members that answered take part.
    tasks.append(task)
  }
  let comparison = comparison(
    round: round, of: tasks.map(\.id), before: standing.answers.map(\.task),
    quorum: min(shape.quorum, tasks.count))
  return SubPlan(tasks: tasks + [comparison], output: comparison.id)
}

/// Returns a member's inputs: its own last answer, then the other answers under letters. Each
/// member has its own order, because models favour what they read first.
private func readings(of answers: [TaskID], by reader: TaskID, seed: UInt64) -> [Edge] {
  var order = SplitMix64(seed: seed)
  let others = answers.filter { $0 != reader }.shuffled(using: &order)
  let letters = others.enumerated().map { place, answer in
    Edge(
      from: answer, name: "Answer \(Character(Unicode.Scalar(UInt8(ascii: "A") + UInt8(place))))")
  }
  return [Edge(from: reader, name: "Your last answer")] + letters
}

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
