public import ClusterModel
import Limits

/// Compares a planner's estimate with the measured time.
/// Also computes, if possible, whether the other way (direct or split) would have been faster.
///
/// An estimate has two kinds of error: length and speed. The length of an answer is unknown in
/// advance and differs between questions. To separate the two errors, the expected time is
/// recomputed for the tokens that the answer has. The rest is an error of speed: rates, first
/// tokens, hosts that slow each other down, parts of unequal length. `EstimateMemory` learns both
/// kinds.
public struct EstimateOutcome: Hashable, Sendable {
  public enum Verdict: String, CaseIterable, Sendable {
    case right
    case wrong
    /// No estimate covers the run. For example, an agent was lost, a part was skipped, or the
    /// answer's length was very different.
    case unknown
  }

  /// A measurement of how accurate the hosts' facts were.
  public struct Lesson: Hashable, Sendable {
    var isSplit: Bool
    /// Measured time divided by the predicted time for the same number of tokens.
    public var ratio: Double
    /// Predicted time for the tokens written, divided by the predicted time for the tokens
    /// expected.
    var length: Double

    public init(isSplit: Bool, ratio: Double, length: Double = 1) {
      self.isSplit = isSplit
      self.ratio = ratio
      self.length = length
    }
  }

  public let estimate: PlanEstimate
  /// The correction with which the decision was made.
  let correction: EstimateCorrection
  let milliseconds: Int
  /// Completion tokens of all tasks.
  let tokens: Int
  public let verdict: Verdict
  /// `nil` means that nothing can be learned.
  public let lesson: Lesson?

  /// Usable ratios of written to expected tokens. Outside this range, too much or too little of the
  /// time is the wait for the first token, so the speed cannot be measured.
  static let usableShare = 0.125...8

  /// - Parameters:
  ///   - took: time from the plan's start to its end.
  ///   - dispatches: number of dispatchers that received the plan.
  /// - Returns: `nil` if the plan has no estimate or has not ended.
  public init?(
    _ trace: PlanTrace, took: Duration, dispatches: Int, correction: EstimateCorrection
  ) {
    guard let estimate = trace.plan.estimate, let ending = trace.ending else { return nil }
    self.estimate = estimate
    self.correction = correction
    milliseconds = max(1, Int(took.wholeMilliseconds))
    tokens = trace.tasks.reduce(0) { $0.addingCapped($1.usage.completionTokens) }
    let share = Double(tokens) / Double(estimate.taken.tokens)
    let wasSmooth =
      dispatches == 1 && ["stop", "length"].contains(ending.finishReason)
      && trace.tasks.allSatisfy { $0.status == .done && $0.attempts < 2 }
    guard wasSmooth, Self.usableShare.contains(share) else {
      verdict = .unknown
      lesson = nil
      return
    }
    let isSplit = estimate.decision != .direct
    if estimate.decision == .proposal, trace.expansions.first.map({ $0.tasks.count < 2 }) ?? true {
      // A model proposed fewer than two parts, so the query was answered directly after all.
      verdict = .wrong
      lesson = nil
      return
    }
    let actual = Double(milliseconds)
    let expected = max(1, estimate.taken.milliseconds(writing: share))
    lesson = Lesson(
      isSplit: isSplit, ratio: actual / expected,
      length: expected / Double(max(1, estimate.taken.milliseconds)))
    if isSplit {
      let direct = estimate.direct.milliseconds(writing: share)
      verdict = actual < direct * Double(correction.directPercent) / 100 ? .right : .wrong
    } else {
      let split = estimate.split.milliseconds(writing: share)
      let isMissed = PlanEstimate.isWorthwhile(
        split: Int(clamping: split * Double(correction.splitPercent) / 100), direct: milliseconds)
      verdict = isMissed ? .wrong : .right
    }
  }

  /// Text for a span: "split: 6100 ms for 412 tokens; expected 4400 ms for 400, corrected 5900 ms".
  public var text: String {
    let percent =
      estimate.decision == .direct
      ? correction.directPercent : correction.splitPercent(for: estimate.decision)
    let expected = estimate.taken.milliseconds
    return "\(estimate.decision.rawValue): \(milliseconds) ms for \(tokens) tokens; expected "
      + "\(expected) ms for \(estimate.taken.tokens), corrected "
      + "\(expected.multipliedCapped(by: percent) / 100) ms"
  }
}
