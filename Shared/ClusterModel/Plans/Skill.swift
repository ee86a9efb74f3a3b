/// How often a model's drafts of one kind were good. Counts are decayed sums in thousandths.
public struct ModelSkill: Hashable, Sendable {
  public var model: ModelID
  public var kind: AnswerKind
  /// Drafts of choices with at least two eligible drafts.
  public var draftedMilli: Int
  public var chosenMilli: Int
  /// Drafts that said the same as the chosen one.
  public var agreedMilli: Int
  /// Drafts that an accepted revision replaced.
  public var repairedMilli: Int
  public var rejectedMilli: Int

  public init(
    model: ModelID, kind: AnswerKind, draftedMilli: Int, chosenMilli: Int, agreedMilli: Int,
    repairedMilli: Int, rejectedMilli: Int
  ) {
    self.model = model
    self.kind = kind
    self.draftedMilli = draftedMilli
    self.chosenMilli = chosenMilli
    self.agreedMilli = agreedMilli
    self.repairedMilli = repairedMilli
    self.rejectedMilli = rejectedMilli
  }

  /// Share of the drafts that were chosen or agreed with the chosen one.
  public var share: ShareInterval {
    ShareInterval(
      part: (Double(chosenMilli) + Double(agreedMilli)) / 1_000,
      of: Double(draftedMilli) / 1_000)
  }
}

/// How much the choices of a pattern gained over a model's own answers of one kind.
///
/// The gain of a choice is the support of the chosen draft minus the support of the anchor.
public struct PatternGain: Hashable, Sendable {
  /// Model name of the pattern, for example `tutti/ensemble`.
  public var pattern: String
  /// Model of the anchors.
  public var model: ModelID
  public var kind: AnswerKind
  /// Decayed number of choices, in thousandths.
  public var choicesMilli: Int
  /// Decayed sum of the gains, each in thousandths.
  public var gainSum: Int
  /// Decayed sum of the squares of the gains, each gain in thousandths.
  public var gainSquares: Int
  /// Decayed sum of the completion tokens of all drafts but the anchor's.
  public var extraTokens: Int

  public init(
    pattern: String, model: ModelID, kind: AnswerKind, choicesMilli: Int, gainSum: Int,
    gainSquares: Int, extraTokens: Int
  ) {
    self.pattern = pattern
    self.model = model
    self.kind = kind
    self.choicesMilli = choicesMilli
    self.gainSum = gainSum
    self.gainSquares = gainSquares
    self.extraTokens = extraTokens
  }

  /// Mean gain of a choice, in thousandths. `nil` means that fewer than two choices are known.
  public var mean: MeanInterval? {
    MeanInterval(
      count: Double(choicesMilli) / 1_000, sum: Double(gainSum), squares: Double(gainSquares))
  }
}

/// Facts of one choice, from which skills and gains are counted.
public struct SkillReport: Equatable, Sendable {
  /// Pattern of the plan, for example `tutti/ensemble`.
  public var pattern: String
  public var choice: ChoiceFacts

  public init(pattern: String, choice: ChoiceFacts) {
    self.pattern = pattern
    self.choice = choice
  }
}

/// All skills and gains that the registry knows, as last published.
public struct SkillTable: Equatable, Sendable {
  /// Maximum of each count. A billion choices are more than any cluster makes in the months that
  /// count, and sums of such counts do not overflow.
  public static let maximumCount = 1_000_000_000_000

  public static let empty = SkillTable(epoch: 0, revision: 0, skills: [], gains: [])

  /// The registry's incarnation. A new registry restarts the count of revisions.
  public var epoch: UInt64
  public var revision: UInt64
  public var skills: [ModelSkill]
  public var gains: [PatternGain]

  public init(epoch: UInt64, revision: UInt64, skills: [ModelSkill], gains: [PatternGain]) {
    self.epoch = epoch
    self.revision = revision
    self.skills = skills
    self.gains = gains
  }
}
