import ClusterModel

/// A query cut into parts that can be worked on at once.
struct Split: Equatable {
  var parts: [Part]
  var merge: Merge
  /// What the parts are, for the trace: "questions", "list items", "sections" …
  var kind: String
  /// Each part is done with the whole query in view: clauses of one sentence speak of what stands in
  /// others.
  var readsQuery = false
  /// A model named the parts: its words are fenced in the tasks' instructions.
  var isProposed = false

  /// No part reads another.
  var isFree: Bool { parts.allSatisfy(\.needs.isEmpty) }

  /// The parts are long enough, on the whole, to be worth a call each.
  var partsAreLongEnough: Bool {
    parts.reduce(0) { $0 + $1.tokens } >= Self.leastPartTokens * parts.count
  }

  /// A sentence or two: less is written before a call of its own is under way.
  static let leastPartTokens = 32

  struct Part: Equatable {
    /// Above the part's answer, in the client's own words; nil: the answer stands by itself.
    var heading: String?
    /// All that has to be known for it, without the other parts.
    var instruction: String
    /// Documents that it reads.
    var documents: [String] = []
    /// Parts that it reads, by index.
    var needs: [Int] = []
    /// Estimated, of its answer.
    var tokens: Int
    /// Estimated, of its instruction.
    var promptTokens: Int
  }

  /// Parts that are whole answers in the order in which they were asked for stand one after the other,
  /// and no model touches them again. As soon as the query asks for something over all of them (a
  /// comparison, a ranking, a report, one text), a model writes that from them.
  enum Merge: Equatable {
    case concatenate
    /// - Parameter tokens: estimated, of what is written in the end.
    case synthesise(task: String, tokens: Int)
  }

  /// With more, the parts are too small to be worth a call each.
  static let mostParts = 12
  /// How many parts a finder makes at most. One more than may be used, so that a query with too many
  /// is seen to have them, at the cost of thirteen and not of thousands.
  static let foundParts = mostParts + 1
}

// MARK: - What is written and read

extension Split {
  /// Estimated, of each part's answer.
  /// - Parameter limit: the client's, of the answer.
  func partTokens(atMost limit: Int) -> [Int] {
    guard case .concatenate = merge else {
      // Notes are no part of the answer, whatever length is asked for of it.
      return parts.map { min($0.tokens, PlanLimits.draftTokens) }
    }
    // The limit holds for all parts together.
    let wanted = parts.reduce(0) { $0 + $1.tokens }
    let scale = wanted > limit ? (limit, wanted) : (1, 1)
    return parts.map { max(1, $0.tokens * scale.0 / scale.1) }
  }

  /// A part's instruction is all that it needs to be given.
  func standsAlone(_ basis: PlanBasis) -> Bool {
    basis.queryIsConversation && !readsQuery
  }

  /// Estimated, of all that a part reads before it writes, but for the words that stand around every
  /// prompt: hosts were measured with such words, until the first token.
  func promptTokens(of part: Part, _ basis: PlanBasis) -> Int {
    part.promptTokens + (standsAlone(basis) ? 0 : basis.conversationTokens)
      + basis.documentTokens(of: part.documents)
  }

  /// Estimated, of the documents that the parts read, each once. One task could not read so many, and
  /// would leave out what they tell: to be fair, it is taken to read as much.
  func documentTokens(_ basis: PlanBasis) -> Int {
    Set(parts.map(\.documents)).reduce(0) { $0 + basis.documentTokens(of: $1) }
  }
}
