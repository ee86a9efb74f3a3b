import Access
import ClusterModel
import Foundation
import Money
import RegistryCore
import Store

/// The book of accounts as the store has it, with the revision of each record.
struct StoredAccounts: Sendable {
  let book: AccountBook
  /// Directives that follow from the present time.
  let directives: [AccountBook.Directive]
  let revisions: [RecordSubject: RecordRevision]

  /// Reads all records and replays the ledger.
  init(_ store: AccountStore, at time: AccountTime) async throws(Failure) {
    var revisions: [RecordSubject: RecordRevision] = [:]
    do {
      var replay = try AccountReplay(at: time)
      for stored in try await store.accounts() + store.settings() {
        guard let record = try AccountRecord(stored) else { continue }
        replay.add(record)
        revisions[stored.subject] = stored.revision
      }
      var last: Int64 = 0
      while true {
        let page = try await store.prices(after: last)
        guard let end = page.last else { break }
        for stored in page { replay.add(try AccountRecord(stored)) }
        last = end.position
      }
      for try await page in store.replay() {
        for row in page { try replay.add(row.transaction) }
      }
      (book, directives) = try replay.finish(keys: try await Self.keys(of: store))
    } catch let failure as Failure {
      throw failure
    } catch {
      throw Failure(
        .storeDamaged, "The accounts cannot be restored: \(error); restore the file from a copy.")
    }
    self.revisions = revisions
  }

  private static func keys(
    of store: AccountStore
  ) async throws -> [String: (account: AccountPath, isActive: Bool)] {
    var keys: [String: (account: AccountPath, isActive: Bool)] = [:]
    var last: String?
    while true {
      let page = try await store.keys(after: last)
      guard let end = page.last else { return keys }
      for key in page {
        let record = try JSONDecoder().decode(StoredKeyAccount.self, from: Data(key.json.utf8))
        keys[key.id] = (record.account, record.state == .active)
      }
      last = end.id
    }
  }
}

/// The members of a stored key that accounts need.
private struct StoredKeyAccount: Decodable {
  let account: AccountPath
  let state: KeyState
}

extension AccountStore {
  /// Proves the whole ledger, page by page.
  ///
  /// - Parameter time: balances of this time are compared; see `LedgerAudit`.
  func audit(until time: Int64) async throws(Failure) -> LedgerAudit {
    var audit = LedgerAudit(comparedUntil: time)
    for try await page in replay() {
      for row in page { audit.add(row.transaction) }
    }
    var balances: [AccountID: MicroCredits] = [:]
    var last: AccountID?
    while true {
      let page = try await self.balances(at: time, after: last)
      guard let end = page.last else { break }
      for row in page { balances[row.account] = row.balance }
      last = end.account
    }
    audit.compare(balances)
    return audit
  }
}
