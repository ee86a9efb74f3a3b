public import ClusterModel
import Limits

/// Counts wrong keys per address and blocks addresses with too many, so that a flood of wrong keys
/// is refused without hashing.
///
/// A block ends after `access.block`, however many attempts follow. A key that the address used
/// with success is checked even while the address is blocked: all clients of a proxy have one
/// address, and one of them must not lock out the others.
public struct FailedAttempts: Sendable {
  /// Wrong keys counted so far.
  public private(set) var failureCount = 0
  /// Attempts refused without a check so far.
  public private(set) var refusedCount = 0

  private var sources: RecentTable<String, Source>
  private var knownPairs: RecentTable<Pair, Void>

  private struct Pair: Hashable, Sendable {
    let source: String
    /// `nil` means the admin token.
    let key: KeyID?
  }

  private static let failureLimit = Limits.accessFailures.value
  private static let window = Duration.milliseconds(Limits.accessFailureWindow.value)
  private static let block = Duration.milliseconds(Limits.accessBlock.value)

  private struct Source: Sendable {
    private var failures = 0
    /// Start of the time for which `failures` are counted.
    private var since: Instant
    /// `nil` means not blocked.
    private var blockedAt: Instant?

    init(since: Instant) { self.since = since }

    /// The rest of the block; `nil` means not blocked. A clock that jumps back ends the block.
    mutating func wait(at now: Instant) -> Duration? {
      guard let start = blockedAt else { return nil }
      let passed = start.duration(to: now)
      guard passed >= .zero, passed < block else {
        self = Source(since: now)
        return nil
      }
      return block - passed
    }

    mutating func recordFailure(at now: Instant) {
      guard wait(at: now) == nil else { return }
      let passed = since.duration(to: now)
      if passed < .zero || passed >= window { self = Source(since: now) }
      failures += 1
      if failures >= failureLimit { blockedAt = now }
    }
  }

  /// - Parameter maximumSources: addresses that are remembered. A flood from more of them replaces
  ///   those that were not seen for longest. `nil` means `access.sources`.
  public init(maximumSources: Int? = nil) {
    sources = RecentTable(capacity: maximumSources ?? Limits.accessSources.value)
    knownPairs = RecentTable(capacity: Limits.accessKnownPairs.value)
  }

  /// Number of addresses that are remembered.
  public var sourceCount: Int { sources.count }

  /// Decides whether the key of a request may be checked.
  ///
  /// - Parameter source: the client's address, or a name for its network.
  /// - Returns: the refusal; `nil` means that the key may be checked.
  public mutating func refusal(
    _ source: String, _ presented: PresentedKey, at now: Instant
  ) -> Failure? {
    switch presented {
    // A request without a key is no attempt. Its answer explains how to send one.
    case .absent: nil
    case .key(let key): refusal(source, known: Pair(source: source, key: key.id), at: now)
    case .unusable: refusal(source, known: nil, at: now)
    }
  }

  /// Decides whether the admin token of a request may be checked, as `refusal` does for keys.
  public mutating func refusalOfToken(_ source: String, at now: Instant) -> Failure? {
    refusal(source, known: Pair(source: source, key: nil), at: now)
  }

  /// - Parameter known: the pair that is exempt if it was used with success. `nil` means none.
  private mutating func refusal(_ source: String, known: Pair?, at now: Instant) -> Failure? {
    let wait = sources.change(source) { $0.wait(at: now) } ?? nil
    guard let wait else { return nil }
    if let known, knownPairs[known] != nil { return nil }
    refusedCount = refusedCount.addingCapped(1)
    let seconds = max(1, Int(clamping: wait.inSeconds.rounded(.up)))
    return Failure(
      .rateLimited,
      "\(Self.failureLimit) wrong keys came from this address within a minute, so keys from it are "
        + "not checked for \(counted(seconds, "second")). Correct the key before the next attempt.",
      retryAfter: .seconds(seconds))
  }

  /// Records the outcome of a check.
  public mutating func record(_ decision: AccessDecision, from source: String, at now: Instant) {
    switch decision {
    case .open: break
    case .allowed(let record):
      knownPairs.use(Pair(source: source, key: record.id), initial: ()) { _ in }
    case .refused(let refusal) where refusal.isFailedAttempt: recordFailure(source, at: now)
    case .refused: break
    }
  }

  /// Records the outcome of a check of the admin token.
  public mutating func recordToken(isRight: Bool, from source: String, at now: Instant) {
    guard isRight else {
      recordFailure(source, at: now)
      return
    }
    knownPairs.use(Pair(source: source, key: nil), initial: ()) { _ in }
  }

  private mutating func recordFailure(_ source: String, at now: Instant) {
    failureCount = failureCount.addingCapped(1)
    sources.use(source, initial: Source(since: now)) { $0.recordFailure(at: now) }
  }
}
