public import ClusterModel
import Limits

/// Finds out which changes of hosts an operator should see.
public struct HostTransitions: Sendable {
  public enum Event: Equatable, Sendable {
    /// The host does not answer its probes any more, or did not answer the first ones.
    case down
    /// The host was down and answers again. `away` is `nil` if the start of the absence is unknown.
    case back(away: Duration?)
    /// Any other change of the state or its reason.
    case changed
  }

  /// When each absent host went down. A removed host keeps its entry until the limit is reached.
  private var wentDown: [HostID: Instant] = [:]

  public init() {}

  /// - Parameter before: the host before the probe. `nil` means that it did not exist.
  /// - Returns: `nil` if neither the state nor its reason changed.
  public mutating func event(of host: Host, before: Host?, now: Instant) -> Event? {
    guard host.state != before?.state || host.reason != before?.reason else { return nil }
    let was = before?.state ?? .unknown
    switch host.state {
    case .unreachable:
      guard was != .unreachable else { return .changed }
      if wentDown.count >= Limits.tableHosts.value { wentDown = [:] }
      wentDown[host.id] = now
      return .down
    case .ready, .unknown, .suspended:
      let start = wentDown.removeValue(forKey: host.id)
      guard host.state == .ready, was == .unreachable else { return .changed }
      return .back(away: start.map { $0.duration(to: now) })
    }
  }
}
