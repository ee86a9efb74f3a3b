import ClusterModel
import Logging
import RegistryCore
import Store
import Synchronization
import Telemetry

/// Checkpoints of the ledger.
extension AccountShell {
  /// Queues the book for a checkpoint if one is due. All transactions of the book are durable by
  /// now.
  func offerCheckpoint() {
    let due = state.withLock { state -> AccountBook? in
      let position = state.book.transactionCount
      guard position - state.duePosition >= checkpointInterval else { return nil }
      // The place is set even if the checkpoint fails later. The next one is due after another
      // interval.
      state.duePosition = position
      return state.book
    }
    if let due { books.continuation.yield(due) }
  }

  /// Writes a checkpoint at the end of this process, so that the next process replays nothing.
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
      // Nothing is lost without a checkpoint. The next start only takes longer.
      logger.report(.checkpointNotWritten, metadata: [LogKey.reason: "\(error.message)"])
    }
  }
}
