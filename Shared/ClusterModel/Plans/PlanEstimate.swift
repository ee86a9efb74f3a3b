import Limits

/// A planner's estimate of both ways to answer a query, directly and split, before any call.
///
/// It uses the facts about the hosts without any learned correction, so that a comparison with the
/// actual times measures the facts and not an earlier correction.
public struct PlanEstimate: Hashable, Sendable {
  /// The decision that was based on the estimate.
  public enum Decision: String, CaseIterable, Sendable {
    case direct
    case split
    /// A model is asked to propose the parts.
    case proposal
  }

  /// Estimate of one way to answer.
  public struct Way: Hashable, Sendable {
    /// Time until the answer is complete.
    public var milliseconds: Int
    /// The portion of `milliseconds` spent writing tokens. It grows with the length of the answer.
    public var writingMilliseconds: Int
    /// All tokens written for the answer, at least 1.
    public var tokens: Int

    public init(milliseconds: Int, writingMilliseconds: Int, tokens: Int) {
      self.milliseconds = milliseconds
      self.writingMilliseconds = writingMilliseconds
      self.tokens = tokens
    }

    /// Returns the time if every part wrote `share` times as many tokens.
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

  /// Whether a split saves enough to be worth its calls.
  ///
  /// It must save half a second plus a tenth of the direct time, because estimates err. Both
  /// parameters are in milliseconds.
  public static func isWorthwhile(split: Int, direct: Int) -> Bool {
    split.addingCapped(500).addingCapped(direct / 10) < direct
  }

  /// Estimate of the way that was chosen.
  public var taken: Way { decision == .direct ? direct : split }
}

/// Factors for the next estimates, learned from earlier ones.
///
/// They are whole percents, so that the same facts and correction give the same plan to the last
/// byte.
public struct EstimateCorrection: Hashable, Sendable {
  /// Bounds of a correction. A larger factor is not plausible, because a host that takes more than
  /// four times its measured time was replaced or has other work.
  public static let range = 25...400

  /// Factor for the time of a direct answer.
  public var directPercent: Int
  /// Factor for the time of a split.
  public var splitPercent: Int

  /// No correction.
  public static let none = EstimateCorrection(directPercent: 100, splitPercent: 100)

  /// Clamps both factors to `range`.
  public init(directPercent: Int, splitPercent: Int) {
    func bounded(_ percent: Int) -> Int {
      min(max(percent, Self.range.lowerBound), Self.range.upperBound)
    }
    self.directPercent = bounded(directPercent)
    self.splitPercent = bounded(splitPercent)
  }

  /// Factor for a decision that splits. For a proposal it is at least 100, because the splits that
  /// were faster than estimated needed no proposal call.
  public func splitPercent(for decision: PlanEstimate.Decision) -> Int {
    decision == .proposal ? max(100, splitPercent) : splitPercent
  }
}
