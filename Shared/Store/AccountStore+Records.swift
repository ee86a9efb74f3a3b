public import ClusterModel
internal import Foundation
internal import GRDB
public import Limits

/// Keys, accounts, settings, models and prices, and the audit log of their changes.
extension AccountStore {
  /// Makes all changes and records each in the audit log, or changes nothing.
  /// - Throws: `invalidRequest` if a name is not allowed, or a record exceeds its limit or has a
  ///   NUL.
  public func apply(
    _ changes: [RecordChange], by author: ChangeAuthor
  ) async throws(Failure) -> ChangeOutcome {
    for change in changes { try Self.check(change) }
    return try await write { database in
      var revisions: [RecordRevision] = []
      var conflict: ChangeOutcome?
      // A conflict is a result and not an error, so a savepoint undoes the changes that were made
      // before the conflict was found.
      try database.inSavepoint {
        for (index, change) in changes.enumerated() {
          switch try Self.apply(change, by: author, to: database) {
          case .applied(let revision): revisions.append(revision)
          case .conflict(let current):
            conflict = .conflict(change: index, current: current)
            return .rollback
          }
        }
        return .commit
      }
      return conflict ?? .applied(revisions)
    }
  }

  /// Keys in the order of their ids.
  /// - Parameters:
  ///   - id: the last key of the previous page. `nil` means the first page.
  ///   - limit: capped to `ledger.page`.
  public func keys(
    after id: String? = nil, limit: Int = Limits.ledgerPage.value
  ) async throws(Failure) -> [StoredKey] {
    let limit = Self.capped(limit)
    return try await read { database in
      try Row.fetchAll(
        database, sql: "SELECT * FROM keys WHERE id > ? ORDER BY id LIMIT ?",
        arguments: [id ?? "", limit]
      ).map { row in
        StoredKey(
          id: try row.decode(String.self, forColumn: "id"),
          mac: [UInt8](try row.decode(Data.self, forColumn: "mac")), json: try Self.json(row),
          revision: try Self.revision(row))
      }
    }
  }

  /// Organisations and teams, each organisation before its teams.
  public func accounts() async throws(Failure) -> [StoredRecord] {
    try await read { database in
      try Row.fetchAll(database, sql: "SELECT * FROM accounts ORDER BY organisation, team")
        .map { row in
          let organisation = try row.decode(String.self, forColumn: "organisation")
          let team = try row.decode(String.self, forColumn: "team")
          return StoredRecord(
            subject: team.isEmpty
              ? .organisation(organisation) : .team(team, organisation: organisation),
            json: try Self.json(row), revision: try Self.revision(row))
        }
    }
  }

  /// Settings of models, sorted by the models' names. There are at most `models.records`.
  public func models() async throws(Failure) -> [StoredRecord] {
    try await read { database in
      try Row.fetchAll(database, sql: "SELECT * FROM models ORDER BY name").map { row in
        StoredRecord(
          subject: .model(try row.decode(String.self, forColumn: "name")),
          json: try Self.json(row), revision: try Self.revision(row))
      }
    }
  }

  public func settings() async throws(Failure) -> [StoredRecord] {
    try await read { database in
      try Row.fetchAll(database, sql: "SELECT * FROM settings ORDER BY name").map { row in
        StoredRecord(
          subject: .setting(try row.decode(String.self, forColumn: "name")),
          json: try Self.json(row), revision: try Self.revision(row))
      }
    }
  }

  /// Rows of the price book in the order in which they were appended.
  /// - Parameters:
  ///   - position: the last position of the previous page, 0 at first.
  ///   - limit: capped to `ledger.page`.
  public func prices(
    after position: Int64 = 0, limit: Int = Limits.ledgerPage.value
  ) async throws(Failure) -> [StoredPrice] {
    let limit = Self.capped(limit)
    return try await read { database in
      try Row.fetchAll(
        database, sql: "SELECT * FROM prices WHERE position > ? ORDER BY position LIMIT ?",
        arguments: [position, limit]
      ).map { row in
        StoredPrice(
          position: try row.decode(Int64.self, forColumn: "position"), json: try Self.json(row),
          revision: try Self.revision(row))
      }
    }
  }

  private static func json(_ row: Row) throws -> String {
    try row.decode(String.self, forColumn: "record")
  }

  private static func revision(_ row: Row) throws -> RecordRevision {
    RecordRevision(try row.decode(Int64.self, forColumn: "revision"))
  }
}
