public import BusCore
public import ClusterModel

/// Carries frames between mailboxes. `NanomsgTransport` is the real one, `LoopbackNetwork` the one
/// with faults. Frames arrive and leave unsealed: sealing is the transport's business.
public protocol Transport: AnyObject, Sendable {
  /// URL at which the others reach our mailbox.
  var mailbox: String { get }
  /// URL at which the others subscribe to us; nil: we publish nothing.
  var publisher: String? { get }

  /// Binds and begins to deliver. Events come from one thread, one after another, and must not
  /// block it.
  /// - Throws: an address that cannot be bound, in a sentence that says what to do.
  func start(_ deliver: @escaping @Sendable (TransportEvent) -> Void) throws(ClusterModel.Failure)

  /// Queues one frame for a mailbox, connecting when needed. Never blocks.
  /// - Returns: false when the lane to that mailbox is full and the frame was dropped.
  func send(_ frame: [UInt8], to mailbox: String, lane: Lane) -> Bool

  /// Connects without sending, so that the mailbox's death is noticed.
  func connect(to mailbox: String)

  /// Closes the connection to a mailbox and drops what waits for it.
  func disconnect(from mailbox: String)

  func subscribe(to publisher: String)
  func publish(_ frame: [UInt8])

  /// Gives what is queued a last chance to leave within the grace, then closes every socket.
  func stop(grace: Duration) async
}

public enum TransportEvent: Sendable {
  /// A frame for our mailbox or from a publisher.
  case frame([UInt8])
  /// A mailbox that was connected no longer is: its process died or went away.
  case lost(mailbox: String)
  /// Something arrived that was not ours to read: too large, not sealed, replayed.
  case dropped(reason: String)
}
