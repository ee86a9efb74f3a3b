import ClusterModel

/// Changes that admins order, carried out one at a time.
///
/// Bounded by the number of admin connections: each connection waits until its order is done.
struct ChangeQueue<Order: Sendable, Outcome: Sendable>: Sendable {
  private typealias Entry = (
    order: Order, outcome: AsyncStream<Result<Outcome, Failure>>.Continuation
  )

  private let entries = AsyncStream.makeStream(of: Entry.self)

  /// Returns when the order has been carried out.
  func submit(_ order: Order) async throws(Failure) -> Outcome {
    let (outcomes, outcome) = AsyncStream.makeStream(of: Result<Outcome, Failure>.self)
    guard case .enqueued = entries.continuation.yield((order, outcome)) else {
      throw Failure(.shuttingDown, "The registry is shutting down; nothing was changed.")
    }
    for await result in outcomes { return try result.get() }
    throw Failure(.cancelled, "The client left before the change was stored.")
  }

  /// Carries out orders until the task is cancelled.
  func run(_ carryOut: (Order) async throws(Failure) -> Outcome) async {
    for await (order, outcome) in entries.stream {
      do throws(Failure) {
        outcome.yield(.success(try await carryOut(order)))
      } catch {
        outcome.yield(.failure(error))
      }
      outcome.finish()
    }
  }
}
