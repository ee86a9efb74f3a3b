public import ClusterModel
internal import GRDB
internal import Limits

/// The audit log.
extension AccountStore {
  public func auditPage(_ query: AuditQuery) async throws(Failure) -> AuditPage {
    let limit = Self.capped(query.limit)
    let scan = query.scan
    let conditions = AuditConditions(query)
    return try await read { database in
      var records: [AuditRecord] = []
      var examined = 0
      var last: Int64?
      let rows = try Row.fetchCursor(
        database, sql: conditions.sql, arguments: conditions.arguments)
      while let row = try rows.next() {
        guard examined < scan else { return AuditPage(records: records, next: last) }
        examined += 1
        if try row.decode(Bool.self, forColumn: "wanted") {
          guard records.count < limit else {
            return AuditPage(records: records, next: records.last?.position)
          }
          records.append(try Self.auditRecord(row))
        }
        last = try row.decode(Int64.self, forColumn: "position")
      }
      return AuditPage(records: records, next: nil)
    }
  }

  private static func auditRecord(_ row: Row) throws -> AuditRecord {
    AuditRecord(
      position: try row.decode(Int64.self, forColumn: "position"),
      author: ChangeAuthor(
        name: try row.decode(String.self, forColumn: "author"),
        time: try row.decode(Int64.self, forColumn: "time")),
      kind: try row.decode(String.self, forColumn: "kind"),
      id: try row.decode(String.self, forColumn: "id"),
      before: try row.decode(String?.self, forColumn: "before"),
      after: try row.decode(String?.self, forColumn: "after"))
  }
}

/// The SQL of a query for audit records.
///
/// An index serves one of its conditions. The others are a column `wanted` of the result and not a
/// part of WHERE, so that SQLite reads a bounded number of rows even if few of them are wanted.
private struct AuditConditions: Sendable {
  let sql: String
  let arguments: StatementArguments

  init(_ query: AuditQuery) {
    var places = ["position < ?"]
    var placeArguments: StatementArguments = [query.before ?? .max]
    var tests: [String] = []
    var testArguments: StatementArguments = []
    for column in AuditQuery.Column.allCases {
      guard let value = query[column] else { continue }
      if column == query.indexed?.column {
        places.append("\(column.rawValue) = ?")
        placeArguments += [value]
      } else {
        tests.append("\(column.rawValue) = ?")
        testArguments += [value]
      }
    }
    if query.times.lowerBound > .min {
      tests.append("time >= ?")
      testArguments += [query.times.lowerBound]
    }
    if query.times.upperBound < .max {
      tests.append("time < ?")
      testArguments += [query.times.upperBound]
    }
    switch query.action {
    case .create: tests.append("before IS NULL AND after IS NOT NULL")
    case .change: tests.append("before IS NOT NULL AND after IS NOT NULL")
    case .remove: tests.append("after IS NULL")
    case nil: break
    }
    let test = tests.isEmpty ? "1" : tests.joined(separator: " AND ")
    sql = """
      SELECT *, (\(test)) AS wanted FROM audit WHERE \(places.joined(separator: " AND "))
      ORDER BY position DESC LIMIT \(query.scan.addingCapped(1))
      """
    arguments = testArguments + placeArguments
  }
}
