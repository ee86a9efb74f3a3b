import ClusterModel
import Limits
import Overload
import Synchronization

/// The events of one plan that wait to be written to its client. The dispatcher's stream comes over
/// the bus without back pressure, so the gateway cuts off a client that reads too slowly.
final class PlanBacklog: Sendable {
  /// The error for a client that reads too slowly.
  static let slowReader = Failure(
    .slowReader,
    "the client reads more slowly than the answer arrives: more than "
      + "\(Limits.streamUnread.value) bytes of it are unread (limit \(Limits.streamUnread.name))")

  private let bytes = Atomic(0)
  private let account: MemoryAccount

  /// - Parameter end: ends the plan. It is called if the process holds too much memory and this
  ///   backlog is the largest.
  init(_ memory: MemoryBudget, end: @escaping @Sendable (Failure) -> Void) {
    account = memory.unreadAccount(end: end)
  }

  /// - Returns: `false` if too many bytes are unread, or if the process has no memory for them.
  func add(_ event: PlanEvent) -> Bool {
    let (before, waiting) = bytes.add(event.keptBytes, ordering: .relaxed)
    // A single large event does not mean that the client is slow.
    guard before == 0 || waiting <= Limits.streamUnread.value else { return false }
    // Up to `streamPause` bytes are included in each request's fixed charge.
    return waiting <= Limits.streamPause.value || account.set(waiting)
  }

  func remove(_ event: PlanEvent) {
    let (before, waiting) = bytes.subtract(event.keptBytes, ordering: .relaxed)
    if before > Limits.streamPause.value { _ = account.set(waiting) }
  }
}

extension PlanEvent {
  /// Bytes that the event takes while it waits.
  var keptBytes: Int {
    switch self {
    case .delta(let delta):
      Self.entryBytes + delta.text.utf8.count + (delta.deltaJSON?.capacity ?? 0)
    case .ended(let ended):
      Self.entryBytes + ended.reason.utf8.count + (ended.report?.keptBytes ?? 0)
    case .expanded(_, let sub): Self.entryBytes * (1 + sub.tasks.count)
    case .started, .firstToken, .finished: Self.entryBytes
    }
  }

  private static let entryBytes = MemoryLayout<PlanEvent>.stride + 128
}
