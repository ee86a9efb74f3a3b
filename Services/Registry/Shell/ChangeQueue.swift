import ClusterModel
import Limits
import Synchronization

/// Changes that admins order, carried out one at a time.
///
/// At most `store.waiting_changes` changes wait. If an admin disconnects, the admin's waiting
/// change is dropped.
///
/// After a write whose outcome is unknown, the store may have other records than this process. The
/// process then tries to read the records again before it answers the order. If that fails, it
/// repeats the attempt after each pause and before each further order. Orders fail until an attempt
/// succeeds.
final class ChangeQueue<Order: Sendable, Outcome: Sendable>: Sendable {
  private enum Entry: Sendable {
    case order(Order, OrderReceipt<Result<Outcome, Failure>>)
    /// Reads the records again if they may be stale.
    case check
  }

  private struct State {
    /// Whether the store may have other records than this process.
    var isStale = false
    var hasCheck = false
    /// Number of orders that have not begun.
    var waiting = 0
  }

  private let entries = AsyncStream.makeStream(of: Entry.self)
  private let state = Mutex(State())
  private let pause: @Sendable () async throws -> Void

  /// - Parameter pause: waits between two attempts to read the records again. It throws if the
  ///   Swift task is cancelled.
  init(
    pause: @escaping @Sendable () async throws -> Void = { try await Task.sleep(for: .seconds(1)) }
  ) {
    self.pause = pause
  }

  var waitingCount: Int { state.withLock(\.waiting) }

  /// Queues an order, and returns its outcome after it has been carried out.
  func submit(_ order: Order) async throws(Failure) -> Outcome {
    let (outcomes, outcome) = AsyncStream.makeStream(of: Result<Outcome, Failure>.self)
    try state.withLock { state throws(Failure) in
      guard state.waiting < Limits.waitingChanges.value else { throw .tooManyOrders }
      state.waiting += 1
    }
    guard case .enqueued = entries.continuation.yield(.order(order, OrderReceipt(outcome))) else {
      throw Failure(.shuttingDown, "The registry is shutting down; nothing was changed.")
    }
    for await result in outcomes { return try result.get() }
    throw Failure(.cancelled, "The client left before the change was stored.")
  }

  /// Records that the store may have other records than this process. It is called while an order
  /// is carried out.
  func markStale() { state.withLock { $0.isStale = true } }

  /// Carries out orders until the Swift task is cancelled.
  ///
  /// - Parameter restore: reads the stored records and puts them into force. `nil` means that the
  ///   outcome of a write is always known.
  func run(
    restore: (@Sendable () async throws(Failure) -> Void)? = nil,
    _ carryOut: (Order) async throws(Failure) -> Outcome
  ) async {
    await withDiscardingTaskGroup { group in
      if restore != nil { group.addTask { await self.checkWhileStale() } }
      for await entry in entries.stream {
        switch entry {
        case .order(let order, let receipt):
          state.withLock { $0.waiting -= 1 }
          guard !receipt.isAbandoned else { continue }
          receipt.answer(await result(of: order, restore, carryOut))
        case .check:
          state.withLock { $0.hasCheck = false }
          // If this attempt fails, the next check follows.
          try? await restoreIfStale(restore)
        }
      }
      group.cancelAll()
    }
  }

  private func result(
    of order: Order, _ restore: (@Sendable () async throws(Failure) -> Void)?,
    _ carryOut: (Order) async throws(Failure) -> Outcome
  ) async -> Result<Outcome, Failure> {
    do throws(Failure) {
      try await restoreIfStale(restore)
    } catch {
      return .failure(error)
    }
    do throws(Failure) {
      return .success(try await carryOut(order))
    } catch {
      try? await restoreIfStale(restore)
      return .failure(error)
    }
  }

  private func restoreIfStale(
    _ restore: (@Sendable () async throws(Failure) -> Void)?
  ) async throws(Failure) {
    guard let restore, state.withLock(\.isStale) else { return }
    try await restore()
    state.withLock { $0.isStale = false }
  }

  private func checkWhileStale() async {
    while (try? await pause()) != nil {
      let isDue = state.withLock { state in
        guard state.isStale, !state.hasCheck else { return false }
        state.hasCheck = true
        return true
      }
      if isDue { entries.continuation.yield(.check) }
    }
  }
}
