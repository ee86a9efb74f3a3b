public import ClusterModel

/// Decides when an admin has waited long enough for the requests of a drained host.
public struct DrainWait: Equatable, Sendable {
  private let began: Instant
  private let limit: Duration
  /// Time from which the merged load counts every request that began before the drain.
  private let settled: Instant

  /// Time until the merged load counts every request that began before the drain. A process reports
  /// up to one interval late, and the table is merged up to another interval later. The third
  /// interval is for the bus.
  public static let settling = LoadRhythm.interval * 3
  /// Time after the registry's start until every process has found it and reported its requests. A
  /// process finds the registry within `silence`. If its traffic does not change, its report
  /// follows within `idleInterval`.
  public static let rejoining = LoadRhythm.silence + LoadRhythm.idleInterval

  /// - Parameters:
  ///   - began: when the host was drained.
  ///   - limit: maximum wait.
  ///   - complete: when the load became complete for the first time after the registry's start.
  public init(since began: Instant, limit: Duration, loadComplete complete: Instant) {
    self.began = began
    self.limit = limit
    settled = max(began + Self.settling, complete)
  }

  /// Whether the admin has waited long enough.
  ///
  /// - Parameter inFlight: requests of all processes at the host, from the last merged load.
  public func isOver(inFlight: Int, now: Instant) -> Bool {
    began.duration(to: now) >= limit || inFlight == 0 && now >= settled
  }
}
