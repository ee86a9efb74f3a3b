public import ClusterModel

/// Selects the lines of each page of logs that the page before did not have.
///
/// Services send their lines about once in a second, so a line can arrive after lines of other
/// services with later times. Each query therefore begins some time before the latest line.
public struct LogFollower: Sendable {
  /// Maximum delay of a line, in microseconds: 20 times the usual one.
  static let overlap: UInt64 = 10_000_000

  /// Earliest time of the next query. `nil` means that the next query is the first one, or that no
  /// line exists.
  public private(set) var since: Timestamp?
  private var seen: Set<LogRecord> = []
  /// Time of the first page's oldest line. Older lines were not asked for.
  private var earliest: UInt64?

  public init() {}

  /// - Parameters:
  ///   - page: the newest lines from `since` on.
  ///   - now: bounds the next query, so that a machine whose clock is ahead does not hide the lines
  ///     of others.
  /// - Returns: lines that the page before did not have, the oldest first.
  public mutating func unseen(in page: [LogRecord], now: Timestamp) -> [LogRecord] {
    let lines = page.filter { !seen.contains($0) }
      .sorted { $0.timeUnixMicroseconds < $1.timeUnixMicroseconds }
    seen = Set(page)
    guard let last = page.map(\.timeUnixMicroseconds).max() else { return lines }
    let first = earliest ?? page.map(\.timeUnixMicroseconds).min() ?? 0
    earliest = first
    let latest = min(last, now.unixMicroseconds)
    since = Timestamp(
      unixMicroseconds: max(first, latest > Self.overlap ? latest - Self.overlap : 0))
    return lines
  }
}
