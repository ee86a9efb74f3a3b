import Access
import ClusterModel
import Foundation
import Limits
import Logging
import Money
import RegistryCore
import Store
import Telemetry

/// The book of accounts as rebuilt from the store, with the revision of each record.
struct StoredAccounts: Sendable {
  let book: AccountBook
  /// Directives of the replay, such as the publication of prices. The caller performs them.
  let directives: [AccountBook.Directive]
  let revisions: [RecordSubject: RecordRevision]
  /// Place of the checkpoint with which the replay began. 0 means that there was none.
  let checkpointPosition: Int64

  /// Reads all records, and replays the ledger after its latest valid checkpoint.
  init(_ store: any AccountStoring, at time: AccountTime, logger: Logger) async throws(Failure) {
    do {
      let records = try await StoredRecords(store, at: time)
      var (replay, position) = await Self.start(records, store, logger)
      checkpointPosition = position
      for try await page in store.replay(after: position) {
        for row in page { try replay.add(row.transaction) }
      }
      (book, directives) = try replay.finish(keys: try await Self.keys(of: store))
      revisions = records.revisions
    } catch let failure as Failure {
      throw failure
    } catch {
      throw Failure(
        .storeDamaged, "The accounts cannot be restored: \(error); restore the file from a copy.")
    }
  }

  /// A replay that starts from the latest valid checkpoint, and the checkpoint's place in the
  /// ledger.
  ///
  /// Later checkpoints, which are not valid, are removed. Nothing is lost, because a replay of the
  /// ledger computes the same facts. If no checkpoint is valid, or one cannot be read, the replay
  /// starts at place 0.
  private static func start(
    _ records: StoredRecords, _ store: any AccountStoring, _ logger: Logger
  ) async -> (AccountReplay, Int64) {
    var before: Int64?
    do throws(Failure) {
      while let stored = try await store.checkpoint(before: before) {
        before = stored.position
        // A failed read does not prove that the checkpoint is wrong, so the checkpoint stays.
        let last =
          stored.position > 0
          ? try await store.transactions(after: stored.position - 1, limit: 1).first : nil
        do throws(CheckpointFault) {
          let checkpoint = try AccountCheckpoint(stored)
          guard let last else {
            throw CheckpointFault("the ledger has no transaction at its place")
          }
          var replay = records.replay
          try replay.restore(checkpoint, last: last.transaction)
          return (replay, checkpoint.position)
        } catch {
          logger.report(
            .checkpointIgnored,
            metadata: ["position": "\(stored.position)", LogKey.reason: "\(error)"])
          try await store.removeCheckpoint(at: stored.position)
        }
      }
    } catch {
      logger.report(.checkpointsUnreadable, metadata: [LogKey.reason: "\(error.message)"])
    }
    return (records.replay, 0)
  }

  private static func keys(
    of store: any AccountStoring
  ) async throws -> [String: (account: AccountPath, isActive: Bool)] {
    var keys: [String: (account: AccountPath, isActive: Bool)] = [:]
    var last: String?
    while true {
      let page = try await store.keys(after: last, limit: Limits.ledgerPage.value)
      guard let end = page.last else { return keys }
      for key in page {
        let record = try JSONDecoder().decode(StoredKeyAccount.self, from: Data(key.json.utf8))
        keys[key.id] = (record.account, record.state == .active)
      }
      last = end.id
    }
  }
}

/// All stored records of accounts, prices and the tariff, added to an `AccountReplay` that has no
/// transactions yet.
struct StoredRecords: Sendable {
  private(set) var replay: AccountReplay
  private(set) var revisions: [RecordSubject: RecordRevision] = [:]

  init(_ store: any AccountStoring, at time: AccountTime) async throws {
    replay = try AccountReplay(at: time)
    for stored in try await store.accounts() + store.settings() {
      guard let record = try AccountRecord(stored) else { continue }
      replay.add(record)
      revisions[stored.subject] = stored.revision
    }
    var last: Int64 = 0
    while true {
      let page = try await store.prices(after: last, limit: Limits.ledgerPage.value)
      guard let end = page.last else { return }
      for stored in page { replay.add(try AccountRecord(stored)) }
      last = end.position
    }
  }
}

/// The members of a stored key that accounts need.
private struct StoredKeyAccount: Decodable {
  let account: AccountPath
  let state: KeyState
}

extension AccountStoring {
  /// Proves the whole ledger, page by page, and all its checkpoints.
  ///
  /// - Parameter time: time of the balances that are compared; see `LedgerAudit`.
  func audit(until time: Int64) async throws(Failure) -> LedgerAudit {
    var audit = LedgerAudit(comparedUntil: time)
    // Checkpoints are read before the records. A budget that is made between the two reads is then
    // younger than every checkpoint.
    var proof = try await CheckpointProof(self, at: time, &audit)
    for try await page in replay() {
      for row in page {
        audit.add(row.transaction)
        proof.add(row, &audit)
      }
    }
    proof.finish(&audit)
    var balances: [AccountID: MicroCredits] = [:]
    var last: AccountID?
    while true {
      let page = try await self.balances(
        at: time, after: last, limit: Limits.ledgerPage.value)
      guard let end = page.last else { break }
      for row in page { balances[row.account] = row.balance }
      last = end.account
    }
    audit.compare(balances)
    return audit
  }
}

/// Compares checkpoints with a replay of the ledger from its first transaction.
private struct CheckpointProof {
  /// Checkpoints that are not compared yet, the earliest one last.
  private var checkpoints: [AccountCheckpoint] = []
  private var replay: AccountReplay?

  init(
    _ store: any AccountStoring, at time: Int64, _ audit: inout LedgerAudit
  ) async throws(Failure) {
    var before: Int64?
    while let stored = try await store.checkpoint(before: before) {
      before = stored.position
      do throws(CheckpointFault) {
        checkpoints.append(try AccountCheckpoint(stored))
      } catch {
        audit.reportCheckpoint(at: stored.position, "is not used: \(error)")
      }
    }
    guard !checkpoints.isEmpty else { return }
    do {
      replay = try await StoredRecords(store, at: AccountTime(wall: time, instant: .zero)).replay
    } catch let failure as Failure {
      throw failure
    } catch {
      throw Failure(.storeDamaged, "The records of accounts cannot be restored: \(error).")
    }
  }

  mutating func add(_ row: LedgerRow, _ audit: inout LedgerAudit) {
    guard let next = checkpoints.last, replay != nil else { return }
    do throws(ReplayFault) {
      try replay?.add(row.transaction)
    } catch {
      audit.reportCheckpoint(at: next.position, "cannot be compared: \(error)")
      checkpoints = []
      return
    }
    guard row.position >= next.position, let replayed = replay?.checkpoint else { return }
    for difference in next.differences(from: replayed) {
      audit.reportCheckpoint(at: next.position, difference)
    }
    checkpoints.removeLast()
  }

  /// Reports checkpoints at places that the ledger does not reach.
  mutating func finish(_ audit: inout LedgerAudit) {
    for checkpoint in checkpoints {
      audit.reportCheckpoint(
        at: checkpoint.position, "covers transactions that the ledger does not have")
    }
    checkpoints = []
  }
}
