/// A vote among texts: what most of them answer, once `ShortAnswer` has put the answers into one
/// form. Texts that answer nothing do not vote.
public struct Ballot: Hashable, Sendable {
  /// The answer of each text, in its comparable form; empty: it gives none.
  public let answers: [String]
  /// How many gave each answer, the most first, of equal ones the one that was given first.
  public let counts: [Count]

  public struct Count: Hashable, Sendable {
    public let answer: String
    public let votes: Int
    /// The first text that gave it, by its index.
    public let first: Int
  }

  /// Whether a further text could show that these are to be read otherwise: as the letters of options.
  private let mayBeChoices: Bool

  public init(_ texts: [String]) {
    let plain = texts.map { ShortAnswer.of($0) }
    let chosen = texts.map { ShortAnswer.of($0, hasOptions: true) }
    // Somebody has answered with a letter alone, so there were options.
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

  /// The text that speaks for the majority: the first that gave its answer. nil: nobody voted.
  public var winner: Int? { counts.first?.first }

  /// Whether no `missing` further texts can give another answer as many votes as the first has.
  public func isDecided(missing: Int) -> Bool {
    guard let leader = counts.first, missing == 0 || !mayBeChoices else { return false }
    let second = counts.count > 1 ? counts[1].votes : 0
    return leader.votes > second + missing
  }
}
