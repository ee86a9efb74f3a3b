import ClusterModel

/// Dialects that cannot express a request, with reasons.
///
/// Results are cached per dialect, because a check takes a translation of the request.
struct DialectRefusals: Sendable {
  /// The inner `nil` means that the dialect can express the request.
  private var known: [HostDialect: String?] = [:]

  /// Why hosts that are otherwise eligible cannot be asked, by name of the dialect.
  var reasons: [String] {
    known.sorted { $0.key.rawValue < $1.key.rawValue }.compactMap { dialect, reason in
      reason.map { "a host of dialect \(dialect.rawValue) \($0)" }
    }
  }

  /// Whether hosts of this dialect can be asked.
  mutating func admits(_ dialect: HostDialect, _ request: InferenceRequest) -> Bool {
    if let reason = known[dialect] { return reason == nil }
    let reason = UpstreamRequest.refusal(of: request, by: dialect)
    known.updateValue(reason, forKey: dialect)
    return reason == nil
  }
}
