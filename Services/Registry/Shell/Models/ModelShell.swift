import ClusterModel
import Foundation
import Limits
import Logging
import RegistryCore
import ServiceLifecycle
import Store
import Synchronization
import Telemetry

/// Changes the records of models, one change at a time, and applies them with the setting
/// `models.approval`.
///
/// A change is stored with its author before it comes into force.
final class ModelShell: Service {
  typealias Plan = @Sendable (ModelRegistry) throws(Failure) -> ModelRegistry.Change

  private struct Order: Sendable {
    let author: String
    let plan: Plan
  }

  private struct State {
    var models: ModelRegistry
    var approval: ModelApproval
  }

  private let store: any AccountStoring
  private let logger: Logger
  private let check: @Sendable (ModelRegistry) throws(Failure) -> Void
  /// `apply` is called under the lock. Otherwise two calls at the same time could apply their
  /// states in the wrong order.
  private let state: Mutex<State>
  private let apply: @Sendable (ModelRegistry, ModelApproval) -> Void
  private let orders = ChangeQueue<Order, Void>()

  /// Reads the stored records and applies them.
  ///
  /// - Parameters:
  ///   - check: gets all records as they would be after a change, and throws to refuse the change.
  ///     It must be quick.
  ///   - apply: puts all records into force. It must be quick and must not use this object.
  init(
    store: any AccountStoring, logger: Logger, approval: ModelApproval = .open,
    check: @escaping @Sendable (ModelRegistry) throws(Failure) -> Void = { _ in },
    apply: @escaping @Sendable (ModelRegistry, ModelApproval) -> Void
  ) async throws(Failure) {
    let models = try await Self.restored(from: store)
    self.store = store
    self.logger = logger
    self.check = check
    self.apply = apply
    state = Mutex(State(models: models, approval: approval))
    apply(models, approval)
  }

  var models: ModelRegistry { state.withLock(\.models) }

  /// Takes the value of `models.approval`. It is in force on return.
  func setApproval(_ approval: ModelApproval) {
    state.withLock { state in
      guard state.approval != approval else { return }
      state.approval = approval
      apply(state.models, approval)
    }
  }

  /// Makes a change, and returns when it is stored and in force.
  ///
  /// - Parameter author: the admin, as the audit log names it.
  func change(by author: String, _ plan: @escaping Plan) async throws(Failure) {
    try await orders.submit(Order(author: author, plan: plan))
  }

  func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      await orders.run(restore: { [self] () throws(Failure) in try await restore() }) {
        order throws(Failure) in try await carryOut(order)
      }
    }
  }

  private static func restored(
    from store: any AccountStoring
  ) async throws(Failure) -> ModelRegistry {
    var entries: [ModelRegistry.Entry] = []
    for row in try await store.models() { entries.append(try StoredModel.entry(of: row)) }
    return ModelRegistry(restored: entries)
  }

  private func restore() async throws(Failure) {
    let models = try await Self.restored(from: store)
    state.withLock { state in
      state.models = models
      apply(models, state.approval)
    }
  }

  private func carryOut(_ order: Order) async throws(Failure) {
    let change = try order.plan(models)
    guard !change.isEmpty else { return }
    var changed = models
    changed.apply(change, revision: ModelRegistry.absent)
    try check(changed)
    let revision = try await save(change, by: order.author)
    state.withLock { state in
      state.models.apply(change, revision: revision)
      apply(state.models, state.approval)
    }
    logger.notice(
      "model changed", metadata: ["model": "\(change.id)", "author": "\(order.author)"])
  }

  /// - Returns: the new revision of the record.
  private func save(
    _ change: ModelRegistry.Change, by author: String
  ) async throws(Failure) -> Int64 {
    let name = change.id.name
    let expected = change.revision.map { ExpectedRevision.revision(RecordRevision($0)) } ?? .absent
    let outcome: ChangeOutcome
    do throws(Failure) {
      let stored: RecordChange =
        if let record = change.record {
          .saveModel(name, json: try StoredModel.text(of: record), expected)
        } else {
          .remove(.model(name), expected)
        }
      outcome = try await store.apply(
        [stored], by: ChangeAuthor(name: author, time: UnixTime.milliseconds()))
    } catch {
      logger.report(.modelNotSaved, metadata: [LogKey.reason: "\(error.message)"])
      // The change may have been stored.
      orders.markStale()
      throw .notStored(error)
    }
    switch outcome {
    case .applied(let revisions): return revisions.last?.number ?? ModelRegistry.absent
    case .conflict:
      throw .storeChanged
    }
  }
}

/// A model's record as the store has it.
private enum StoredModel {
  static func text(of record: ModelRecord) throws(Failure) -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      return String(decoding: try encoder.encode(record), as: UTF8.self)
    } catch {
      throw Failure(.internalError, "A record could not be written as JSON: \(error)")
    }
  }

  static func entry(of row: StoredRecord) throws(Failure) -> ModelRegistry.Entry {
    let record: ModelRecord
    do {
      record = try JSONDecoder().decode(ModelRecord.self, from: Data(row.json.utf8))
    } catch {
      throw damaged(row)
    }
    guard row.subject == .model(record.id.name) else { throw damaged(row) }
    return ModelRegistry.Entry(record: record, revision: row.revision.number)
  }

  private static func damaged(_ row: StoredRecord) -> Failure {
    // A guessed record could let a host serve a model that it must not serve.
    Failure(
      .storeDamaged,
      "A record of a model cannot be read: \(row.json.cut(toBytes: 200)); restore the file from a "
        + "copy.")
  }
}
