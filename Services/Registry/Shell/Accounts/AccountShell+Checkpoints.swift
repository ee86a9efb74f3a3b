import ClusterModel
import Logging
import RegistryCore
import Store
import Synchronization
import Telemetry

/// Checkpoints of the ledger.
extension AccountShell {
  /// Hands the book over for a checkpoint if one is due. All its transactions are durable.
  func offerCheckpoint() {
    let due = state.withLock { state -> AccountBook? in
      let position = state.book.transactionCount
      guard position - state.duePosition >= checkpointInterval else { return nil }
      // Also if it fails: the next one is due after another interval.
      state.duePosition = position
      return state.book
    }
    if let due { books.continuation.yield(due) }
  }

  /// Writes a checkpoint at the end, so that the next process replays nothing.
  func saveLastCheckpoint() async {
    let (book, saved) = state.withLock { ($0.book, $0.savedPosition) }
    if book.transactionCount > saved { await saveCheckpoint(of: book) }
  }

  func saveCheckpoint(of book: AccountBook) async {
    guard let checkpoint = book.checkpoint else { return }
    do throws(Failure) {
      try await store.save(try LedgerCheckpoint(checkpoint))
      state.withLock { $0.savedPosition = checkpoint.position }
      logger.debug(
        "checkpoint of the ledger written", metadata: ["position": "\(checkpoint.position)"])
    } catch {
      // The next start takes longer, and nothing is lost.
      logger.warning(
        "checkpoint of the ledger not written", metadata: [LogKey.reason: "\(error.message)"])
    }
  }
}
