import ClusterModel
import Limits
import Money
import RegistryCore
import Store

extension AccountStoring {
  /// Transactions of a query that a filter selects.
  ///
  /// At most `scan` transactions are read, so a list may have fewer rows than the query's limit
  /// although further ones follow.
  ///
  /// - Returns: the rows, and the place from which the next page continues. `nil` means that this
  ///   page is the last one.
  func transactions(
    _ query: LedgerQuery, matching filter: LedgerFilter, scan: Int = Limits.ledgerScan.value
  ) async throws(Failure) -> (rows: [LedgerRow], next: LedgerCursor?) {
    guard !filter.isEmpty else {
      let page = try await transactions(query)
      return (page.rows, page.next)
    }
    var rows: [LedgerRow] = []
    var part = query
    var unread = scan
    while unread > 0 {
      part.limit = min(unread, Limits.ledgerPage.value)
      let page = try await transactions(part)
      for row in page.rows where filter.matches(row.transaction) {
        rows.append(row)
        if rows.count == query.limit {
          return (rows, LedgerCursor(time: row.transaction.time, position: row.position))
        }
      }
      guard let next = page.next else { return (rows, nil) }
      part.after = next
      unread -= part.limit
    }
    return (rows, part.after)
  }
}
