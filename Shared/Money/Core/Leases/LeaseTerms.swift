internal import ClusterModel

/// Durations on which gateways and the registry agree.
public struct LeaseTerms: Hashable, Sendable {
  /// How long a gateway may spend its leases after it sent a renewal that was confirmed.
  ///
  /// A registry that is away for less is not noticed. A gateway that dies blocks its money for this
  /// long.
  var validity: Duration = .seconds(60)
  /// How much longer the registry keeps the money, for clocks that run at different speeds.
  var grace: Duration = .seconds(3)
  /// Pause between renewals. Twelve renewals must be lost before a lease ends.
  var renewal: Duration = .seconds(5)
  /// Pause before an unanswered message is sent again.
  var retry: Duration = .seconds(1)
  /// How long the registry keeps a waiting request that its gateway no longer repeats. Five
  /// repetitions must be lost.
  public var waiting: Duration = .seconds(6)
  /// Pause between recalls of one ceiling's leases.
  var recall: Duration = .seconds(1)
  /// How long a gateway returns all unused money after a recall. Longer than two lost recalls.
  var frugality: Duration = .seconds(4)
  /// How long an unused lease is kept. Longer than the pauses of a person who chats.
  var idle: Duration = .seconds(30)

  public init() {}

  /// Until when the registry keeps the money of a gateway that it has just received a renewal from.
  func kept(from now: Instant) -> Instant { now.advanced(by: validity).advanced(by: grace) }
}
