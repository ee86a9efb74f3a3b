import ClusterModel
import Limits
import Synchronization

/// The outcome of an order, for the admin who gave it.
///
/// The order of an admin who has disconnected is still in a queue. It is dropped before it begins: no
/// admin would receive its outcome, and the admin may have repeated it.
struct OrderReceipt<Outcome: Sendable>: Sendable {
  /// Shared by the admin and the queue.
  private final class Admin: Sendable {
    let hasLeft = Mutex(false)
  }

  private let admin = Admin()
  private let outcome: AsyncStream<Outcome>.Continuation

  /// - Parameter outcome: the stream that the admin reads.
  init(_ outcome: AsyncStream<Outcome>.Continuation) {
    self.outcome = outcome
    outcome.onTermination = { [admin] termination in
      if case .cancelled = termination { admin.hasLeft.withLock { $0 = true } }
    }
  }

  /// Whether the admin has disconnected.
  var isAbandoned: Bool { admin.hasLeft.withLock(\.self) }

  func answer(_ outcome: Outcome) {
    self.outcome.yield(outcome)
    self.outcome.finish()
  }
}

extension Failure {
  /// More orders wait than a queue may hold.
  static var tooManyOrders: Failure {
    let limit = Limits.waitingChanges
    return Failure(
      .overloaded,
      "\(limit.value) changes wait for the store (limit \(limit.name)); nothing was changed. Try again "
        + "in a moment.",
      retryAfter: .seconds(1))
  }
}
