import ClusterModel
import Foundation
import Logging
import RegistryCore
import ServiceLifecycle
import Store
import Synchronization
import Telemetry
import Text

/// Changes of overrides. `nil` removes an override.
typealias SettingsPatch = [RuntimeSetting: RuntimeValue?]

/// Stores the settings that admins change at run time, one change at a time.
///
/// All overrides are one record. A change is stored with its author before it comes into force, and
/// published at once afterwards.
final class SettingsKeeper: Service {
  /// The overrides, and the revision of their record. 0 means that none was ever stored.
  struct Version: Hashable, Sendable {
    var overrides: RuntimeOverrides
    var revision: Int64
  }

  private struct Order: Sendable {
    let patch: SettingsPatch
    /// Revisions that the admin accepts. `nil` means any.
    let expected: Set<Int64>?
    let author: String
  }

  /// Name of the record in the store and in the audit log.
  static let recordName = "runtime"

  private let store: any AccountStoring
  /// The registry's incarnation.
  private let epoch: UInt64
  private let publish: @Sendable (RuntimeSettingsTable) -> Void
  private let logger: Logger
  private let state: Mutex<Version>
  private let orders = ChangeQueue<Order, Version>()

  /// Reads the stored overrides.
  ///
  /// - Parameters:
  ///   - epoch: the registry's incarnation.
  ///   - publish: sends all overrides to all processes.
  init(
    store: any AccountStoring, epoch: UInt64, logger: Logger,
    publish: @escaping @Sendable (RuntimeSettingsTable) -> Void
  ) async throws(Failure) {
    self.store = store
    self.epoch = epoch
    self.logger = logger
    self.publish = publish
    state = Mutex(try await Self.restored(from: store))
    publish(table)
  }

  var version: Version { state.withLock(\.self) }

  /// The overrides as they are published.
  var table: RuntimeSettingsTable {
    let version = version
    return RuntimeSettingsTable(
      epoch: epoch, revision: UInt64(clamping: version.revision), overrides: version.overrides)
  }

  /// Makes a change, and returns when it is stored, in force and published.
  ///
  /// - Parameters:
  ///   - expected: revisions of which one must be the present one. `nil` means any.
  ///   - author: the admin, as the audit log names it.
  func change(
    _ patch: SettingsPatch, expected: Set<Int64>?, by author: String
  ) async throws(Failure) -> Version {
    try await orders.submit(Order(patch: patch, expected: expected, author: author))
  }

  func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      await orders.run(restore: { [self] () throws(Failure) in try await restore() }) {
        order throws(Failure) in try await carryOut(order)
      }
    }
  }

  private func restore() async throws(Failure) {
    let stored = try await Self.restored(from: store)
    state.withLock { $0 = stored }
    publish(table)
  }

  private func carryOut(_ order: Order) async throws(Failure) -> Version {
    let old = version
    if let expected = order.expected, !expected.contains(old.revision) {
      throw Failure(
        .conflict,
        "Another admin has changed the settings (their ETag is \"\(old.revision)\"); read them "
          + "again.")
    }
    var new = old
    for (setting, value) in order.patch { new.overrides.set(setting, to: value) }
    guard new.overrides != old.overrides else { return old }
    new.revision = try await save(new.overrides, after: old, by: order.author)
    state.withLock { $0 = new }
    publish(table)
    return new
  }

  private func save(
    _ overrides: RuntimeOverrides, after old: Version, by author: String
  ) async throws(Failure) -> Int64 {
    let expected: ExpectedRevision =
      old.revision == 0 ? .absent : .revision(RecordRevision(old.revision))
    do throws(Failure) {
      let outcome = try await store.apply(
        [.saveSetting(Self.recordName, json: overrides.json, expected)],
        by: ChangeAuthor(name: author, time: UnixTime.milliseconds()))
      if case .applied(let revisions) = outcome, let revision = revisions.first {
        return revision.number
      }
    } catch {
      logger.report(.settingsNotSaved, metadata: [LogKey.reason: "\(error.message)"])
      // The change may have been stored.
      orders.markStale()
      throw .notStored(error)
    }
    throw .storeChanged
  }

  private static func restored(
    from store: any AccountStoring
  ) async throws(Failure) -> Version {
    let records = try await store.settings()
    guard let record = records.first(where: { $0.subject == .setting(recordName) }) else {
      return Version(overrides: .none, revision: 0)
    }
    guard let overrides = RuntimeOverrides(json: record.json) else {
      throw Failure(
        .storeDamaged,
        "The stored record of the settings is not a JSON object of texts and numbers. Restore the "
          + "accounts from a backup.")
    }
    return Version(overrides: overrides, revision: record.revision.number)
  }
}

extension RuntimeOverrides {
  /// JSON for the store: an object with the ids of the settings as members.
  var json: String {
    let members = RuntimeSetting.allCases.sorted { $0.id < $1.id }.compactMap { setting in
      self[setting].map { "\"\(setting.id)\":\($0.json)" }
    }
    return "{\(members.joined(separator: ","))}"
  }

  /// Members that this version of Tutti does not know are left out. `nil` means that the text is
  /// not an object, or that a known member is neither text nor number.
  init?(json: String) {
    guard
      let members = try? JSONDecoder().decode([String: JSONScalar].self, from: Data(json.utf8))
    else { return nil }
    var texts: [(id: String, value: String)] = []
    for (id, value) in members where RuntimeSetting(rawValue: id) != nil {
      switch value {
      case .text(let text): texts.append((id, text))
      case .integer(let number): texts.append((id, "\(number)"))
      case .null, .flag, .texts, .object, .other: return nil
      }
    }
    self.init(texts: texts)
  }
}

extension RuntimeValue {
  /// JSON of a value.
  var json: String {
    switch self {
    case .integer(let number): "\(number)"
    case .choice(let choice): String(decoding: JSON.quoted(choice), as: UTF8.self)
    }
  }
}
