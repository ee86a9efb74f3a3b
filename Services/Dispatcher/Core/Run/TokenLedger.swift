import ClusterModel
import Limits

/// Token budget of a plan, prompts included, for all its tasks.
struct TokenLedger: Sendable {
  /// `nil` means no limit.
  let budget: Int?
  private(set) var spent = Usage.zero
  /// Maximum cost of each running task, by its index.
  private var reserved: [Int: Int] = [:]
  /// Tokens that attempts without a usage report reserved in excess of their known usage.
  private var lost = 0

  /// Tokens that hosts count per hundred estimated tokens.
  /// The estimate of four bytes per token fits English. Other languages, and models with small
  /// vocabularies, take more tokens.
  private var percent = 100

  init(budget: Int?) { self.budget = budget }

  /// Tokens that are neither spent, nor lost, nor reserved by other tasks.
  /// `nil` means no limit. Negative if tasks cost more than expected.
  func left(for task: Int) -> Int? {
    guard let budget else { return nil }
    let promised = reserved.reduce(0) { $0 + ($1.key == task ? 0 : $1.value) }
    return budget - spent.totalTokens - lost - promised
  }

  mutating func reserve(_ tokens: Int, for task: Int) {
    if budget != nil { reserved[task] = tokens }
  }

  mutating func release(_ task: Int) { reserved[task] = nil }

  mutating func spend(_ usage: Usage) { spent = spent + usage }

  /// Charges an attempt that was given up while a host worked on it.
  /// Its real usage is unknown. The known part counts as spent, and the rest of the reservation as
  /// lost.
  mutating func giveUp(_ task: Int, known: Usage) {
    spend(known)
    lost += max(0, (reserved.removeValue(forKey: task) ?? 0) - known.totalTokens)
  }

  // MARK: - Estimates

  /// Upper bound of `percent`. Text in a non-Latin script takes up to three times the tokens, so a
  /// higher count is an error of the host.
  private static let mostPercent = 300

  /// Raises `percent` if a host counted more tokens than were estimated.
  /// It never falls, because an estimate that is too high cannot exceed the budget.
  mutating func learn(counted: Int, estimated: Int) {
    guard budget != nil, estimated > 0 else { return }
    percent = max(percent, min(Self.mostPercent, counted.multipliedCapped(by: 100) / estimated))
  }

  /// Tokens that hosts will count for an estimate.
  func counted(_ estimate: Int) -> Int { estimate.multipliedCapped(by: percent) / 100 }

  /// Estimate of a text for which hosts will count this many tokens.
  func estimated(_ counted: Int) -> Int { counted.multipliedCapped(by: 100) / percent }
}
