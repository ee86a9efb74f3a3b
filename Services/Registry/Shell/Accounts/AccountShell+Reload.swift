import ClusterModel
import Logging
import RegistryCore
import Store
import Synchronization
import Telemetry

/// Recovery after a failed write. If another process has taken over the store, this process ends.
extension AccountShell {
  /// Checks for another writer of the store, even while nothing is written. If there is one, the
  /// loop that processes messages ends.
  func watchWriter() async {
    while !Task.isCancelled {
      try? await Task.sleep(for: writerCheckInterval)
      do throws(Failure) {
        try await store.checkWriter()
      } catch {
        // Only `storeTaken` means that there is another writer.
        guard error.code == .storeTaken else { continue }
        stopWriting(error)
        wakeups.continuation.yield()
        return
      }
    }
  }

  /// Rebuilds the book from the store, and retries until this succeeds or the process ends.
  ///
  /// If another process has taken over the store, the book stays stale and this process ends.
  func reload(_ failure: Failure) async {
    state.withLock { _ = $0.book.handle(.writeFailed(failure.message), at: now()) }
    guard failure.code != .storeTaken else { return stopWriting(failure) }
    logger.report(.accountsReadAgain, metadata: [LogKey.reason: "\(failure.message)"])
    await pauseReloads()
    while !Task.isCancelled {
      do throws(Failure) {
        let stored = try await StoredAccounts(store, at: now(), logger: logger)
        state.withLock { state in
          state.book = stored.book
          state.revisions = stored.revisions
          _ = state.book.handle(.hostPrices(state.hostPrices), at: now())
          _ = state.book.handle(.aliases(state.aliases), at: now())
        }
        return try await write(stored.directives)
      } catch {
        if error.code == .storeTaken { return stopWriting(error) }
        logger.report(.accountsNotRestored, metadata: [LogKey.reason: "\(error.message)"])
        // Admins get the error at once. Messages of gateways stay in the inbox.
        for order in takeOrders() { order.answer(.failure(.failed(error))) }
        try? await Task.sleep(for: Self.retry)
      }
    }
  }

  static func reloadPause(after last: Instant?, now: Instant) -> Duration {
    guard let last else { return .zero }
    return max(.zero, retry - last.duration(to: now))
  }

  /// Waits if the book was read again a short time ago.
  private func pauseReloads() async {
    let now = now().instant
    let pause = state.withLock { state -> Duration in
      let pause = Self.reloadPause(after: state.reloaded, now: now)
      state.reloaded = now.advanced(by: pause)
      return pause
    }
    if pause > .zero { try? await Task.sleep(for: pause) }
  }

  private func stopWriting(_ failure: Failure) {
    logger.report(.storeTakenOver, metadata: [LogKey.reason: "\(failure.message)"])
    state.withLock { $0.lost = failure }
  }

  /// Removes all orders from the inbox.
  private func takeOrders() -> [Order] {
    state.withLock { state in
      var orders: [Order] = []
      state.inbox.removeAll { item in
        guard case .order(let order) = item else { return false }
        orders.append(order)
        return true
      }
      state.waitingOrders = 0
      return orders
    }
  }
}
