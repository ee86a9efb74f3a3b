import ClusterModel
import Money
import Store
import Synchronization

/// A store that can fail like a store whose connection is lost.
final class FailingStore: AccountStoring {
  private struct Fault {
    let failure: Failure
    /// Whether the store makes the change before it fails.
    let losesAnswer: Bool
  }

  private let store: AccountStore
  private let fault = Mutex<Fault?>(nil)
  private let pageFault = Mutex<Failure?>(nil)

  init(_ store: AccountStore) { self.store = store }

  /// - Parameter new: `nil` means that the store works.
  func setFault(_ new: Failure?) {
    fault.withLock { $0 = new.map { Fault(failure: $0, losesAnswer: false) } }
  }

  /// Makes changes fail after they were made. Reads work.
  func loseAnswers() {
    fault.withLock { $0 = Fault(failure: Failure(.storeUnreachable, "away"), losesAnswer: true) }
  }

  /// Makes the next read of the ledger's transactions fail.
  func failNextPage(_ failure: Failure) { pageFault.withLock { $0 = failure } }

  private func check() throws(Failure) {
    if let fault = fault.withLock(\.self), !fault.losesAnswer { throw fault.failure }
  }

  private func answer<Value>(_ value: Value) throws(Failure) -> Value {
    if let fault = fault.withLock(\.self) { throw fault.failure }
    return value
  }

  func append(
    _ transactions: [LedgerTransaction], after position: Int64?
  ) async throws(Failure) -> [LedgerAppend] {
    try check()
    return try answer(try await store.append(transactions, after: position))
  }

  func transactions(after position: Int64, limit: Int) async throws(Failure) -> [LedgerRow] {
    try check()
    if let failure = pageFault.withLock({ $0.take() }) { throw failure }
    return try await store.transactions(after: position, limit: limit)
  }

  func transactions(_ query: LedgerQuery) async throws(Failure) -> LedgerPage {
    try check()
    return try await store.transactions(query)
  }

  func transaction(_ id: String) async throws(Failure) -> LedgerTransaction? {
    try check()
    return try await store.transaction(id)
  }

  func balance(of account: AccountID, at time: Int64?) async throws(Failure) -> MicroCredits {
    try check()
    return try await store.balance(of: account, at: time)
  }

  func balances(
    at time: Int64?, after account: AccountID?, limit: Int
  ) async throws(Failure) -> [AccountBalance] {
    try check()
    return try await store.balances(at: time, after: account, limit: limit)
  }

  func apply(
    _ changes: [RecordChange], by author: ChangeAuthor
  ) async throws(Failure) -> ChangeOutcome {
    try check()
    return try answer(try await store.apply(changes, by: author))
  }

  func recordChange(
    ofHost id: String, before: String?, after: String?, by author: ChangeAuthor
  ) async throws(Failure) {
    try check()
    try answer(try await store.recordChange(ofHost: id, before: before, after: after, by: author))
  }

  func keys(after id: String?, limit: Int) async throws(Failure) -> [StoredKey] {
    try check()
    return try await store.keys(after: id, limit: limit)
  }

  func accounts() async throws(Failure) -> [StoredRecord] {
    try check()
    return try await store.accounts()
  }

  func models() async throws(Failure) -> [StoredRecord] {
    try check()
    return try await store.models()
  }

  func settings() async throws(Failure) -> [StoredRecord] {
    try check()
    return try await store.settings()
  }

  func prices(after position: Int64, limit: Int) async throws(Failure) -> [StoredPrice] {
    try check()
    return try await store.prices(after: position, limit: limit)
  }

  func auditPage(_ query: AuditQuery) async throws(Failure) -> AuditPage {
    try check()
    return try await store.auditPage(query)
  }

  func save(_ checkpoint: LedgerCheckpoint) async throws(Failure) {
    try check()
    try answer(try await store.save(checkpoint))
  }

  func checkpoint(before position: Int64?) async throws(Failure) -> ReadCheckpoint? {
    try check()
    return try await store.checkpoint(before: position)
  }

  func removeCheckpoint(at position: Int64) async throws(Failure) {
    try check()
    try await store.removeCheckpoint(at: position)
  }

  func checkWriter() async throws(Failure) { try check() }

  func close() async { await store.close() }
}
