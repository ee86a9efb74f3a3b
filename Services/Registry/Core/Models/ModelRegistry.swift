public import ClusterModel
import Limits

/// All records of models, and the rules for their changes.
///
/// A change is planned, stored by the caller, and then applied. The caller makes one change at a
/// time.
public struct ModelRegistry: Sendable {
  public struct Entry: Hashable, Sendable {
    public let record: ModelRecord
    /// Number of the record's latest change. No two changes have the same number.
    public let revision: Int64

    public init(record: ModelRecord, revision: Int64) {
      self.record = record
      self.revision = revision
    }
  }

  /// A planned change of one record.
  public struct Change: Hashable, Sendable {
    /// The name as the store spells it. Swift treats names that differ only in Unicode
    /// normalisation as equal, but the store compares bytes.
    public let id: ModelID
    /// `nil` means that the record is removed.
    public let record: ModelRecord?
    /// Revision of the record before the change. `nil` means that there is none.
    public let revision: Int64?
    /// Whether the record stays as it was, so that there is nothing to store.
    public let isEmpty: Bool
  }

  /// Revision that stands for a model without a record.
  public static let absent: Int64 = 0

  private let capacity: Int
  private var entries: [ModelID: Entry]

  /// - Parameter capacity: maximum number of records. `nil` means `models.records`.
  public init(restored: [Entry] = [], capacity: Int? = nil) {
    self.capacity = capacity ?? Limits.modelRecords.value
    entries = Dictionary(
      restored.map { ($0.record.id, $0) }, uniquingKeysWith: { first, _ in first })
  }

  public subscript(_ id: ModelID) -> Entry? { entries[id] }

  /// The records, sorted by name.
  public var records: [ModelRecord] { entries.values.map(\.record).sorted { $0.id < $1.id } }

  /// The models that each alias stands for.
  public var aliases: [ModelID: [ModelID]] {
    entries.values.reduce(into: [:]) { aliases, entry in
      if !entry.record.standsFor.isEmpty { aliases[entry.record.id] = entry.record.standsFor }
    }
  }

  /// Whether a host's model may have this name.
  public static func isName(_ id: ModelID) -> Bool {
    (1...Limits.modelNameBytes.value).contains(id.name.utf8.count) && !id.isGatewaysOwn
      && id.name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
  }

  // MARK: - Plans of changes

  /// Plans a change of a model's settings. A model without a record gets one.
  ///
  /// - Parameter expected: revisions that the caller permits. `nil` means any.
  public func patch(
    _ id: ModelID, _ patch: ModelPatch, expected: Set<Int64>? = nil
  ) throws(Failure) -> Change {
    guard Self.isName(id) else {
      throw Failure(
        .invalidRequest,
        "A model's name has 1 to \(Limits.modelNameBytes.value) bytes without control characters, "
          + "and does not begin with \(ModelID.ownPrefix).", param: "id")
    }
    try check(id, expected)
    let present = entries[id]
    guard present != nil || entries.count < capacity else {
      throw Failure(
        .overloaded, "There are \(capacity) records of models already; remove one first.")
    }
    let record = try patch.applied(to: present?.record ?? ModelRecord(id))
    try checkAliases(record)
    return Change(
      id: record.id, record: record, revision: present?.revision,
      isEmpty: record == present?.record)
  }

  /// Plans the removal of a record.
  public func remove(_ id: ModelID, expected: Set<Int64>? = nil) throws(Failure) -> Change {
    try check(id, expected)
    guard let present = entries[id] else {
      throw Failure(
        .modelNotFound,
        "Model \(id.name.cut(toBytes: 100)) has no record; `tutti models list` or GET "
          + "/admin/v1/models lists all models.")
    }
    return Change(
      id: present.record.id, record: nil, revision: present.revision, isEmpty: false)
  }

  private func check(_ id: ModelID, _ expected: Set<Int64>?) throws(Failure) {
    let revision = entries[id]?.revision ?? Self.absent
    guard expected?.contains(revision) ?? true else {
      throw Failure(
        .conflict,
        "Model \(id.name.cut(toBytes: 100)) has been changed meanwhile; its ETag is "
          + "\"\(revision)\" now. Read it again before you change it.")
    }
  }

  /// Refuses an alias of an alias, because an offer has room for only one other name.
  private func checkAliases(_ record: ModelRecord) throws(Failure) {
    guard !record.standsFor.isEmpty else { return }
    let reason: String
    if record.standsFor.contains(record.id) {
      reason = "the model itself"
    } else if let alias = record.standsFor.first(where: { isAlias($0) }) {
      reason = "\(alias), which is an alias itself"
    } else if let alias = aliases.first(where: { $0.value.contains(record.id) })?.key {
      throw Failure(
        .invalidRequest,
        "stands_for must be empty: \(alias) stands for \(record.id), and an alias of an alias is "
          + "not possible.", param: "stands_for")
    } else {
      return
    }
    throw Failure(
      .invalidRequest, "stands_for must not contain \(reason).", param: "stands_for")
  }

  private func isAlias(_ id: ModelID) -> Bool { entries[id]?.record.standsFor.isEmpty == false }

  // MARK: - Applying

  /// Applies a stored change.
  ///
  /// - Parameter revision: the new revision of the record.
  public mutating func apply(_ change: Change, revision: Int64) {
    entries[change.id] = change.record.map { Entry(record: $0, revision: revision) }
  }
}
