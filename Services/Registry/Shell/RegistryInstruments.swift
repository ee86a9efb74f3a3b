import ClusterModel
import Metrics
import RegistryCore

/// The registry's own metrics.
struct RegistryInstruments: Sendable {
  let peers = Gauge(label: "tutti_registry_peers")
  private let hosts: [HostState: Gauge]
  private let probeSeconds = Recorder(label: "tutti_registry_probe_seconds")
  private let answered = Counter(
    label: "tutti_registry_probes_total", dimensions: [("outcome", "answered")])
  private let failed = Counter(
    label: "tutti_registry_probes_total", dimensions: [("outcome", "failed")])

  init() {
    hosts = Dictionary(
      uniqueKeysWithValues: HostState.allCases.map {
        ($0, Gauge(label: "tutti_registry_hosts", dimensions: [("state", $0.rawValue)]))
      })
  }

  func record(_ counts: [HostState: Int]) {
    for (state, count) in counts { hosts[state]?.record(count) }
  }

  func record(_ result: ProbeResult) {
    switch result {
    case .answered(let report), .unlisted(let report, _):
      answered.increment()
      probeSeconds.record(report.roundTrip.inSeconds)
    case .failed:
      failed.increment()
    }
  }
}
