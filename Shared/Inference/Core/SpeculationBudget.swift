public import ClusterModel

/// How many second legs may be started, over all race modes.
///
/// A race doubles the load of what it races. While most slots are free that costs nobody anything;
/// when few are it makes the slow cluster slower, which starts more second legs. So each request
/// earns a share of a second leg, and that share falls with the cluster's utilisation.
public struct SpeculationBudget: Hashable, Sendable {
  public struct Policy: Hashable, Sendable {
    /// Up to this utilisation, second legs counted, every request may have one: more than half of
    /// the slots are free, so nobody waits for a slot that a loser holds.
    public var freeUpTo = 0.4
    /// From this utilisation on only `leastShare` is earned.
    public var scarceFrom = 0.8
    /// One second leg for twenty requests: what a hedge after the p95 needs.
    public var leastShare = 0.05
    /// What may be saved: a burst after idle time, small beside what a cluster does in a second.
    public var saved = 5.0

    public init() {}
  }

  private let policy: Policy
  private var credits: Double
  /// Requests, and second legs among them, since the start.
  public private(set) var requests = 0
  public private(set) var legs = 0
  public private(set) var refused = 0

  public init(policy: Policy = Policy()) {
    self.policy = policy
    credits = policy.saved
  }

  /// What a request earns at that utilisation.
  public func share(at utilisation: Double) -> Double {
    let span = policy.scarceFrom - policy.freeUpTo
    guard span > 0 else { return utilisation < policy.scarceFrom ? 1 : policy.leastShare }
    let scarcity = min(max((utilisation - policy.freeUpTo) / span, 0), 1)
    return 1 - scarcity * (1 - policy.leastShare)
  }

  /// A request of a client has begun.
  /// - Parameter utilisation: of the slots it could use, second legs included.
  public mutating func requestBegan(utilisation: Double) {
    requests += 1
    credits = min(credits + share(at: utilisation), policy.saved)
  }

  /// Asks for one second leg; true: start it.
  public mutating func take() -> Bool {
    guard credits >= 1 else {
      refused += 1
      return false
    }
    credits -= 1
    legs += 1
    return true
  }

  /// A leg that was allowed could not be started: no host had a free slot.
  public mutating func giveBack() {
    legs -= 1
    credits = min(credits + 1, policy.saved)
  }
}

/// How many more hosts may be asked after failures, so that an outage is not answered with a
/// multiple of the load that caused it.
public struct RetryBudget: Hashable, Sendable {
  public struct Policy: Hashable, Sendable {
    /// Retries for each request. Where one attempt in five fails, a request needs 0.25 of them on
    /// average; twice that leaves room for chance, and bounds what an outage adds to a half.
    public var share = 0.5
    /// Without any traffic to earn from, one request a second may still be retried, all its hosts.
    public var perSecond = 3.0
    /// What may be saved: 20 s of idle time, or what 120 requests earn.
    public var saved = 60.0

    public init() {}
  }

  private let policy: Policy
  private var credits: Double
  private var at = Instant.zero
  public private(set) var refused = 0

  public init(policy: Policy = Policy()) {
    self.policy = policy
    credits = policy.saved
  }

  /// A request of a client has begun.
  public mutating func requestBegan(now: Instant) {
    earn(now)
    credits = min(credits + policy.share, policy.saved)
  }

  /// Asks for one more attempt; true: start it.
  public mutating func take(now: Instant) -> Bool {
    earn(now)
    guard credits >= 1 else {
      refused += 1
      return false
    }
    credits -= 1
    return true
  }

  private mutating func earn(_ now: Instant) {
    guard now > at else { return }
    credits = min(credits + at.duration(to: now).inSeconds * policy.perSecond, policy.saved)
    at = now
  }
}
