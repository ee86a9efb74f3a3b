import ClusterModel
import InferenceCore
import Metrics
import Synchronization

/// Metrics of answers, by host.
///
/// A bounded number of hosts and models are named. All others share the name `other`, so that a
/// cluster with thousands of hosts does not produce too many metrics.
final class InferenceMetrics: Sendable {
  static let maximumHosts = 256
  static let maximumModels = 64

  private let named = Mutex<Set<HostID>>([])
  private let namedModels = Mutex<Set<ModelID>>([])

  /// Tokens that one host processed for one inference.
  struct Work: Equatable {
    let host: HostID
    let model: ModelID
    let promptTokens: Int
    let completionTokens: Int
  }

  /// - Parameters:
  ///   - summary: `nil` means that the answer was cancelled or failed.
  ///   - promptTokens: estimated tokens of the prompt.
  ///   - price: returns a host's own price. `nil` means that none is stated.
  func record(
    attempts: [AttemptRecord], summary: InferenceSummary?, promptTokens: Int,
    price: (HostID) -> HostPrice?
  ) {
    let work = Self.work(of: attempts, summary, promptTokens: promptTokens)
    for part in work {
      let cost =
        price(part.host)?.cost(prompt: part.promptTokens, completion: part.completionTokens) ?? 0
      guard cost > 0 else { continue }
      FloatingPointCounter(
        label: "tutti_inference_cost_credits_total", dimensions: dimensions(part.host, part.model)
      ).increment(by: Double(cost) / 1e6)
    }
    for attempt in attempts {
      Counter(
        label: "tutti_inference_requests_total",
        dimensions: Self.dimensions(of: attempt, host: label(attempt.host))
      ).increment()
    }
    guard let summary else {
      // The hosts made these tokens, also if no client received them.
      for part in work {
        count(
          prompt: part.promptTokens, completion: part.completionTokens,
          dimensions(part.host, part.model))
      }
      return
    }
    if let first = Self.firstToken(of: summary, attempts) {
      Timer(
        label: "tutti_inference_first_token_seconds", dimensions: [("host", label(first.host))]
      ).record(duration: first.waited)
    }
    let host = [("host", label(summary.host))]
    Timer(label: "tutti_inference_seconds", dimensions: host).record(duration: summary.total)
    count(
      prompt: summary.usage.promptTokens, completion: summary.usage.completionTokens,
      dimensions(summary.host, summary.model))
    if summary.usage.cachedTokens > 0 {
      Counter(label: "tutti_inference_cached_tokens_total", dimensions: host)
        .increment(by: summary.usage.cachedTokens)
    }
  }

  /// The tokens that each host processed: the prompt, and all tokens that it made. A host without a
  /// token counts only if it answered.
  static func work(
    of attempts: [AttemptRecord], _ summary: InferenceSummary?, promptTokens: Int
  ) -> [Work] {
    let isShared = attempts.count(where: \.isInAnswer) > 1
    return attempts.compactMap { attempt in
      let answered = attempt.outcome == .answered ? summary : nil
      guard attempt.tokens > 0 || answered != nil else { return nil }
      // A host's own count is more exact than the number of its chunks.
      let counted = isShared ? nil : answered?.usage.completionTokens
      return Work(
        host: attempt.host, model: attempt.model,
        promptTokens: summary?.usage.promptTokens ?? promptTokens,
        completionTokens: counted ?? attempt.tokens)
    }
  }

  private func count(prompt: Int, completion: Int, _ dimensions: [(String, String)]) {
    for (kind, count) in [("prompt", prompt), ("completion", completion)] {
      Counter(label: "tutti_inference_tokens_total", dimensions: dimensions + [("kind", kind)])
        .increment(by: count)
    }
  }

  private func dimensions(_ host: HostID, _ model: ModelID) -> [(String, String)] {
    [("host", label(host)), ("model", label(model))]
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

  private func label(_ model: ModelID) -> String {
    namedModels.withLock { named in
      if named.contains(model) { return model.name }
      guard named.count < Self.maximumModels else { return Self.others }
      named.insert(model)
      return model.name
    }
  }
}
