internal import ClusterModel

/// Durations on which gateways and the registry agree.
public struct LeaseTerms: Hashable, Sendable {
  /// Time for which a gateway may spend its leases after it sent a renewal that was confirmed.
  ///
  /// A gateway can spend its leases for this time while the registry is away. The money of a
  /// gateway that dies stays reserved for this time and `grace`, or until its successor has settled
  /// its requests.
  var validity: Duration = .seconds(60)
  /// Additional time for which the registry keeps the money, because clocks run at different
  /// speeds.
  var grace: Duration = .seconds(3)
  /// Pause between renewals. Leases expire only if twelve renewals in a row are lost.
  var renewal: Duration = .seconds(5)
  /// Pause before an unanswered message is sent again.
  var retry: Duration = .seconds(1)
  /// Time for which the registry keeps a waiting ask that its gateway no longer repeats. So a
  /// waiting ask is forgotten only if five repetitions are lost.
  public var waiting: Duration = .seconds(6)
  /// Pause between recalls of one ceiling's leases.
  var recall: Duration = .seconds(1)
  /// Time for which a gateway returns all unused money after a recall. It covers two lost recalls.
  var frugality: Duration = .seconds(4)
  /// Time after which an unused lease ends. It is longer than the pauses of a person who chats.
  var idle: Duration = .seconds(30)

  public init() {}

  /// Time until which the registry keeps the money of a gateway whose renewal it has just received.
  func kept(from now: Instant) -> Instant { now.advanced(by: validity).advanced(by: grace) }
}
