public import BusCore
public import ClusterModel

/// Carries frames between mailboxes. `NanomsgTransport` is the real one, `LoopbackNetwork` the one
/// with faults. Frames arrive and leave unsealed: sealing is the transport's business.
public protocol Transport: AnyObject, Sendable {
  /// URL at which the others reach our mailbox.
  var mailbox: String { get }
  /// Our public key; empty if frames are not sealed.
  var publicKey: [UInt8] { get }

  /// Binds and begins to deliver. Frames and losses come from one thread, one after another, and
  /// must not block it; drops may come from others.
  /// - Throws: an address that cannot be bound, in a sentence that says what to do.
  func start(_ deliver: @escaping @Sendable (TransportEvent) -> Void) throws(ClusterModel.Failure)

  /// Queues one frame for a mailbox, connecting when needed. Never blocks.
  /// - Returns: false when the lane to that mailbox is full and the frame was dropped.
  func send(_ frame: [UInt8], to mailbox: String, lane: Lane) -> Bool

  /// From here on mail to the mailbox is sealed for this process; `nil` means that it is unknown.
  func seal(_ mailbox: String, for recipient: Recipient?)

  /// Connects without sending, so that the mailbox's death is noticed.
  func connect(to mailbox: String)

  /// Closes the connection to a mailbox and drops what waits for it.
  func disconnect(from mailbox: String)

  /// Gives what is queued a last chance to leave within the grace, then closes every socket.
  func stop(grace: Duration) async
}

public enum TransportEvent: Sendable {
  /// A frame for our mailbox. `from` is `nil` if frames are not sealed.
  case frame([UInt8], from: SealedSender?)
  /// A mailbox that was connected no longer is: its process died or went away.
  case lost(mailbox: String)
  /// Something arrived that was not ours to read: too large, not sealed, replayed.
  case dropped(reason: String)
}
