import ClusterModel
import Limits
import Logging
import Overload
import RegistryCore
import Synchronization
import Telemetry

/// Logs hosts that go down and come back, and processes that are lost. The rate is limited, because
/// hosts cause the lines.
final class ClusterEventLog: Sendable {
  private let logger: Logger
  private let transitions = Mutex(HostTransitions())
  /// Separate from `changes`, so that changing reasons of one host do not hide a host that is down.
  private let absences = RateGate(
    every: .milliseconds(Limits.hostChangePause.value), burst: Limits.tableHosts.value)
  private let changes = RateGate(
    every: .milliseconds(Limits.hostChangePause.value), burst: Limits.tableHosts.value)

  init(logger: Logger) { self.logger = logger }

  /// - Parameters:
  ///   - host: the host after a probe.
  ///   - before: the host before the probe.
  func record(_ host: Host, before: Host?, now: Instant) {
    let event = transitions.withLock { $0.event(of: host, before: before, now: now) }
    guard let event else { return }
    let gate = event == .changed ? changes : absences
    guard let skipped = gate.pass() else { return }
    var metadata: Logger.Metadata = [
      LogKey.host: "\(host.id)", "state": "\(host.state.rawValue)",
      "was": "\(before?.state.rawValue ?? "")", LogKey.reason: "\(host.reason)",
      "skipped": "\(skipped)",
    ]
    switch event {
    case .down: logger.report(.hostDown, metadata: metadata)
    case .back(let away):
      if let away { metadata["away_ms"] = "\(away.wholeMilliseconds)" }
      logger.report(.hostBack, metadata: metadata)
    case .changed: logger.info("host changed", metadata: metadata)
    }
  }

  /// Logs processes whose leases have ended. Their number is limited by the table of peers.
  func record(lost peers: [Peer]) {
    for peer in peers {
      logger.report(
        .peerLost,
        metadata: [LogKey.peer: "\(peer.id)", LogKey.process: "\(peer.service)"])
    }
  }
}
