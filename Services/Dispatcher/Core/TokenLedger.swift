import ClusterModel

/// What a plan may spend on tokens, prompts included, over all its tasks.
struct TokenLedger: Sendable {
  /// nil: no limit.
  let budget: Int?
  private(set) var spent = Usage.zero
  /// What tasks that run now may cost, by their index.
  private var reserved: [Int: Int] = [:]

  init(budget: Int?) { self.budget = budget }

  /// What is neither spent nor promised to anybody but the task itself; nil: no limit. Less than
  /// nothing when tasks cost more than was expected.
  func left(for task: Int) -> Int? {
    guard let budget else { return nil }
    let promised = reserved.reduce(0) { $0 + ($1.key == task ? 0 : $1.value) }
    return budget - spent.totalTokens - promised
  }

  mutating func reserve(_ tokens: Int, for task: Int) {
    if budget != nil { reserved[task] = tokens }
  }

  mutating func release(_ task: Int) { reserved[task] = nil }

  mutating func spend(_ usage: Usage) { spent = spent + usage }
}
