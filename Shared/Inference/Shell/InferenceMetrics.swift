import ClusterModel
import InferenceCore
import Metrics
import Synchronization

/// Metrics of answers, by host.
///
/// A bounded number of hosts are named. All other hosts share the name `other`, so that a cluster
/// with thousands of hosts does not produce too many metrics.
final class InferenceMetrics: Sendable {
  static let maximumHosts = 256

  private let named = Mutex<Set<HostID>>([])

  func record(attempts: [AttemptRecord], summary: InferenceSummary?) {
    for attempt in attempts {
      Counter(
        label: "tutti_inference_requests_total",
        dimensions: Self.dimensions(of: attempt, host: label(attempt.host))
      ).increment()
    }
    guard let summary else { return }
    if let first = Self.firstToken(of: summary, attempts) {
      Timer(
        label: "tutti_inference_first_token_seconds", dimensions: [("host", label(first.host))]
      ).record(duration: first.waited)
    }
    let host = [("host", label(summary.host))]
    Timer(label: "tutti_inference_seconds", dimensions: host).record(duration: summary.total)
    for (kind, count) in [
      ("prompt", summary.usage.promptTokens), ("completion", summary.usage.completionTokens),
    ] {
      Counter(label: "tutti_inference_tokens_total", dimensions: host + [("kind", kind)])
        .increment(by: count)
    }
    if summary.usage.cachedTokens > 0 {
      Counter(label: "tutti_inference_cached_tokens_total", dimensions: host)
        .increment(by: summary.usage.cachedTokens)
    }
  }

  /// The host that sent the first token, and the time that it took.
  ///
  /// The time is measured from the start of this host's attempt, so earlier attempts are not
  /// included. Another host may have sent the last token. `nil` means that no attempt in the answer
  /// was running at the time of the first token.
  static func firstToken(
    of summary: InferenceSummary, _ attempts: [AttemptRecord]
  ) -> (host: HostID, waited: Duration)? {
    let speaker = attempts.first {
      $0.started <= summary.firstToken && $0.ended >= summary.firstToken && $0.outcome != .beaten
        && ($0.isInAnswer || $0.outcome == .answered)
    }
    return speaker.map { ($0.host, summary.firstToken - $0.started) }
  }

  /// The dimensions of an attempt's counter. They include the tier, so that requests to the
  /// operator's own hosts (`fallback`) are counted separately.
  static func dimensions(of attempt: AttemptRecord, host: String) -> [(String, String)] {
    [("host", host), ("tier", attempt.tier.rawValue), ("outcome", attempt.outcomeName)]
  }

  /// Records the current state of the hosts in a load report.
  func record(_ report: LoadReport, _ standings: [HostID: HostStanding]) {
    for line in report.hosts {
      let host = label(line.host)
      // Several hosts share this name. A gauge would show only the host that was recorded last.
      guard host != Self.others else { continue }
      let dimensions = [("host", host)]
      Gauge(label: "tutti_host_in_flight", dimensions: dimensions).record(line.inFlight)
      Gauge(label: "tutti_host_breaker_open", dimensions: dimensions).record(line.isOpen ? 1 : 0)
      if line.trips > 0 {
        Counter(label: "tutti_host_breaker_trips_total", dimensions: dimensions)
          .increment(by: line.trips)
      }
      if let p95 = standings[line.host]?.firstTokenP95 {
        Gauge(label: "tutti_host_first_token_p95_seconds", dimensions: dimensions)
          .record(p95.inSeconds)
      }
    }
  }

  private static let others = "other"

  private func label(_ host: HostID) -> String {
    named.withLock { named in
      if named.contains(host) { return host.name }
      guard named.count < Self.maximumHosts else { return Self.others }
      named.insert(host)
      return host.name
    }
  }
}
