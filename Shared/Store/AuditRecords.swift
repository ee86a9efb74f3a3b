internal import Limits

/// A change in the form in which the audit log keeps it.
public struct AuditRecord: Hashable, Sendable {
  /// Place of the change. A later change has a larger number.
  public let position: Int64
  public let author: ChangeAuthor
  /// Kind of the record: `key`, `host`, `model`, `organisation`, `team`, `setting` or `price`.
  public let kind: String
  /// Name of the record. A team has `organisation/team`, and a price has its position.
  public let id: String
  /// JSON before the change. `nil` means that the record was absent.
  public let before: String?
  /// JSON after the change. `nil` means that the record was removed.
  public let after: String?

  public init(
    position: Int64, author: ChangeAuthor, kind: String, id: String, before: String?,
    after: String?
  ) {
    self.position = position
    self.author = author
    self.kind = kind
    self.id = id
    self.before = before
    self.after = after
  }
}

/// Effect of a change on its record.
public enum AuditAction: String, CaseIterable, Sendable {
  case create
  case change
  case remove
}

extension AuditRecord {
  public var action: AuditAction {
    after == nil ? .remove : before == nil ? .create : .change
  }
}

/// Selects audit records. The latest record comes first.
public struct AuditQuery: Hashable, Sendable {
  /// Kind of the records. `nil` means every kind.
  public var kind: String?
  /// Name of the record. `nil` means every record.
  public var id: String?
  /// Name of the admin. `nil` means every admin.
  public var author: String?
  /// Effect of the changes. `nil` means every effect.
  public var action: AuditAction?
  /// Times of the changes in milliseconds since 1970, without the end of the range.
  public var times: Range<Int64>
  /// Position of the last record of the previous page. `nil` means the first page.
  public var before: Int64?
  public var limit: Int
  /// Maximum number of records that are read for one page.
  var scan = Limits.auditScan.value

  /// - Parameter limit: maximum number of records, capped to `ledger.page`.
  public init(
    kind: String? = nil, id: String? = nil, author: String? = nil, action: AuditAction? = nil,
    times: Range<Int64> = .min..<(.max), before: Int64? = nil, limit: Int = 100
  ) {
    self.kind = kind
    self.id = id
    self.author = author
    self.action = action
    self.times = times
    self.before = before
    self.limit = limit
  }
}

extension AuditQuery {
  /// A member that an index of the stores has.
  enum Column: String, CaseIterable {
    case id, author, kind
  }

  /// The column by whose index the records are found, and its value. `nil` means that the query
  /// names none.
  ///
  /// Names come first, because a record has few changes, and kinds last.
  var indexed: (column: Column, value: String)? {
    for column in Column.allCases {
      if let value = self[column] { return (column, value) }
    }
    return nil
  }

  /// Whether the list has this record. Its position is not compared.
  func selects(_ record: AuditRecord) -> Bool {
    (kind == nil || self[.kind] == record.kind) && (id == nil || self[.id] == record.id)
      && (author == nil || self[.author] == record.author.name)
      && (action == nil || action == record.action) && times.contains(record.author.time)
  }

  subscript(column: Column) -> String? {
    switch column {
    case .id: id?.storable
    case .author: author?.storable
    case .kind: kind?.storable
    }
  }
}

/// Part of a list of audit records.
public struct AuditPage: Hashable, Sendable {
  public let records: [AuditRecord]
  /// Position before which the next page continues. `nil` means that this page is the last one.
  ///
  /// A page can have few records, or none, and not be the last one: see `store.audit_scan`.
  public let next: Int64?

  init(records: [AuditRecord], next: Int64?) {
    self.records = records
    self.next = next
  }
}
