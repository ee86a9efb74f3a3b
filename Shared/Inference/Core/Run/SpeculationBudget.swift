public import ClusterModel

/// Budget for second legs, shared by all race modes.
///
/// A race doubles the load of its request. While most slots are free, this costs other requests
/// nothing. When few slots are free, second legs slow the cluster down, and a slow cluster starts
/// even more of them. Each request therefore adds only a share of a second leg to the budget. The
/// share falls when the cluster's utilisation rises.
public struct SpeculationBudget: Hashable, Sendable {
  public struct Policy: Hashable, Sendable {
    /// Highest utilisation, second legs included, at which every request may have a second leg.
    /// More than half of the slots are then free, so no request waits for a slot that a losing leg
    /// holds.
    var freeUpTo = 0.4
    /// Utilisation at and above which a request earns only `leastShare`.
    var scarceFrom = 0.8
    /// Minimum share: a second leg for one request in twenty, as many as hedging after the p95
    /// needs.
    var leastShare = 0.05
    /// Maximum number of second legs that can be saved up. They allow a burst, which is small
    /// compared with the load of a cluster in one second.
    var saved = 5.0

    public init() {}
  }

  private let policy: Policy
  private var credits: Double
  /// Number of requests since the start. `legs` has the number of their second legs.
  public private(set) var requests = 0
  public private(set) var legs = 0
  public private(set) var refused = 0

  public init(policy: Policy = Policy()) {
    self.policy = policy
    credits = policy.saved
  }

  /// The share of a second leg that a request earns at this utilisation.
  public func share(at utilisation: Double) -> Double {
    let span = policy.scarceFrom - policy.freeUpTo
    guard span > 0 else { return utilisation < policy.scarceFrom ? 1 : policy.leastShare }
    let scarcity = min(max((utilisation - policy.freeUpTo) / span, 0), 1)
    return 1 - scarcity * (1 - policy.leastShare)
  }

  /// Records the start of a client's request.
  /// - Parameter utilisation: Requests in flight per slot of the cluster, second legs included.
  public mutating func requestBegan(utilisation: Double) {
    requests += 1
    credits = min(credits + share(at: utilisation), policy.saved)
  }

  /// Takes the permission for a second leg from the budget. Returns whether the leg may start.
  public mutating func take() -> Bool {
    guard credits >= 1 else {
      refused += 1
      return false
    }
    credits -= 1
    legs += 1
    return true
  }
}

/// Budget for attempts after failures. Without a limit, retries would multiply the load in an
/// outage.
public struct RetryBudget: Hashable, Sendable {
  public struct Policy: Hashable, Sendable {
    /// Retries earned per request. If one attempt in five fails, a request needs 0.25 retries on
    /// average. Twice this number leaves room for chance. In an outage, these retries add at most
    /// one half to the load.
    public var share = 0.5
    /// Retries earned per second. They let one request per second be retried three times.
    var perSecond = 3.0
    /// Maximum retries saved. They are earned in 20 s of idle time, or by 120 requests.
    var saved = 60.0

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

  /// Records the start of a client's request.
  public mutating func requestBegan(now: Instant) {
    earn(now)
    credits = min(credits + policy.share, policy.saved)
  }

  /// Takes one retry from the budget. Returns whether the attempt may start.
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
