import ClusterModel
import Text

/// Members of an ensemble or debate.
///
/// They use different models if available, otherwise different seeds and temperatures.
struct Members {
  var count: Int
  /// Minimum members that must answer before the plan continues.
  var quorum: Int

  /// - Throws: `invalidRequest` if the quorum exceeds the number of members.
  init(_ basis: PlanBasis) throws(Failure) {
    count = Self.count(basis)
    // Without a quorum from the client, one answer suffices. The task that reads the answers
    // reports which answers are missing.
    quorum = basis.request.quorum ?? 1
    guard quorum <= count else {
      throw Failure(
        .invalidRequest,
        "tutti.quorum is \(quorum), but there \(count == 1 ? "is 1 member" : "are \(count) members").",
        param: "tutti.quorum")
    }
  }

  /// Description for a message about the budget.
  var shape: String { counted(count, "member") + (count == 1 ? " and an answer" : "") }

  private static func count(_ basis: PlanBasis) -> Int {
    if let members = basis.request.members { return members }
    if !basis.request.models.isEmpty { return basis.request.models.count }
    // An ensemble needs several drafts, so a single model is called several times.
    let distinct = Set(basis.models).count
    return distinct > 1 ? min(OptionRanges.defaultMembers, distinct) : OptionRanges.defaultMembers
  }

  /// Returns the task of a member. The plan skips a member that fails.
  /// - Parameters:
  ///   - member: index of the member.
  ///   - number: the task's index in its plan.
  func task(
    _ member: Int, id: TaskID, number: Int, draftRoles: DraftRoles, basis: PlanBasis, maxTokens: Int
  ) -> PlanTask {
    let sharesModels = Set(basis.models.prefix(count)).count < count
    return PlanTask(
      id: id,
      role: draftRoles.roles[member % draftRoles.roles.count],
      onFailure: .skip,
      model: basis.models.isEmpty ? nil : basis.models[member % basis.models.count],
      maxTokens: maxTokens,
      deadlineShare: DeadlineShares.draft,
      temperatureMilli: sharesModels ? draftRoles.temperature(of: member, among: count) : nil,
      profile: basis.features.isAboutCode ? .code : nil,
      seed: basis.seed(number))
  }
}

/// Weights for sharing a plan's remaining time among its tasks.
enum DeadlineShares {
  /// Drafts are most of the work.
  static let draft = 3
  static let answer = 2
  /// Short tasks that prepare or check.
  static let brief = 1
}
