import ClusterModel
import Text

/// Who drafts, in turn, and how far apart their temperatures are.
struct Lineup {
  var roles: [AgentRole]
  /// In thousandths.
  var temperatures: ClosedRange<Int>

  static let prose = Lineup(roles: [.research, .reasoning, .creative], temperatures: 300...900)
  /// Code is right or wrong: less spread.
  static let code = Lineup(
    roles: [.code, .reasoning, .research, .creative], temperatures: 100...600)
  /// A question with one right answer is thought about, several times.
  static let closed = Lineup(roles: [.reasoning], temperatures: 200...800)

  func temperature(of member: Int, among members: Int) -> Int {
    guard members > 1 else { return temperatures.lowerBound }
    let width = temperatures.upperBound - temperatures.lowerBound
    return temperatures.lowerBound + width * member / (members - 1)
  }
}

/// The members of an ensemble or of a debate: different models where there are, other seeds and
/// temperatures where there are not.
struct Members {
  var count: Int
  /// How many of them must have answered before it is worth going on.
  var quorum: Int

  /// - Throws: when the quorum is more than there are members.
  init(_ basis: PlanBasis) throws(PlanError) {
    count = Self.count(basis)
    // A client that says nothing of a quorum wants an answer: one that is left still answers, and
    // the task that went on without the others says so.
    quorum = basis.request.quorum ?? 1
    guard quorum <= count else {
      throw PlanError(
        .optionOutOfRange,
        "tutti.quorum is \(quorum), but there \(count == 1 ? "is 1 member" : "are \(count) members").",
        param: "tutti.quorum")
    }
  }

  /// For a message about the budget.
  var shape: String { counted(count, "member") + (count == 1 ? " and an answer" : "") }

  private static func count(_ basis: PlanBasis) -> Int {
    if let members = basis.request.members { return members }
    if !basis.request.models.isEmpty { return basis.request.models.count }
    // An ensemble of one is none: a lone model is asked several times.
    let distinct = Set(basis.models).count
    return distinct > 1 ? min(PlanLimits.defaultMembers, distinct) : PlanLimits.defaultMembers
  }

  /// The task of a member, which may be left out if it fails.
  /// - Parameters:
  ///   - member: from 0.
  ///   - number: the task's place in its plan.
  func task(
    _ member: Int, id: TaskID, number: Int, lineup: Lineup, basis: PlanBasis, maxTokens: Int
  ) -> PlanTask {
    let sharesModels = Set(basis.models.prefix(count)).count < count
    return PlanTask(
      id: id,
      role: lineup.roles[member % lineup.roles.count],
      onFailure: .skip,
      model: basis.models.isEmpty ? nil : basis.models[member % basis.models.count],
      maxTokens: maxTokens,
      deadlineShare: DeadlineShares.draft,
      temperatureMilli: sharesModels ? lineup.temperature(of: member, among: count) : nil,
      profile: basis.features.isAboutCode ? .code : nil,
      seed: basis.seed(number))
  }
}

/// Weights of tasks when what is left of a plan's time is shared.
enum DeadlineShares {
  /// Most of the work.
  static let draft = 3
  static let answer = 2
  /// Short, and it only prepares or checks.
  static let brief = 1
}
