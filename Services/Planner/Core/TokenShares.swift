import ClusterModel
import Limits
import Text

/// What the calls of a plan read, whatever is written: the conversation each time, what they are told,
/// and what roles and chat templates put around it.
struct Prompts {
  /// Calls that read the conversation.
  var count: Int
  /// Estimated, of what all of them are told together.
  var told = 0
  /// The documents are given to one of them.
  var readsDocuments = false

  /// - Parameter fenced: how many texts of others a call reads, and how many such calls there are.
  init(
    _ count: Int, told: [(text: String, times: Int)] = [],
    fenced: [(texts: Int, times: Int)] = [], readsDocuments: Bool = false
  ) {
    self.count = count
    self.told =
      told.reduce(0) { $0 + $1.times * Compression.estimatedTokens($1.text) }
      + fenced.reduce(0) { $0 + $1.times * Fence.tokens(around: $1.texts) }
    self.readsDocuments = readsDocuments
  }

  func tokens(_ basis: PlanBasis) -> Int {
    count * (basis.conversationTokens + PlanLimits.callTokens) + told
      + (readsDocuments ? basis.documentTokens : 0)
  }
}

extension PlanBasis {
  /// As much of them as a task is given.
  var documentTokens: Int { documentTokens(of: request.documents.map(\.name)) }

  /// As much of some of them as a task is given.
  func documentTokens(of names: [String]) -> Int {
    let names = Set(names)
    let bytes = request.documents.reduce(0) {
      $0.addingCapped(names.contains($1.name) ? max(0, $1.bytes) : 0)
    }
    return min(bytes / 4, PlanLimits.materialTokens)
  }
}

/// A client's budget of tokens cut into equal shares.
///
/// What is read in any case comes first (`Prompts`); what else is read and written is counted in shares,
/// so a pattern says how many of them it needs at most, and its tasks write one or two each.
struct TokenShares {
  /// What to blame when it does not suffice.
  static let option = "tutti.budget.tokens"

  /// nil: there is no budget.
  let share: Int?

  /// - Parameters:
  ///   - units: shares that are written, and those that are read again by others.
  ///   - shape: for the message, for example "3 members".
  /// - Throws: `budgetTooSmall`, saying how much would be enough.
  init(
    _ basis: PlanBasis, prompts: Prompts, units: Int, for shape: String
  ) throws(PlanError) {
    guard let total = basis.request.budgetTokens else {
      share = nil
      return
    }
    let share = Self.share(of: total, basis, prompts: prompts, units: units)
    guard share >= PlanLimits.leastTokens else {
      throw PlanError(
        budget: total, shape: shape,
        needs: prompts.tokens(basis) + units * PlanLimits.leastTokens)
    }
    // A budget may be more than any plan may write: an answer of two shares, a draft of it and two
    // repairs fit twice.
    self.share = min(share, PlanLimits.answerTokens / 4)
  }

  /// How large a share is; may be negative.
  static func share(of total: Int, _ basis: PlanBasis, prompts: Prompts, units: Int) -> Int {
    (total - prompts.tokens(basis)) / units
  }

  /// What a draft may have: a client that wants a short answer wants short drafts; one that wants a
  /// long answer still gets drafts that fit beside each other into a small context.
  func draft(_ request: PlanRequest, atMost most: Int = PlanLimits.draftTokens) -> Int {
    let wanted = min(most, max(PlanLimits.leastTokens, request.maxTokens ?? .max))
    return min(wanted, share ?? .max)
  }

  /// What a task may have whose output a program reads: a client's limit on the answer would cut it
  /// in the middle of its JSON.
  var working: Int { min(PlanLimits.draftTokens, share ?? .max) }

  /// What the answer may have: two shares, since it stands for all drafts.
  /// - Returns: nil: the client's own limit, or none.
  func answer(_ request: PlanRequest) -> Int? {
    share.map { min(2 * $0, request.maxTokens ?? .max) }
  }

  /// What a text may have that could be the answer: the client's limit is not its own, and holds for it.
  /// - Returns: nil: its role's limit.
  func wholeDraft(_ request: PlanRequest) -> Int? {
    answer(request) ?? request.maxTokens.map { min($0, PlanLimits.partTokens) }
  }
}
