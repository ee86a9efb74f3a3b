import Limits

/// What a planner expected of a query before anybody was asked: answered directly, and split.
///
/// It says what the facts of the hosts promise and nothing of what was learned since, so that who
/// compares it with what came of it learns from the facts and not from its own last correction.
public struct PlanEstimate: Hashable, Sendable {
  /// What was decided on it.
  public enum Decision: String, CaseIterable, Sendable {
    case direct
    case split
    /// A model is asked for the parts.
    case proposal
  }

  /// One way of answering.
  public struct Way: Hashable, Sendable {
    /// Until the answer is there.
    public var milliseconds: Int
    /// Of them, those in which tokens are written: they grow with the answer.
    public var writingMilliseconds: Int
    /// All tokens that are written for the answer, at least 1.
    public var tokens: Int

    public init(milliseconds: Int, writingMilliseconds: Int, tokens: Int) {
      self.milliseconds = milliseconds
      self.writingMilliseconds = writingMilliseconds
      self.tokens = tokens
    }

    /// How long it would take if `share` times as many tokens were written, all parts alike.
    public func milliseconds(writing share: Double) -> Double {
      Double(milliseconds - writingMilliseconds) + Double(writingMilliseconds) * share
    }
  }

  public var decision: Decision
  public var direct: Way
  public var split: Way

  public init(decision: Decision, direct: Way, split: Way) {
    self.decision = decision
    self.direct = direct
    self.split = split
  }

  /// What a split must save to be worth its calls: half a second, and a tenth of the direct time,
  /// because estimates err. Both in milliseconds.
  public static func isWorthwhile(split: Int, direct: Int) -> Bool {
    split.addingCapped(500).addingCapped(direct / 10) < direct
  }

  /// The way that was taken.
  public var taken: Way { decision == .direct ? direct : split }
}

/// What became of earlier estimates, as factors for the next ones. Whole percents: the same facts and
/// the same correction give the same plan to the last byte.
public struct EstimateCorrection: Hashable, Sendable {
  /// A host that takes four times as long as its own measurements say is another host, or has other
  /// work; more than that is not believed.
  public static let range = 25...400

  /// Of the time of a direct answer.
  public var directPercent: Int
  /// Of the time of a split.
  public var splitPercent: Int

  /// Nothing was learned.
  public static let none = EstimateCorrection(directPercent: 100, splitPercent: 100)

  /// - Parameters: what is outside `range` counts as its nearer end.
  public init(directPercent: Int, splitPercent: Int) {
    func bounded(_ percent: Int) -> Int {
      min(max(percent, Self.range.lowerBound), Self.range.upperBound)
    }
    self.directPercent = bounded(directPercent)
    self.splitPercent = bounded(splitPercent)
  }

  /// Of the way that splits. Asking a model for the parts gets no faster because splits that needed
  /// nobody for that were.
  public func splitPercent(for decision: PlanEstimate.Decision) -> Int {
    decision == .proposal ? max(100, splitPercent) : splitPercent
  }
}
