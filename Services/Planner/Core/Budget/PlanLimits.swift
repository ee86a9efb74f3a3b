import ClusterModel

enum PlanLimits {
  /// Maximum tokens of an answer: a quarter of what a plan may write, to leave room for other
  /// tasks.
  static let answerTokens = PlanValidation.maximumTokens / 4
  /// Maximum fallback models of a task.
  static let alternatives = 4
  /// Time limit for a whole plan. A laptop writes some 40 tokens per second, so three drafts and an
  /// answer of a thousand tokens each, one after the other, fit twice.
  static let deadline = Duration.seconds(300)
  /// Maximum tokens of a draft, which only a model reads. Three drafts and the conversation still
  /// fit a context of 2,048 tokens.
  static let draftTokens = 384
  /// Minimum limit of a draft, however short the answer must be: room for a reason and an answer.
  /// A draft that is cut off before its answer is of no use, and a short one ends by itself.
  static let leastDraftTokens = 128
  /// Tokens that an agent reserves for an open answer from documents: the research role's limit.
  static let documentAnswerTokens = 512
  /// Maximum tokens of a part that is expected to be long. 64 such parts fit a plan.
  static let partTokens = PlanValidation.maximumTokens / PlanValidation.maximumTasks
  /// Maximum tokens of a closed answer: a choice, a number or a name, plus a few words.
  static let closedTokens = 24
}
