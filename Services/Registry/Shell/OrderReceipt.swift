import ClusterModel
import Limits
import Synchronization

/// Delivers the outcome of an order to the admin who gave it.
///
/// If the admin disconnects while the order waits in a queue, the order is dropped before it
/// begins. No admin would receive its outcome, and the admin may have sent the order again.
struct OrderReceipt<Outcome: Sendable>: Sendable {
  /// State that the admin's task and the queue share.
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
  /// The error if the queue is full of waiting orders.
  static var tooManyOrders: Failure {
    let limit = Limits.waitingChanges
    return Failure(
      .overloaded,
      "\(limit.value) changes wait for the store (limit \(limit.name)); nothing was changed. Try again "
        + "in a moment.",
      retryAfter: .seconds(1))
  }
}
