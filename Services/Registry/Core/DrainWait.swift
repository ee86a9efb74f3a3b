public import ClusterModel

/// Decides when an admin has waited long enough for the requests of a drained host.
public struct DrainWait: Equatable, Sendable {
  private let began: Instant
  private let limit: Duration
  /// Time at which the merged load has the requests that began before the drain.
  private let settled: Instant

  /// Time until the merged load counts every request that began before the drain: a process reports
  /// up to one interval late, and the table is merged up to another one later. The third is for the
  /// bus.
  public static let settling = LoadRhythm.interval * 3
  /// Time after the registry's start until every process has found it and reported its requests:
  /// after a lease at the latest, and another report if its traffic does not change.
  public static let rejoining = LoadRhythm.silence + LoadRhythm.idleInterval

  /// - Parameters:
  ///   - began: when the host was drained.
  ///   - limit: maximum wait.
  ///   - complete: when the load has been complete for the first time since the registry's start.
  public init(since began: Instant, limit: Duration, loadComplete complete: Instant) {
    self.began = began
    self.limit = limit
    settled = max(began + Self.settling, complete)
  }

  /// - Parameter inFlight: requests at the host, of all processes, as last merged.
  public func isOver(inFlight: Int, now: Instant) -> Bool {
    began.duration(to: now) >= limit || inFlight == 0 && now >= settled
  }
}
