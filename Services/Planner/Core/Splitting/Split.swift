import ClusterModel

/// A query split into parts that can run in parallel.
struct Split: Equatable {
  var parts: [Part]
  var merge: Merge
  /// Kind of the parts, for the trace: "questions", "list items", "sections" …
  var kind: String
  /// True if the instructions of the parts can be understood only with the whole query.
  var readsQuery = false
  /// True if a model named the parts. Their text is then fenced in the tasks' instructions.
  var isProposed = false
  /// Models to assign to the tasks in rotation. Empty means the models that the client named,
  /// otherwise any model.
  var models: [ModelID] = []

  /// Returns the model of a task, in rotation. `nil` means that the estimate or the agent chooses.
  func model(_ turn: Int, _ basis: PlanBasis) -> ModelID? {
    models.isEmpty ? basis.namedModel(turn) : models[turn % models.count]
  }

  /// True if no part reads another.
  var isFree: Bool { parts.allSatisfy(\.needs.isEmpty) }

  /// True if the parts are long enough on average to be worth a call each.
  var partsAreLongEnough: Bool {
    parts.reduce(0) { $0 + $1.tokens } >= Self.leastPartTokens * parts.count
  }

  /// Minimum mean tokens of the parts: a sentence or two. A shorter answer is written before a
  /// separate call has started.
  static let leastPartTokens = 32

  struct Part: Equatable {
    /// Heading of the part's answer, in the client's own words. `nil` means no heading.
    var heading: String?
    /// Complete instruction, understandable without the other parts.
    var instruction: String
    /// Names of the documents that the part reads.
    var documents: [String] = []
    /// The portion of each document that this part reads. `nil` means whole documents.
    var documentPart: DocumentPart?
    /// Indices of the parts that this part reads.
    var needs: [Int] = []
    /// Estimated tokens of the answer.
    var tokens: Int
    /// Estimated tokens of the instruction.
    var promptTokens: Int
  }

  /// How the answers of the parts become one answer.
  ///
  /// Complete answers in the requested order are concatenated without a model. If the query asks
  /// for something over all parts (a comparison, a ranking, a report, one text), a model writes it
  /// from the answers of the parts.
  enum Merge: Equatable {
    case concatenate
    /// - Parameter tokens: estimated tokens of the synthesis.
    case synthesise(task: String, tokens: Int)
    /// Like `synthesise`, but the parts come from one text, and no part answers the query alone.
    case summarise(task: String, tokens: Int)

    /// Rule of the task that joins the parts.
    var rule: MergeRule {
      switch self {
      case .concatenate: .concatenate
      case .synthesise: .synthesise
      case .summarise: .summarise
      }
    }

    /// Instruction for the model that joins the parts. `nil` means that no model is needed.
    var task: String? {
      switch self {
      case .concatenate: nil
      case .synthesise(let task, _), .summarise(let task, _): task
      }
    }

    /// Estimated tokens of the text that a model writes. `nil` means that no model is needed.
    var tokens: Int? {
      switch self {
      case .concatenate: nil
      case .synthesise(_, let tokens), .summarise(_, let tokens): tokens
      }
    }
  }

  /// Maximum parts that a query names. More parts would be too small to be worth a call each.
  static let mostParts = 12
  /// Maximum items of a query that become parts: one more than `mostParts`, so that a query with
  /// too many items is recognised at the cost of thirteen parts instead of thousands.
  static let foundParts = mostParts + 1
}

// MARK: - Tokens that parts write and read

extension Split {
  /// Returns the estimated answer tokens of each part.
  ///
  /// - Parameter limit: the client's limit for the answer.
  func partTokens(atMost limit: Int) -> [Int] {
    guard case .concatenate = merge else {
      // Notes are not part of the answer, so a length requested for the answer does not apply to
      // them.
      return parts.map { min($0.tokens, PlanLimits.draftTokens) }
    }
    // The limit applies to all parts together.
    let neededTokens = parts.reduce(0) { $0 + $1.tokens }
    let scale = neededTokens > limit ? (limit, neededTokens) : (1, 1)
    return parts.map { max(1, $0.tokens * scale.0 / scale.1) }
  }

  /// True if the instruction of a part suffices without the conversation.
  func standsAlone(_ basis: PlanBasis) -> Bool {
    basis.queryIsConversation && !readsQuery
  }

  /// Returns the estimated prompt tokens of a part. The fixed words of every prompt are not
  /// counted, because the measured first-token times already include them.
  func promptTokens(of part: Part, _ basis: PlanBasis) -> Int {
    part.promptTokens + (standsAlone(basis) ? 0 : basis.conversationTokens)
      + basis.documentTokens(of: part.documents, part: part.documentPart)
  }

  /// Returns the estimated tokens of the documents that the parts read, each counted once.
  ///
  /// One prompt may not have room for all these tokens. For a fair comparison, the direct answer is
  /// assumed to read all of them.
  func documentTokens(_ basis: PlanBasis) -> Int {
    var seen: Set<[String]> = []
    return parts.reduce(0) { sum, part in
      // Each part of a document is another text.
      let isOther = seen.insert(part.documents).inserted || part.documentPart != nil
      guard isOther else { return sum }
      return sum + basis.documentTokens(of: part.documents, part: part.documentPart)
    }
  }
}
