public import ClusterModel

/// Selects the requests of each page that the page before did not have.
///
/// A request is recorded when it ends, with the time of its start. So a long request appears after
/// shorter ones that began later, and each query begins some time before the latest start.
public struct RequestFollower: Sendable {
  /// The longest deadline of a request, in microseconds.
  static let overlap: UInt64 = 3_600_000_000

  /// Earliest start of the next query's requests. `nil` means that all are queried.
  public private(set) var since: Timestamp?
  private var seen: Set<RequestRecord> = []

  /// - Parameter since: earliest start of the requests. `nil` means no limit.
  public init(since: Timestamp?) { self.since = since }

  /// - Parameters:
  ///   - page: the newest requests from `since` on.
  ///   - now: bounds the next query, so that a machine whose clock is ahead does not hide the
  ///     requests of others.
  /// - Returns: requests that the page before did not have, the oldest first.
  public mutating func unseen(in page: [RequestRecord], now: Timestamp) -> [RequestRecord] {
    let new = page.filter { !seen.contains($0) }
      .sorted { $0.timeUnixMicroseconds < $1.timeUnixMicroseconds }
    seen = Set(page)
    guard let last = page.map(\.timeUnixMicroseconds).max() else { return new }
    let latest = min(last, now.unixMicroseconds)
    let start = Timestamp(
      unixMicroseconds: latest > Self.overlap ? latest - Self.overlap : 0)
    since = max(since ?? start, start)
    return new
  }
}
