public import ClusterModel
import Limits

/// Counts wrong keys per address and blocks addresses with too many, so that a flood of wrong keys
/// is refused without hashing.
///
/// A block ends after `access.block`, however many attempts follow. All clients of a proxy have one
/// address, and one of them must not lock out the others. Therefore a key that the address used
/// with success is checked even while the address is blocked.
///
/// `Source` is the client's address, or its network.
public struct FailedAttempts<Source: Hashable & Sendable>: Sendable {
  /// Decision on the check of a request's key.
  public enum Admission: Hashable, Sendable {
    /// The source used this key with success before. The caller need not record a further success.
    case known
    case unknown
    case refused(Failure)
  }

  /// Number of wrong keys so far.
  public private(set) var failureCount = 0
  /// Number of attempts that were refused without a check so far.
  public private(set) var refusedCount = 0

  private var sources: RecentTable<Source, Failures>
  private var knownPairs: RecentTable<Pair, Void>

  private struct Pair: Hashable, Sendable {
    let source: Source
    /// Id of the key. `nil` means the admin token.
    let key: KeyID?
  }

  private static var failureLimit: Int { Limits.accessFailures.value }
  private static var window: Duration { .milliseconds(Limits.accessFailureWindow.value) }
  private static var block: Duration { .milliseconds(Limits.accessBlock.value) }

  /// Wrong keys of one source.
  private struct Failures: Sendable {
    private var count = 0
    /// Start of the time window in which wrong keys are counted.
    private var since: Instant
    /// Start of the block. `nil` means not blocked.
    private var blockedAt: Instant?

    init(since: Instant) { self.since = since }

    /// Remaining time of the block. `nil` means not blocked. A clock that jumps back ends the
    /// block.
    mutating func wait(at now: Instant) -> Duration? {
      guard let start = blockedAt else { return nil }
      let passed = start.duration(to: now)
      guard passed >= .zero, passed < block else {
        self = Failures(since: now)
        return nil
      }
      return block - passed
    }

    mutating func recordFailure(at now: Instant) {
      guard wait(at: now) == nil else { return }
      let passed = since.duration(to: now)
      if passed < .zero || passed >= window { self = Failures(since: now) }
      count += 1
      if count >= failureLimit { blockedAt = now }
    }
  }

  /// - Parameter maximumSources: number of addresses with wrong keys that are remembered. A further
  ///   address replaces the one that sent no wrong key for longest. `nil` means `access.sources`.
  public init(maximumSources: Int? = nil) {
    sources = RecentTable(capacity: maximumSources ?? Limits.accessSources.value)
    knownPairs = RecentTable(capacity: Limits.accessKnownPairs.value)
  }

  /// Number of addresses with wrong keys that are remembered.
  public var sourceCount: Int { sources.count }

  /// Decides whether the key of a request may be checked.
  public mutating func admit(
    _ source: Source, _ presented: PresentedKey, at now: Instant
  ) -> Admission {
    switch presented {
    // A request without a key is not an attempt. The answer to it explains how to send a key.
    case .absent: .unknown
    case .key(let key): admit(source, Pair(source: source, key: key.id), at: now)
    case .unusable: admit(source, nil, at: now)
    }
  }

  /// Decides whether the admin token of a request may be checked.
  public mutating func admitToken(_ source: Source, at now: Instant) -> Admission {
    admit(source, Pair(source: source, key: nil), at: now)
  }

  /// - Parameter pair: a pair that was used with success before is admitted despite a block. `nil`
  ///   means that the presented key is unusable, so that there is no pair.
  private mutating func admit(_ source: Source, _ pair: Pair?, at now: Instant) -> Admission {
    if let pair, knownPairs.change(pair, isUse: true, { _ in }) != nil { return .known }
    guard let wait = sources.change(source, { $0.wait(at: now) }) ?? nil else { return .unknown }
    refusedCount = refusedCount.addingCapped(1)
    let seconds = max(1, Int(clamping: wait.inSeconds.rounded(.up)))
    return .refused(
      Failure(
        .rateLimited,
        "\(Self.failureLimit) wrong keys came from this address within a minute, so keys from it are "
          + "not checked for \(counted(seconds, "second")). Correct the key before the next attempt.",
        retryAfter: .seconds(seconds)))
  }

  /// Records the outcome of a check.
  public mutating func record(_ decision: AccessDecision, from source: Source, at now: Instant) {
    switch decision {
    case .open: break
    case .allowed(let record):
      knownPairs.use(Pair(source: source, key: record.id), initial: ()) { _ in }
    case .refused(let refusal) where refusal.isFailedAttempt: recordFailure(source, at: now)
    case .refused: break
    }
  }

  /// Records the outcome of a check of the admin token.
  public mutating func recordToken(isRight: Bool, from source: Source, at now: Instant) {
    guard isRight else {
      recordFailure(source, at: now)
      return
    }
    knownPairs.use(Pair(source: source, key: nil), initial: ()) { _ in }
  }

  private mutating func recordFailure(_ source: Source, at now: Instant) {
    failureCount = failureCount.addingCapped(1)
    sources.use(source, initial: Failures(since: now)) { $0.recordFailure(at: now) }
  }
}
