import ClusterModel

enum PlanLimits {
  /// The longest answer: room for the other tasks is left in what a plan may write.
  static let answerTokens = PlanValidation.maximumTokens / 4
  /// As many as one task may read.
  static let members = PlanValidation.maximumInputs
  /// As in the options' table: more drafts than this cost more than they add, unless asked for.
  static let defaultMembers = 3
  /// Models that a task may be done with when its own does not answer.
  static let alternatives = 4
  /// Of a debate, after the opening positions, as in the options' table.
  static let rounds = 8
  static let defaultRounds = 2
  /// For a whole plan. A laptop makes some 40 tokens a second: three drafts and an answer of a
  /// thousand tokens each, one after the other, fit twice.
  static let deadline = Duration.seconds(300)
  /// A draft is read by a model, not by a person: three of them and the conversation still fit a
  /// context of 2,048 tokens.
  static let draftTokens = 384
  /// Of a task that is not limited, for estimates: what the roles' own profiles allow.
  static let openTokens = 1_024
  /// Of a part that is expected to be long: as many as 64 of them may have together.
  static let partTokens = PlanValidation.maximumTokens / PlanValidation.maximumTasks
  /// A choice, a number or a name, and a word too many.
  static let closedTokens = 24
  /// What every call reads beside what it is told: the role's own words, and what the model's chat
  /// template puts around them.
  static let callTokens = 48
  /// Of documents, as many as a task is given at most.
  static let materialTokens = 6_000
  /// Fewer tokens than this say nothing.
  static let leastTokens = 16
}
