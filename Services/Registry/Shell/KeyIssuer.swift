import Access
import ClusterModel
import Files
import Foundation
import Limits
import Logging
import RegistryCore
import ServiceLifecycle
import Store
import Synchronization
import Telemetry

/// Makes, changes and revokes keys, one change at a time.
///
/// A change is stored with its author before it comes into force. It is published at once
/// afterwards.
final class KeyIssuer: Service {
  typealias Plan =
    @Sendable (KeyRegistry, KeyPepper, WallMilliseconds) throws(Failure) -> KeyChange

  /// The outcome of a change.
  struct Issued: Sendable {
    let entry: KeyRegistry.Entry
    /// The new key. `nil` means that the change made no key.
    let key: APIKey?
  }

  private enum Order: Sendable {
    case change(author: String, Plan)
    /// Work during which no key changes.
    case pause(@Sendable (KeyRegistry) async throws(Failure) -> Void)
  }

  private struct State {
    var keys: KeyRegistry
    var pages: [AccessTablePage]
    var revision: UInt64 = 1
    /// Whether the file of `marker` exists.
    var isMarked: Bool
  }

  private let store: any AccountStoring
  private let pepper: KeyPepper
  private let marker: KeyMarker
  /// The registry's incarnation.
  private let epoch: UInt64
  private let publish: @Sendable ([AccessTablePage]) -> Void
  private let checkAccount: @Sendable (AccountPath) async throws(Failure) -> Void
  private let logger: Logger
  private let state: Mutex<State>
  /// Orders that change a key have an outcome.
  private let orders = ChangeQueue<Order, Issued?>()

  /// Reads the stored keys, and makes the pepper at the first start.
  ///
  /// - Parameters:
  ///   - epoch: the registry's incarnation.
  ///   - checkAccount: throws if no key may get this account.
  ///   - publish: sends all keys to the processes that check them.
  init(
    store: any AccountStoring, dataDirectory: String, epoch: UInt64, logger: Logger,
    checkAccount: @escaping @Sendable (AccountPath) async throws(Failure) -> Void = { _ in },
    publish: @escaping @Sendable ([AccessTablePage]) -> Void
  ) async throws {
    let entries = try await Self.restored(from: store)
    let keys = KeyRegistry(restored: entries)
    let pepper = try KeyPepper(dataDirectory: dataDirectory, hasKeys: !entries.isEmpty)
    let marker = KeyMarker(dataDirectory: dataDirectory)
    let isMarked = try marker.exists()
    self.store = store
    self.pepper = pepper
    self.marker = marker
    self.epoch = epoch
    self.publish = publish
    self.checkAccount = checkAccount
    self.logger = logger
    state = Mutex(
      State(
        keys: keys,
        pages: Self.pages(of: keys, pepper, epoch: epoch, revision: 1, isMarked: isMarked),
        isMarked: isMarked))
    if keys.isOpen, isMarked {
      logger.report(.keysMissing, metadata: [LogKey.file: "\(marker.path)"])
    }
    mark()
    publish(pages)
  }

  /// Pages of the present access table.
  var pages: [AccessTablePage] { state.withLock(\.pages) }

  var version: AccessTableVersion {
    AccessTableVersion(epoch: epoch, revision: state.withLock(\.revision))
  }

  func entry(_ id: KeyID) -> KeyRegistry.Entry? { state.withLock { $0.keys[id] } }

  func page(
    after id: String?, limit: Int, matching filter: KeyFilter = KeyFilter()
  ) -> (entries: [KeyRegistry.Entry], hasMore: Bool) {
    // Only the copy is made under the lock. The keys are sorted outside it.
    state.withLock(\.keys).page(after: id, limit: limit, matching: filter)
  }

  func audit(_ query: AuditQuery) async throws(Failure) -> AuditPage {
    try await store.auditPage(query)
  }

  /// Throws if the change is impossible now.
  func check(_ plan: Plan) throws(Failure) {
    _ = try plan(state.withLock(\.keys), pepper, UnixTime.milliseconds())
  }

  /// Makes a change, and returns when it is stored, in force and published.
  ///
  /// - Parameter author: the admin, as the audit log names it.
  func change(
    by author: String, _ plan: @escaping Plan
  ) async throws(Failure) -> Issued {
    guard let issued = try await orders.submit(.change(author: author, plan)) else {
      preconditionFailure("a change of a key has no outcome")
    }
    return issued
  }

  /// Runs work during which no key changes, so that a check of the keys stays valid.
  func pauseChanges(
    during work: @escaping @Sendable (KeyRegistry) async throws(Failure) -> Void
  ) async throws(Failure) {
    _ = try await orders.submit(.pause(work))
  }

  func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      await orders.run(restore: { [self] () throws(Failure) in try await restore() }) {
        order throws(Failure) in try await carryOut(order)
      }
    }
    await store.close()
  }

  // MARK: - Changes

  private func carryOut(_ order: Order) async throws(Failure) -> Issued? {
    switch order {
    case .change(let author, let plan): return try await carryOut(plan, by: author)
    case .pause(let work):
      try await work(state.withLock(\.keys))
      return nil
    }
  }

  private func carryOut(_ plan: Plan, by author: String) async throws(Failure) -> Issued {
    let now = UnixTime.milliseconds()
    let keys = state.withLock(\.keys)
    let change = try plan(keys, pepper, now)
    for record in change.saved where keys[record.id]?.record.account != record.account {
      try await checkAccount(record.account)
    }
    if !change.saved.isEmpty {
      let revisions = try await save(change, of: keys, ChangeAuthor(name: author, time: now))
      update { keys in keys.apply(change, revisions: revisions) }
      mark()
      logger.notice(
        "key changed",
        metadata: ["key": "tutti-\(change.subject)", "author": "\(author)"])
    }
    guard let entry = entry(change.subject) else {
      preconditionFailure("the subject of a change is not a key")
    }
    return Issued(entry: entry, key: change.key)
  }

  /// Changes the keys in memory, and publishes them.
  private func update(_ change: (inout KeyRegistry) -> Void) {
    let pages = state.withLock { state in
      change(&state.keys)
      state.revision += 1
      state.pages = Self.pages(
        of: state.keys, pepper, epoch: epoch, revision: state.revision, isMarked: state.isMarked)
      return state.pages
    }
    publish(pages)
  }

  /// Creates the file of `marker` once there is a key. If that fails, for example because the disk
  /// is full, it is tried again after the next change.
  private func mark() {
    guard state.withLock({ !$0.isMarked && !$0.keys.isOpen }) else { return }
    do throws(FileRefused) {
      try marker.create()
      state.withLock { $0.isMarked = true }
    } catch {
      logger.report(.keysNotMarked, metadata: [LogKey.reason: "\(error.message)"])
    }
  }

  /// - Returns: the new revision of each saved record.
  private func save(
    _ change: KeyChange, of keys: KeyRegistry, _ author: ChangeAuthor
  ) async throws(Failure) -> [Int64] {
    func expected(_ id: KeyID) -> ExpectedRevision {
      keys[id].map { .revision(RecordRevision($0.revision)) } ?? .absent
    }
    let saves = change.saved.map { record in
      RecordChange.saveKey(
        record.id.description, mac: record.hash.bytes, json: StoredKeyJSON.text(of: record),
        expected(record.id))
    }
    // The removal is the last change, so that the first revisions belong to the saved records.
    let removal = change.removed.map { RecordChange.remove(.key($0.description), expected($0)) }
    let outcome: ChangeOutcome
    do throws(Failure) {
      outcome = try await store.apply(saves + [removal].compactMap(\.self), by: author)
    } catch {
      logger.report(.keyNotSaved, metadata: [LogKey.reason: "\(error.message)"])
      // The change may have been stored.
      orders.markStale()
      throw .notStored(error)
    }
    switch outcome {
    case .applied(let revisions): return revisions.prefix(saves.count).map(\.number)
    case .conflict:
      throw .storeChanged
    }
  }

  /// - Parameter isMarked: whether the cluster has had keys, even if none is left.
  private static func pages(
    of keys: KeyRegistry, _ pepper: KeyPepper, epoch: UInt64, revision: UInt64, isMarked: Bool
  ) -> [AccessTablePage] {
    AccessTablePage.pages(
      version: AccessTableVersion(epoch: epoch, revision: revision),
      isOpen: keys.isOpen && !isMarked, pepper: pepper, records: keys.records)
  }

  // MARK: - Restoring

  private func restore() async throws(Failure) {
    let keys = KeyRegistry(restored: try await Self.restored(from: store))
    update { $0 = keys }
    mark()
  }

  private static func restored(
    from store: any AccountStoring
  ) async throws(Failure) -> [KeyRegistry.Entry] {
    var entries: [KeyRegistry.Entry] = []
    while true {
      let rows = try await store.keys(
        after: entries.last?.record.id.description, limit: Limits.ledgerPage.value)
      for row in rows { entries.append(try StoredKeyJSON.entry(of: row)) }
      guard entries.count <= Limits.accessKeys.value else {
        throw Failure(
          .storeDamaged,
          "The store of accounts holds more than \(Limits.accessKeys.value) keys, which a registry "
            + "never stores. Restore it from a backup.")
      }
      if rows.count < Limits.ledgerPage.value { return entries }
    }
  }
}
