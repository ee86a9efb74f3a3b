public import ClusterModel
import Limits

/// What became of a planner's estimate: how long the way that was taken really took, and whether the
/// other one would have been better, as far as that can be said.
///
/// An estimate is wrong in two ways. How long an answer gets nobody knows before it is written, and the
/// next question's answer has another length, so that part is kept apart: what was expected is
/// computed again for as many tokens as were written. What is left is speed: rates, first tokens,
/// hosts that slow each other down, parts of unequal length. Both are learned (`EstimateMemory`).
public struct EstimateOutcome: Hashable, Sendable {
  public enum Verdict: String, CaseIterable, Sendable {
    case right
    case wrong
    /// Something happened that no estimate is about: a lost agent, a part that was left out, an answer
    /// of quite another length.
    case unknown
  }

  /// What the time that it took says of the facts.
  public struct Lesson: Hashable, Sendable {
    public var isSplit: Bool
    /// How many times as long as the facts promised for as many tokens.
    public var ratio: Double
    /// How many times as long as expected, for writing as many tokens as it wrote, by the facts.
    public var length: Double

    public init(isSplit: Bool, ratio: Double, length: Double = 1) {
      self.isSplit = isSplit
      self.ratio = ratio
      self.length = length
    }
  }

  public let estimate: PlanEstimate
  /// That the decision was made with.
  public let correction: EstimateCorrection
  public let milliseconds: Int
  /// Written by all tasks.
  public let tokens: Int
  public let verdict: Verdict
  /// nil: it teaches nothing.
  public let lesson: Lesson?

  /// An answer so much shorter or longer than expected has another proportion of waiting to writing, so
  /// it says little of the speed.
  static let usableShare = 0.125...8

  /// - Parameters:
  ///   - took: from the plan to its end.
  ///   - dispatches: how many dispatchers had it.
  /// - Returns: nil: nothing was estimated, or the plan has not ended.
  public init?(
    _ told: PlanTrace, took: Duration, dispatches: Int, correction: EstimateCorrection
  ) {
    guard let estimate = told.plan.estimate, let ending = told.ending else { return nil }
    self.estimate = estimate
    self.correction = correction
    milliseconds = max(1, Int(took.wholeMilliseconds))
    tokens = told.tasks.reduce(0) { $0.addingCapped($1.usage.completionTokens) }
    let share = Double(tokens) / Double(estimate.taken.tokens)
    let wasSmooth =
      dispatches == 1 && ["stop", "length"].contains(ending.finishReason)
      && told.tasks.allSatisfy { $0.status == .done && $0.attempts < 2 }
    guard wasSmooth, Self.usableShare.contains(share) else {
      verdict = .unknown
      lesson = nil
      return
    }
    let isSplit = estimate.decision != .direct
    if estimate.decision == .proposal, told.expansions.first.map({ $0.tasks.count < 2 }) ?? true {
      // The parts were asked for, there were none, and then it was answered directly all the same.
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

  /// For a span: "split: 6.1 s for 412 tokens; expected 4.4 s for 400, corrected 5.9 s".
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
