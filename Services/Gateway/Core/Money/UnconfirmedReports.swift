package import Money

/// Settlements that the registry has not confirmed. Their numbers have no gaps.
package struct UnconfirmedReports<Entry: Sendable>: Sendable {
  private struct Report {
    let settlement: Settlement
    let entry: Entry?
  }

  private var reports: [Report] = []
  /// Index of the first report without a confirmation. Confirmed reports are removed in groups.
  private var start = 0
  /// Number of the report at `start`.
  private var firstNumber: UInt64 = 1

  package init() {}

  package var count: Int { reports.count - start }

  /// Adds the settlement with the next number.
  /// - Parameter entry: the settlement's entry in the journal. `nil` means none.
  package mutating func append(_ settlement: Settlement, entry: Entry?) {
    reports.append(Report(settlement: settlement, entry: entry))
  }

  /// Settlement with this number. `nil` means that it was confirmed or does not exist yet.
  package subscript(_ number: UInt64) -> Settlement? {
    guard number >= firstNumber, number - firstNumber < UInt64(count) else { return nil }
    return reports[start + Int(number - firstNumber)].settlement
  }

  /// Removes the settlements up to a number.
  /// - Returns: their entries in the journal.
  package mutating func confirm(through number: UInt64) -> [Entry] {
    guard number >= firstNumber else { return [] }
    let confirmed = Int(min(number - firstNumber + 1, UInt64(count)))
    let entries = reports[start..<start + confirmed].compactMap(\.entry)
    start += confirmed
    firstNumber += UInt64(confirmed)
    if start == reports.count {
      reports.removeAll(keepingCapacity: true)
      start = 0
    } else if start > 32, 2 * start > reports.count {
      reports.removeSubrange(..<start)
      start = 0
    }
    return entries
  }
}
