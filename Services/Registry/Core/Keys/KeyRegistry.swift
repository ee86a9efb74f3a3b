public import Access
public import ClusterModel
import Limits

/// All keys of the cluster, and the rules for their changes.
///
/// A change is planned, stored by the caller, and then applied. Therefore every change in force is
/// stored. The caller makes one change at a time.
public struct KeyRegistry: Sendable {
  public struct Entry: Hashable, Sendable {
    public let record: KeyRecord
    /// Number of the record's latest change. No two changes have the same number.
    public let revision: Int64

    public init(record: KeyRecord, revision: Int64) {
      self.record = record
      self.revision = revision
    }
  }

  /// Scopes of a key for which the admin names none.
  static let defaultScopes: Set<AccessScope> = [.chat, .embeddings, .plans]
  public static let defaultAccount = "default"
  /// Time for which a replaced key stays valid if the admin names none: a working day and the night
  /// after it.
  public static let defaultGrace: WallMilliseconds = 24 * 3_600_000

  private let capacity: Int
  private var entries: [KeyID: Entry]

  /// - Parameter capacity: maximum number of keys. `nil` means `access.keys`.
  public init(restored: [Entry] = [], capacity: Int? = nil) {
    self.capacity = capacity ?? Limits.accessKeys.value
    entries = Dictionary(
      restored.map { ($0.record.id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  /// Whether the store has no key. Requests then need no key, unless `KeyMarker` shows that the
  /// cluster has had one.
  ///
  /// The last key is never removed, because a revoked key stays until a new one needs its place.
  /// Therefore a cluster with keys never becomes open again.
  public var isOpen: Bool { entries.isEmpty }

  public var count: Int { entries.count }

  public subscript(_ id: KeyID) -> Entry? { entries[id] }

  /// The records in the order of their ids.
  public var records: [KeyRecord] { sorted.map(\.record) }

  /// Keys in the order of their ids.
  ///
  /// - Parameter id: the last key of the previous page. `nil` means the first page.
  public func page(
    after id: String?, limit: Int, matching filter: KeyFilter = KeyFilter()
  ) -> (entries: [Entry], hasMore: Bool) {
    let rest = sorted.drop { entry in id.map { entry.record.id.description <= $0 } ?? false }
      .filter { filter.admits($0.record) }
    return (Array(rest.prefix(limit)), rest.count > limit)
  }

  /// Keys of an account that have not ended, in the order of their ids. An organisation's keys
  /// include those of its teams.
  public func unendedKeys(of account: AccountPath, at now: WallMilliseconds) -> [KeyRecord] {
    let filter = KeyFilter(account: account)
    return records.filter { filter.admits($0) && !$0.hasEnded(at: now) }
  }

  private var sorted: [Entry] {
    entries.values.map { ($0.record.id.description, $0) }.sorted { $0.0 < $1.0 }.map(\.1)
  }

  // MARK: - Plans of changes

  /// Plans a new key.
  ///
  /// - Parameters:
  ///   - settings: must contain a name.
  ///   - random: `APIKey.randomByteCount` bytes of the system's generator.
  public func create(
    _ settings: KeyPatch, random: [UInt8], pepper: KeyPepper, at now: WallMilliseconds
  ) throws(Failure) -> KeyChange {
    guard settings.name != nil else {
      throw Failure(.invalidRequest, "name is missing.", param: "name")
    }
    let key = try newKey(random)
    guard let account = AccountPath(Self.defaultAccount) else {
      preconditionFailure("the default account's name is valid")
    }
    var record = KeyRecord(
      id: key.id, name: "", account: account, hash: KeyHash(of: key, pepper: pepper),
      scopes: Self.defaultScopes)
    try settings.apply(to: &record, at: now)
    return KeyChange(
      subject: key.id, saved: [record], removed: try keyToRemove(at: now), key: key)
  }

  /// Plans a change of a key's settings. A revoked key cannot be changed.
  ///
  /// - Parameter expected: revisions that the caller permits. `nil` means any.
  public func patch(
    _ id: KeyID, _ patch: KeyPatch, expected: Set<Int64>? = nil, at now: WallMilliseconds
  ) throws(Failure) -> KeyChange {
    let entry = try unrevoked(id, expected)
    var record = entry.record
    try patch.apply(to: &record, at: now)
    return change(entry, to: record)
  }

  /// Plans a new key with the same settings. The old key stays valid for the grace period.
  public func rotate(
    _ id: KeyID, grace: WallMilliseconds, expected: Set<Int64>? = nil, random: [UInt8],
    pepper: KeyPepper, at now: WallMilliseconds
  ) throws(Failure) -> KeyChange {
    let entry = try unrevoked(id, expected)
    var old = entry.record
    guard old.graceUntil == nil else {
      throw Failure(
        .keyEnded,
        "Key tutti-\(id) has been replaced already\(replacement(of: id)); rotate the new key.")
    }
    guard old.state == .active else {
      throw Failure(.keyEnded, "Key tutti-\(id) is disabled; enable it before you rotate it.")
    }
    if let end = old.expiresAt, end <= now {
      throw Failure(
        .keyEnded, "Key tutti-\(id) has expired; set a later expires_at_ms before you rotate it.")
    }
    guard (0...Int64(Limits.accessGrace.value)).contains(grace) else {
      throw Failure(
        .invalidRequest,
        "grace_ms must be a whole number from 0 to \(Limits.accessGrace.value).", param: "grace_ms")
    }
    let key = try newKey(random)
    var new = KeyRecord(
      id: key.id, name: old.name, account: old.account, hash: KeyHash(of: key, pepper: pepper),
      scopes: old.scopes, permissions: old.permissions, limits: old.limits,
      expiresAt: old.expiresAt)
    new.replaces = id
    old.graceUntil = now.addingReportingOverflow(grace).overflow ? .max : now + grace
    return KeyChange(
      subject: key.id, saved: [new, old], removed: try keyToRemove(at: now), key: key)
  }

  /// Plans to suspend a key, or to end its suspension.
  ///
  /// - Parameter state: `active` or `disabled`. `revoked` has the effect of `revoke(_:expected:)`.
  public func set(
    _ state: KeyState, of id: KeyID, expected: Set<Int64>? = nil
  ) throws(Failure) -> KeyChange {
    guard state != .revoked else { return try revoke(id, expected: expected) }
    let entry = try unrevoked(id, expected)
    var record = entry.record
    record.state = state
    return change(entry, to: record)
  }

  /// Plans the end of a key. The key stays in lists.
  public func revoke(_ id: KeyID, expected: Set<Int64>? = nil) throws(Failure) -> KeyChange {
    let entry = try entry(id, expected)
    var record = entry.record
    record.state = .revoked
    return change(entry, to: record)
  }

  // MARK: - Applying

  /// Applies a stored change.
  ///
  /// - Parameter revisions: the new revision of each saved record, in their order.
  public mutating func apply(_ change: KeyChange, revisions: [Int64]) {
    if let removed = change.removed { entries[removed] = nil }
    for (record, revision) in zip(change.saved, revisions) {
      entries[record.id] = Entry(record: record, revision: revision)
    }
  }

  // MARK: - Helpers

  private func change(_ entry: Entry, to record: KeyRecord) -> KeyChange {
    KeyChange(subject: record.id, saved: record == entry.record ? [] : [record])
  }

  private func entry(_ id: KeyID, _ expected: Set<Int64>?) throws(Failure) -> Entry {
    guard let entry = entries[id] else {
      throw Failure(
        .keyNotFound,
        "There is no key tutti-\(id); `tutti keys list` or GET /admin/v1/keys lists all keys.")
    }
    guard expected?.contains(entry.revision) ?? true else {
      throw Failure(
        .conflict,
        "Key tutti-\(id) has been changed meanwhile; its ETag is \"\(entry.revision)\" now. Read "
          + "it again before you change it.")
    }
    return entry
  }

  private func unrevoked(_ id: KeyID, _ expected: Set<Int64>?) throws(Failure) -> Entry {
    let entry = try entry(id, expected)
    guard entry.record.state != .revoked else {
      throw Failure(
        .keyEnded, "Key tutti-\(id) was revoked, which is final; create a new one.")
    }
    return entry
  }

  private func replacement(of id: KeyID) -> String {
    let newer = entries.values.first { $0.record.replaces == id }
    return newer.map { " by tutti-\($0.record.id)" } ?? ""
  }

  private func newKey(_ random: [UInt8]) throws(Failure) -> APIKey {
    guard let key = APIKey(random: random), entries[key.id] == nil else {
      throw Failure(.internalError, "No new key could be made; try again.")
    }
    return key
  }

  /// The ended key to remove, so that there is room for a new one. `nil` means that there is room.
  ///
  /// - Throws: `overloaded` if every key may still be used.
  private func keyToRemove(at now: WallMilliseconds) throws(Failure) -> KeyID? {
    guard entries.count >= capacity else { return nil }
    let ended = entries.values.filter { $0.record.hasEnded(at: now) }
    guard let oldest = ended.min(by: { $0.revision < $1.revision }) else {
      throw Failure(
        .overloaded, "There are \(capacity) keys already; revoke one that is no longer used.")
    }
    return oldest.record.id
  }
}

extension KeyRecord {
  /// Whether the key can never be used again. An expired key can be used again if an admin changes
  /// its expiry.
  fileprivate func hasEnded(at now: WallMilliseconds) -> Bool {
    state == .revoked || graceUntil.map { $0 <= now } ?? false
  }
}
