import ClusterModel

enum PlanLimits {
  /// Maximum tokens of an answer: a quarter of the tokens that a plan may write. The rest is left
  /// for other tasks.
  static let answerTokens = PlanValidation.maximumTokens / 4
  /// Maximum fallback models of a task.
  static let alternatives = 4
  /// Time limit for a whole plan. A laptop writes some 40 tokens per second. So three drafts and an
  /// answer of a thousand tokens each take 100 s, even one after the other.
  static let deadline = Duration.seconds(300)
  /// Maximum tokens of a draft, which only a model reads. Three drafts and the conversation still
  /// fit a context of 2,048 tokens.
  static let draftTokens = 384
  /// Smallest limit of a draft, even if the client wants a shorter answer. Only a budget lowers it.
  /// It has room for a reason and an answer. A draft that is cut off before its answer is useless.
  /// A draft that needs less ends by itself.
  static let leastDraftTokens = 128
  /// Tokens that an agent reserves for an open answer from documents. This is the limit of the
  /// research role.
  static let documentAnswerTokens = 512
  /// Maximum tokens of a part that is expected to be long. 64 such parts fit a plan.
  static let partTokens = PlanValidation.maximumTokens / PlanValidation.maximumTasks
  /// Maximum tokens of a closed answer: a choice, a number or a name, plus a few words.
  static let closedTokens = 24
}
