import ClusterModel
import InferenceCore
import Metrics
import Synchronization

/// How hosts answered, by host. The number of hosts that get a name is bounded; the rest share
/// `other`, so that a cluster of thousands does not flood whoever scrapes.
final class InferenceMetrics: Sendable {
  static let maximumHosts = 256

  private let named = Mutex<Set<HostID>>([])

  func record(attempts: [AttemptRecord], summary: InferenceSummary?) {
    for attempt in attempts {
      let outcome = attempt.failure?.kind.rawValue ?? "answered"
      Counter(
        label: "tutti_inference_requests_total",
        dimensions: [("host", label(attempt.host)), ("outcome", outcome)]
      ).increment()
    }
    guard let summary else { return }
    let host = [("host", label(summary.host))]
    // From asking this host, not from the client's request: those before it cost it nothing.
    let waited = summary.firstToken - (attempts.last?.started ?? .zero)
    Timer(label: "tutti_inference_first_token_seconds", dimensions: host).record(duration: waited)
    Timer(label: "tutti_inference_seconds", dimensions: host).record(duration: summary.total)
    for (kind, count) in [
      ("prompt", summary.usage.promptTokens), ("completion", summary.usage.completionTokens),
    ] {
      Counter(label: "tutti_inference_tokens_total", dimensions: host + [("kind", kind)])
        .increment(by: count)
    }
  }

  private func label(_ host: HostID) -> String {
    named.withLock { named in
      if named.contains(host) { return host.name }
      guard named.count < Self.maximumHosts else { return "other" }
      named.insert(host)
      return host.name
    }
  }
}
