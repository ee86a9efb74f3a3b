internal import ClusterModel
internal import Foundation
internal import GRDB
internal import Limits

/// One change of a record, within a transaction.
extension AccountStore {
  enum ChangeResult {
    case applied(RecordRevision)
    case conflict(current: RecordRevision?)
  }

  static func apply(
    _ change: RecordChange, by author: ChangeAuthor, to database: Database
  ) throws -> ChangeResult {
    guard let (subject, expected) = change.target else {
      return .applied(try appendPrice(change.json ?? "", by: author, to: database))
    }
    let table = RecordTable(subject)
    let present = try table.row(in: database)
    guard expected.holds(for: present?.revision) else {
      return .conflict(current: present?.revision)
    }
    let revision = try nextRevision(database)
    if let json = change.json {
      try table.save(json, mac: change.mac, revision, in: database)
    } else {
      try table.remove(in: database)
    }
    try record(
      kind: table.kind, id: table.id, before: present?.json, after: change.json, by: author,
      in: database)
    return .applied(revision)
  }

  private static func appendPrice(
    _ json: String, by author: ChangeAuthor, to database: Database
  ) throws -> RecordRevision {
    let revision = try nextRevision(database)
    try database.execute(
      sql: "INSERT INTO prices (record, revision) VALUES (?, ?)",
      arguments: [json, revision.number])
    try record(
      kind: "price", id: "\(database.lastInsertedRowID)", before: nil, after: json, by: author,
      in: database)
    return revision
  }

  private static func nextRevision(_ database: Database) throws -> RecordRevision {
    let number = try Int64.fetchOne(
      database, sql: "UPDATE revisions SET last = last + 1 RETURNING last")
    guard let number else {
      throw Failure(
        .storeDamaged, "The table of revisions is empty; restore the file from a copy.")
    }
    return RecordRevision(number)
  }

  static func record(
    kind: String, id: String, before: String?, after: String?, by author: ChangeAuthor,
    in database: Database
  ) throws {
    try database.execute(
      sql: "INSERT INTO audit (time, author, kind, id, before, after) VALUES (?, ?, ?, ?, ?, ?)",
      arguments: [author.time, author.name.storable, kind, id, before, after])
  }

  /// Refuses names and records that cannot be stored. For example, a name with a NUL would be
  /// stored as another name.
  static func check(_ change: RecordChange) throws(Failure) {
    for name in change.target.map({ RecordTable($0.subject).names }) ?? [] where !isName(name) {
      throw Failure(
        .invalidRequest,
        "The name \(name.cut(toBytes: 100)) is empty, has a control character, or has more than "
          + "\(Limits.transactionIDBytes.value) bytes.")
    }
    guard let json = change.json else { return }
    guard json.utf8.count <= Limits.recordBytes.value else {
      throw Failure(.invalidRequest, "The record has \(Overdrawn(Limits.recordBytes)).")
    }
    guard !json.utf8.contains(0) else {
      throw Failure(.invalidRequest, "The record is not JSON: it contains a NUL.")
    }
  }
}

extension RecordChange {
  /// The record that is changed, and its expected state. `nil` means a new row of the price book.
  var target: (subject: RecordSubject, expected: ExpectedRevision)? {
    switch self {
    case .saveKey(let id, mac: _, json: _, let expected): (.key(id), expected)
    case .saveOrganisation(let name, json: _, let expected): (.organisation(name), expected)
    case .saveTeam(let name, let organisation, json: _, let expected):
      (.team(name, organisation: organisation), expected)
    case .saveSetting(let name, json: _, let expected): (.setting(name), expected)
    case .saveModel(let name, json: _, let expected): (.model(name), expected)
    case .remove(let subject, let expected): (subject, expected)
    case .appendPrice: nil
    }
  }

  /// The new JSON of the record. `nil` means that the change removes the record.
  var json: String? {
    switch self {
    case .saveKey(_, mac: _, let json, _), .saveOrganisation(_, let json, _),
      .saveTeam(_, organisation: _, let json, _), .saveSetting(_, let json, _),
      .saveModel(_, let json, _),
      .appendPrice(let json):
      json
    case .remove: nil
    }
  }

  var mac: [UInt8]? {
    if case .saveKey(_, let mac, json: _, _) = self { mac } else { nil }
  }
}

extension ExpectedRevision {
  /// Whether the record is in the expected state.
  ///
  /// - Parameter present: revision of the record. `nil` means that the record is absent.
  public func holds(for present: RecordRevision?) -> Bool {
    switch self {
    case .any: true
    case .absent: present == nil
    case .revision(let revision): present == revision
    }
  }
}

/// The database table that contains a record, with the columns and values of the record's name.
struct RecordTable {
  let kind: String
  /// The parts of the record's name.
  let names: [String]
  private let table: String
  private let columns: [String]
  /// Values of `columns`.
  private let values: [String]

  init(_ subject: RecordSubject) {
    switch subject {
    case .key(let id):
      (kind, table, columns, names) = ("key", "keys", ["id"], [id])
      values = [id]
    case .organisation(let name):
      // An empty team name stands for the organisation itself.
      (kind, table, columns, names) = (
        "organisation", "accounts", ["organisation", "team"], [name]
      )
      values = [name, ""]
    case .team(let name, let organisation):
      (kind, table, columns, names) = (
        "team", "accounts", ["organisation", "team"], [organisation, name]
      )
      values = [organisation, name]
    case .setting(let name):
      (kind, table, columns, names) = ("setting", "settings", ["name"], [name])
      values = [name]
    case .model(let name):
      (kind, table, columns, names) = ("model", "models", ["name"], [name])
      values = [name]
    }
  }

  /// Name of the record in the audit log.
  var id: String { names.joined(separator: "/") }

  private var condition: String { columns.map { "\($0) = ?" }.joined(separator: " AND ") }

  func row(in database: Database) throws -> (json: String, revision: RecordRevision)? {
    try Row.fetchOne(
      database, sql: "SELECT record, revision FROM \(table) WHERE \(condition)",
      arguments: StatementArguments(values)
    ).map { row in
      (
        try row.decode(String.self, forColumn: "record"),
        RecordRevision(try row.decode(Int64.self, forColumn: "revision"))
      )
    }
  }

  /// - Parameter mac: keyed hash of a key's secret. `nil` for any other record.
  func save(
    _ json: String, mac: [UInt8]?, _ revision: RecordRevision, in database: Database
  ) throws {
    var contents: [(column: String, value: any DatabaseValueConvertible)] = [
      ("record", json), ("revision", revision.number),
    ]
    if let mac { contents.append(("mac", Data(mac))) }
    let all = columns + contents.map(\.column)
    try database.execute(
      sql: """
        INSERT INTO \(table) (\(all.joined(separator: ", ")))
        VALUES (\(all.map { _ in "?" }.joined(separator: ", ")))
        ON CONFLICT (\(columns.joined(separator: ", "))) DO UPDATE
        SET \(contents.map { "\($0.column) = excluded.\($0.column)" }.joined(separator: ", "))
        """,
      arguments: StatementArguments(values) + StatementArguments(contents.map(\.value)))
  }

  func remove(in database: Database) throws {
    try database.execute(
      sql: "DELETE FROM \(table) WHERE \(condition)", arguments: StatementArguments(values))
  }
}
