import Clocks
import ClusterModel
import GatewayCore
import Metrics
import Synchronization
import Telemetry

/// Guards the gateway's `EstimateMemory`, and adds a clock and metrics.
final class EstimateLedger: Sendable {
  private let memory = Mutex(EstimateMemory())
  private let clock = ProcessClock()

  private var now: Instant { clock.now }

  /// Facts about the hosts, and the correction, to send to a planner.
  func facts(_ hosts: [HostFacts]) -> ([HostFacts], EstimateCorrection) {
    let now = now
    return memory.withLock { ($0.atTheirBest(hosts, now: now), $0.correction(at: now)) }
  }

  func learn(_ outcome: EstimateOutcome) {
    Counter(
      label: "tutti_gateway_estimates_total",
      dimensions: [
        ("decision", outcome.estimate.decision.rawValue), ("outcome", outcome.verdict.rawValue),
      ]
    ).increment()
    guard let lesson = outcome.lesson else { return }
    let now = now
    let correction = memory.withLock {
      $0.learn(lesson, now: now)
      return $0.correction(at: now)
    }
    for (way, percent) in [
      ("direct", correction.directPercent), ("split", correction.splitPercent),
    ] {
      Gauge(label: "tutti_gateway_estimate_correction_ratio", dimensions: [("way", way)])
        .record(Double(percent) / 100)
    }
  }
}
