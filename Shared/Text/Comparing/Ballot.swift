/// A vote among texts for the most frequent answer.
///
/// `ShortAnswer` reduces each text to an answer in a comparable form. A text without an answer does
/// not vote.
public struct Ballot: Hashable, Sendable {
  /// The answer of each text in its comparable form. An empty string means no answer.
  public let answers: [String]
  /// Votes per answer, most votes first. Answers with equal votes are in the order of their first
  /// texts.
  public let counts: [Count]

  public struct Count: Hashable, Sendable {
    public let answer: String
    public let votes: Int
    /// Index of the first text with this answer.
    public let first: Int
  }

  /// Whether the answers would change if the answer of one more text were a letter. Such a text
  /// shows that there are lettered options, and all texts are then read as choices.
  public let mayBeChoices: Bool

  public init(_ texts: [String]) {
    let plain = texts.map { ShortAnswer.of($0) }
    let chosen = texts.map { ShortAnswer.of($0, hasOptions: true) }
    // An answer that is a letter alone shows that there were options.
    let hasOptions = plain.contains(where: ShortAnswer.isChoice)
    answers = hasOptions ? chosen : plain
    mayBeChoices = plain != chosen && !hasOptions
    var votes: [String: (count: Int, first: Int)] = [:]
    for (index, answer) in answers.enumerated() where !answer.isEmpty {
      votes[answer, default: (0, index)].count += 1
    }
    counts = votes.map { Count(answer: $0.key, votes: $0.value.count, first: $0.value.first) }
      .sorted { ($1.votes, $0.first) < ($0.votes, $1.first) }
  }

  /// Index of the first text with the most frequent answer. `nil` means that no text voted.
  public var winner: Int? { counts.first?.first }

  /// Whether the leading answer has more votes than any other, however the `missing` texts vote.
  public func isDecided(missing: Int) -> Bool {
    guard let leader = counts.first, missing == 0 || !mayBeChoices else { return false }
    let second = counts.count > 1 ? counts[1].votes : 0
    return leader.votes > second + missing
  }
}
