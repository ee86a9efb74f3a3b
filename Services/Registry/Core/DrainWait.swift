public import ClusterModel

/// Decides when an admin has waited long enough for the requests of a drained host.
public struct DrainWait: Equatable, Sendable {
  private let began: Instant
  private let limit: Duration

  /// Time until the merged load counts every request that began before the drain: a process reports
  /// up to one interval late, and the table is merged up to another one later. The third is for the
  /// bus.
  public static let settling = LoadRhythm.interval * 3

  /// - Parameters:
  ///   - began: when the host was drained.
  ///   - limit: maximum wait.
  public init(since began: Instant, limit: Duration) {
    self.began = began
    self.limit = limit
  }

  /// - Parameter inFlight: requests at the host, of all processes, as last merged.
  public func isOver(inFlight: Int, now: Instant) -> Bool {
    let waited = began.duration(to: now)
    return waited >= limit || inFlight == 0 && waited >= Self.settling
  }
}
