import ClusterModel
import Limits

/// What a plan may spend on tokens, prompts included, over all its tasks.
struct TokenLedger: Sendable {
  /// nil: no limit.
  let budget: Int?
  private(set) var spent = Usage.zero
  /// What tasks that run now may cost, by their index.
  private var reserved: [Int: Int] = [:]
  /// What attempts may have cost of which nobody said it.
  private var lost = 0

  /// Tokens that hosts counted where a hundred were estimated. Four bytes a token fits English; other
  /// languages, and models with small vocabularies, take more.
  private var percent = 100

  init(budget: Int?) { self.budget = budget }

  /// What is neither spent nor promised to anybody but the task itself; nil: no limit. Less than
  /// nothing when tasks cost more than was expected.
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

  /// The task's attempt was given up while a host worked on it. How much it used nobody says: what is
  /// known is told, and the budget counts all that it was allowed.
  mutating func giveUp(_ task: Int, known: Usage) {
    spend(known)
    lost += max(0, (reserved.removeValue(forKey: task) ?? 0) - known.totalTokens)
  }

  // MARK: - Estimates

  /// Three times as many are a text that has no letters of ours; more is a mistake of the host.
  private static let mostPercent = 300

  /// What a host counted of a text teaches how many tokens the next one will have. Only ever up: a
  /// budget that was kept too well is still kept.
  mutating func learn(counted: Int, estimated: Int) {
    guard budget != nil, estimated > 0 else { return }
    percent = max(percent, min(Self.mostPercent, counted.multipliedCapped(by: 100) / estimated))
  }

  /// Tokens that hosts will count, for an estimate.
  func counted(_ estimate: Int) -> Int { estimate.multipliedCapped(by: percent) / 100 }

  /// The estimate of a text of which hosts will count that many.
  func estimated(_ counted: Int) -> Int { counted.multipliedCapped(by: 100) / percent }
}
