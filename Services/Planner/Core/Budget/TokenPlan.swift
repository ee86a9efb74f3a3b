import ClusterModel
import Limits
import Text

/// Prompt tokens of a plan's calls.
///
/// A prompt has the conversation, an instruction, and the text that roles and chat templates add.
/// Outputs that a call also reads are not counted here, but as shares (`TokenPlan`).
struct PromptTokens {
  /// Number of calls that read the conversation.
  var count: Int
  /// Estimated tokens of the instructions of all calls together.
  var instructionTokens = 0
  /// True if one of the calls gets the documents.
  var readsDocuments = false

  /// - Parameter fenced: for each kind of call, the number of fenced texts that it reads and the
  ///   number of such calls.
  init(
    _ count: Int, instructions: [(text: String, times: Int)] = [],
    fenced: [(texts: Int, times: Int)] = [], readsDocuments: Bool = false
  ) {
    self.count = count
    self.instructionTokens =
      instructions.reduce(0) { $0 + $1.times * TokenEstimate.tokens(of: $1.text) }
      + fenced.reduce(0) { $0 + $1.times * Fence.tokens(around: $1.texts) }
    self.readsDocuments = readsDocuments
  }

  func tokens(_ basis: PlanBasis) -> Int {
    count * (basis.conversationTokens + TokenEstimate.callTokens) + instructionTokens
      + (readsDocuments ? basis.documentTokens : 0)
  }
}

extension PlanBasis {
  /// Tokens of all documents, up to the room in a task's prompt.
  var documentTokens: Int { documentTokens(of: request.documents.map(\.name)) }

  /// Tokens of the named documents, or of a part of each, up to the room in a task's prompt.
  func documentTokens(of names: [String], part: DocumentPart? = nil) -> Int {
    let names = Set(names)
    let bytes = request.documents.reduce(0) {
      $0.addingCapped(names.contains($1.name) ? max(0, $1.bytes) : 0)
    }
    return min(bytes / max(1, part?.count ?? 1) / TokenEstimate.bytesPerToken, documentRoom())
  }

  /// Document tokens that fit a task's prompt at the model with the longest context.
  ///
  /// - Parameter answer: expected tokens of the answer. A longer answer leaves less room.
  func documentRoom(besides answer: Int = PlanLimits.draftTokens) -> Int {
    documentRoom(in: contextTokens.values.max(), besides: answer)
  }

  private func documentRoom(in context: Int?, besides answer: Int) -> Int {
    DocumentRoom.tokens(
      context: context, prompt: conversationTokens + TokenEstimate.callTokens,
      completion: min(request.maxTokens ?? .max, answer))
  }

  /// Document tokens that fit a task's prompt at the model with the shortest context.
  var leastDocumentRoom: Int {
    models.map { documentRoom(in: contextTokens[$0], besides: PlanLimits.draftTokens) }.min()
      ?? documentRoom()
  }

  /// Models whose prompts have the most room for documents, in the order of `models`. Empty means
  /// that all models have equal room.
  var longContextModels: [ModelID] {
    let room = documentRoom()
    let longest = models.filter {
      documentRoom(in: contextTokens[$0], besides: PlanLimits.draftTokens) >= room
    }
    return longest.count == models.count ? [] : longest
  }
}

/// A client's token budget divided into equal shares.
///
/// Prompts are subtracted first (`PromptTokens`). All other tokens read and written are counted in
/// shares. A pattern states the maximum number of shares it needs, and each of its tasks writes one
/// or two.
struct TokenPlan {
  /// Option that an error names if the budget does not suffice.
  static let option = "tutti.budget.tokens"

  /// Tokens per share. `nil` means no budget.
  let share: Int?

  /// - Parameters:
  ///   - units: number of shares that the plan spends. An output counts once when it is written and
  ///     once for each task that reads it.
  ///   - shape: description for the message, for example "3 members".
  /// - Throws: `budgetTooSmall`, with the budget that would suffice.
  init(
    _ basis: PlanBasis, prompts: PromptTokens, units: Int, for shape: String
  ) throws(Failure) {
    guard let total = basis.request.budgetTokens else {
      share = nil
      return
    }
    let share = Self.share(of: total, basis, prompts: prompts, units: units)
    guard share >= TokenEstimate.leastTokens else {
      throw Failure.budgetTooSmall(
        total, shape: shape,
        needs: prompts.tokens(basis) + units * TokenEstimate.leastTokens)
    }
    // A budget may allow more tokens than a plan may write, so the share is limited. An answer, a
    // draft and two repairs, with two shares each, then need half of the tokens of a plan.
    self.share = min(share, PlanLimits.answerTokens / 4)
  }

  /// Returns the tokens per share. The result may be negative.
  static func share(of total: Int, _ basis: PlanBasis, prompts: PromptTokens, units: Int) -> Int {
    (total - prompts.tokens(basis)) / units
  }

  /// Returns the limit of a draft that only models read. A client that wants a short answer gets
  /// short drafts, but each has room for its answer. A client that wants a long answer still gets
  /// drafts that fit into a small context together.
  func draft(_ request: PlanRequest) -> Int {
    let wanted = min(PlanLimits.draftTokens, Self.withRoom(request.maxTokens ?? .max))
    return min(wanted, share ?? .max)
  }

  /// Returns the limit of a closed answer (a word, a number or a choice) in a vote. The winning
  /// answer goes to the client, so the client's limit applies to every vote.
  func ballot(_ request: PlanRequest) -> Int {
    min(PlanLimits.closedTokens, request.maxTokens ?? .max, share ?? .max)
  }

  private static func withRoom(_ tokens: Int) -> Int { max(PlanLimits.leastDraftTokens, tokens) }

  /// Limit of a task whose output is JSON for a program, or begins with notes. The client's limit
  /// does not apply, because it would cut off the end that matters.
  var working: Int { min(PlanLimits.draftTokens, share ?? .max) }

  /// Returns the limit of the answer: two shares, because the answer has the contents of several
  /// drafts. `nil` means that the plan sets no limit. The client's own limit, if any, still
  /// applies.
  func answer(_ request: PlanRequest) -> Int? {
    share.map { min(2 * $0, request.maxTokens ?? .max) }
  }

  /// Returns the limit of a draft from which the answer is written with few changes. It is not much
  /// longer than the client's limit. `nil` means the role's limit.
  func wholeDraft(_ request: PlanRequest) -> Int? {
    guard let share else {
      return request.maxTokens.map { Self.withRoom(min($0, PlanLimits.partTokens)) }
    }
    return min(2 * share, Self.withRoom(request.maxTokens ?? .max))
  }
}
