import ClusterModel
import Text

/// Plans a debate: members state positions, then improve them round by round.
///
/// In a round, every member reads the other members' last answers. The rounds end when the members
/// agree, no answer changes any more, or the limit is reached. Then one answer is written. The
/// initial plan has only the opening positions, because the rounds depend on their text.
func debate(_ basis: PlanBasis, id: PlanID) throws(Failure) -> Plan {
  let shape = try DebateShape(basis)
  let positions = (0..<shape.members.count).map { member in
    var task = shape.members.task(
      member, id: DebateShape.id(round: 0, member: member), number: member,
      draftRoles: shape.draftRoles(basis), basis: basis,
      maxTokens: shape.shares.draft(basis.request))
    task.deadlineShare = DeadlineShares.draft
    return task
  }
  let comparison = comparison(round: 0, of: positions.map(\.id), before: [], quorum: shape.quorum)
  return Plan(
    id: id, pattern: basis.request.pattern, tasks: positions + [comparison], sink: comparison.id,
    seed: basis.request.seed, deadline: PlanLimits.deadline, reason: shape.reason)
}

/// Size of a debate, from its request.
struct DebateShape {
  var members: Members
  /// Rounds after the opening positions.
  var rounds: Int
  var shares: TokenPlan
  /// Reason for fewer rounds than requested. Empty if all requested rounds fit.
  var reason = ""

  var quorum: Int { min(members.quorum, members.count) }

  init(_ basis: PlanBasis) throws(Failure) {
    members = try Members(basis)
    let requestedRounds = basis.request.rounds ?? OptionRanges.defaultRounds
    rounds = min(requestedRounds, Self.mostRounds(members: members.count))
    while rounds > 1, !Self.fits(basis, members: members.count, rounds: rounds) { rounds -= 1 }
    shares = try TokenPlan(
      basis, prompts: Self.prompts(members: members.count, rounds: rounds, basis),
      units: Self.units(members: members.count, rounds: rounds),
      for: "\(counted(members.count, "member")) and \(counted(rounds, "round"))")
    if rounds < requestedRounds {
      reason = "\(rounds) of \(requestedRounds) rounds fit into the plan and its budget"
    }
  }

  func draftRoles(_ basis: PlanBasis) -> DraftRoles { basis.features.isAboutCode ? .code : .prose }

  /// Maximum rounds that fit a plan's tasks. A round has one answer per member and a comparison.
  static func mostRounds(members: Int) -> Int {
    max(1, (PlanValidation.maximumTasks - 1) / (members + 1) - 1)
  }

  /// Tokens of the prompts for all members' answers and for the final answer.
  private static func prompts(members: Int, rounds: Int, _ basis: PlanBasis) -> PromptTokens {
    PromptTokens(
      members * (rounds + 1) + 1,
      instructions: [
        (DebateInstruction.improve, members * rounds), (SynthesisInstruction.merge, 1),
        (AnswerLength.text(basis.request), 1),
      ],
      fenced: [(members, members * rounds), (members, 1)])
  }

  /// Shares that a debate writes and reads.
  ///
  /// Each answer is written once. Each answer before the last round is read by every member of the
  /// next round. The last answers are read once by the final answer, which writes two shares.
  private static func units(members: Int, rounds: Int) -> Int {
    members * (rounds + 1) + members * members * rounds + members + 2
  }

  private static func fits(_ basis: PlanBasis, members: Int, rounds: Int) -> Bool {
    guard let total = basis.request.budgetTokens else { return true }
    return TokenPlan.share(
      of: total, basis, prompts: prompts(members: members, rounds: rounds, basis),
      units: units(members: members, rounds: rounds)) >= TokenEstimate.leastTokens
  }

  static func id(round: Int, member: Int) -> TaskID {
    TaskID(round == 0 ? "position-\(member + 1)" : "round-\(round)-\(member + 1)")
  }
}

/// Returns the task that compares a round's answers. If the inputs have room, the task also reads
/// the previous round's answers.
func comparison(
  round: Int, of answers: [TaskID], before: [TaskID], quorum: Int
) -> PlanTask {
  var inputs = answers.enumerated().map { Edge(from: $1, name: "Answer \($0 + 1)") }
  if answers.count + before.count <= PlanValidation.maximumInputs {
    inputs += before.enumerated().map { Edge(from: $1, name: "Before \($0 + 1)") }
  }
  return PlanTask(
    id: TaskID("agreement-\(round)"), role: .coordinator, inputs: inputs, merge: .agree,
    quorum: quorum, expansion: Expansion.debateRound.rawValue)
}
