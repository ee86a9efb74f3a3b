import ClusterModel
import Limits
import Synchronization

/// Delivers the outcome of an order to the admin who gave it.
///
/// If the admin disconnects while the order waits in a queue, the order is dropped before it
/// begins. No admin would receive its outcome, and the admin may have sent the order again.
struct OrderReceipt<Outcome: Sendable>: Sendable {
  /// Flag that the admin's HTTP request sets when it is cancelled, and the queue reads.
  private final class Presence: Sendable {
    let hasLeft = Mutex(false)
  }

  private let presence = Presence()
  private let outcome: AsyncStream<Outcome>.Continuation

  /// - Parameter outcome: the stream that the admin reads.
  init(_ outcome: AsyncStream<Outcome>.Continuation) {
    self.outcome = outcome
    outcome.onTermination = { [presence] termination in
      if case .cancelled = termination { presence.hasLeft.withLock { $0 = true } }
    }
  }

  /// Whether the admin has disconnected.
  var isAbandoned: Bool { presence.hasLeft.withLock(\.self) }

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
