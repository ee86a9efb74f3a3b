public import BusCore
public import ClusterModel

/// Carries frames between mailboxes. `NanomsgTransport` is for production, `LoopbackNetwork`
/// simulates faults. Callers see unsealed frames; the transport seals and opens them.
public protocol Transport: AnyObject, Sendable {
  /// URL at which other processes reach this mailbox.
  var mailbox: String { get }
  /// Public key of this process; empty if frames are not sealed.
  var publicKey: [UInt8] { get }

  /// Binds the mailbox and begins to deliver. Frames and losses are delivered by one thread, one
  /// after another, so `deliver` must not block. Drops may be delivered by other threads.
  /// - Throws: an error if the address cannot be bound; its message says what to do.
  func start(_ deliver: @escaping @Sendable (TransportEvent) -> Void) throws(ClusterModel.Failure)

  /// Queues one frame for a mailbox and connects if needed. Never blocks.
  /// - Returns: `false` if the frame was dropped, because an outbox is full or the transport has
  ///   stopped.
  func send(_ frame: [UInt8], to mailbox: String, lane: Lane) -> Bool

  /// Seals later frames to the mailbox for the recipient. `nil` means that the recipient is
  /// unknown.
  func seal(_ mailbox: String, for recipient: Recipient?)

  /// Connects without sending, so that the peer's death is noticed.
  func connect(to mailbox: String)

  /// Closes the connection to a mailbox and drops its queued frames.
  func disconnect(from mailbox: String)

  /// Sends queued frames for at most `grace`, then closes all sockets.
  func stop(grace: Duration) async
}

public enum TransportEvent: Sendable {
  /// A frame for this mailbox. `from` is `nil` if frames are not sealed.
  case frame([UInt8], from: SealedSender?)
  /// The connection to a mailbox was lost: its process died or became unreachable.
  case lost(mailbox: String)
  /// A frame was dropped or a connection refused, for example because a frame is too large, not
  /// sealed or replayed.
  case dropped(reason: String)
}
