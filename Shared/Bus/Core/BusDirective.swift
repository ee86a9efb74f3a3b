public import ClusterModel
public import Wire

/// In which order, and whether at all, mail waits when a peer reads slowly.
public enum Lane: Sendable {
  /// Never dropped while the process has room: cancels, heartbeats, broken ends of streams.
  case control
  case data
  /// Telemetry and published tables: dropped first, and counted.
  case telemetry
}

/// Whom a message is for.
public enum Destination: Hashable, Sendable {
  /// Any live process of the service: the one that has least of our work in flight.
  case service(ServiceName)
  /// Exactly this process; a restarted one is another.
  case peer(PeerID)
}

/// A request that a handler of ours works on.
public struct RequestKey: Hashable, Sendable {
  public let sender: PeerID
  public let messageID: UInt64

  public init(sender: PeerID, messageID: UInt64) {
    self.sender = sender
    self.messageID = messageID
  }
}

/// What a handler is asked.
public struct BusRequest: Equatable, Sendable {
  public let body: Body
  public let sender: PeerID
  public let trace: TraceContext?
  /// Time left when it arrived; nil: the caller set no deadline.
  public let remaining: Duration?
  /// What must not run twice carries one; empty: none.
  public let idempotencyKey: [UInt8]

  public init(
    body: Body, sender: PeerID, trace: TraceContext?, remaining: Duration?,
    idempotencyKey: [UInt8]
  ) {
    self.body = body
    self.sender = sender
    self.trace = trace
    self.remaining = remaining
    self.idempotencyKey = idempotencyKey
  }
}

/// What the machine asks its shell to do, in this order.
public enum BusDirective: Equatable, Sendable {
  case send(Envelope, to: String, Lane)
  /// Send the same envelope to all of these mailboxes.
  case publish(Envelope, to: [String])
  /// From here on mail to the mailbox is sealed for this process; `nil` means that it is unknown.
  /// `disconnect` makes it unknown, too.
  case seal(mailbox: String, for: Recipient?)
  /// Connect without sending, so that the mailbox's death is noticed.
  case connect(String)
  case disconnect(String)

  /// A call of ours is over.
  case resolve(UInt64, Result<Body, Failure>)
  /// A stream of ours got an item.
  case item(UInt64, Body, bytes: Int)
  /// A stream of ours is over; nil: it ended well.
  case ended(UInt64, Failure?)

  case startCall(RequestKey, BusRequest)
  case startStream(RequestKey, BusRequest)
  /// The handler's caller no longer waits, for this reason.
  case cancelHandler(RequestKey, Failure)
  case deliverCast(Body, from: PeerID)
  case deliverPublication(Body)

  case peersChanged
  case peerLost(PeerID)
  /// Counted by reason.
  case dropped(reason: String)
}
