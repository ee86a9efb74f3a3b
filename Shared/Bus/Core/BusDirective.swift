public import ClusterModel

/// Priority class of a frame that waits in an outbox.
public enum Lane: Sendable {
  /// Hellos, pings, cancels, refusals, and the ends of streams that were cut. They are dropped only
  /// if this lane is full.
  case control
  case data
  /// Telemetry and published tables. They are dropped first, and drops are counted.
  case telemetry
}

/// The recipient of a message.
public enum Destination: Hashable, Sendable {
  /// The service's live process that has the fewest requests in flight to and from this process.
  case service(ServiceName)
  /// One process. A restarted process is a different peer.
  case peer(PeerID)
}

/// Key of a request that a handler of this process works on.
public struct RequestKey: Hashable, Comparable, Sendable {
  public let sender: PeerID
  public let messageID: UInt64

  public init(sender: PeerID, messageID: UInt64) {
    self.sender = sender
    self.messageID = messageID
  }

  public static func < (left: RequestKey, right: RequestKey) -> Bool {
    (left.sender, left.messageID) < (right.sender, right.messageID)
  }
}

/// A request as its handler gets it.
public struct BusRequest: Equatable, Sendable {
  public let body: Body
  public let sender: PeerID
  public let trace: TraceContext?
  /// Time that was left until the caller's deadline when the request was sent. `nil` means that the
  /// caller set no deadline.
  public let remaining: Duration?
  /// Identifies a request that must not run twice. Empty if the caller gave no such key.
  let idempotencyKey: [UInt8]

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

/// An instruction from the machine to its shell. The shell executes directives in order.
public enum BusDirective: Equatable, Sendable {
  case send(Envelope, to: String, Lane)
  /// Sends the same envelope to all of these mailboxes.
  case publish(Envelope, to: [String])
  /// Seals later frames to the mailbox for the recipient. `nil` means that the recipient is
  /// unknown. After `disconnect` the recipient is unknown, too.
  case seal(mailbox: String, for: Recipient?)
  /// Connects without sending, so that the peer's death is noticed.
  case connect(String)
  case disconnect(String)

  /// Decodes a message that arrived in fragments. The result goes to `received(_:decodedAs:now:)`
  /// before the next frame.
  case decode(ReassembledMessage)

  /// Completes an outgoing call.
  case resolve(UInt64, Result<Body, Failure>)
  /// Delivers an item of an outgoing stream.
  case item(UInt64, Body, bytes: Int)
  /// Ends an outgoing stream. `nil` means that it ended without an error.
  case ended(UInt64, Failure?)

  case startCall(RequestKey, BusRequest)
  case startStream(RequestKey, BusRequest)
  /// Cancels a handler. The failure is the reason.
  case cancelHandler(RequestKey, Failure)
  case deliverCast(Body, from: PeerID)
  case deliverPublication(Body)

  case peersChanged
  case peerLost(PeerID)
  /// A dropped message, counted by reason.
  case dropped(reason: String)
}
