import ClusterModel

/// Dialects that cannot express a request, with the reasons.
///
/// Each dialect is checked once, because a check translates the whole request.
struct DialectRefusals: Sendable {
  /// Results of the checks by dialect: the reason, or `nil` if the dialect can express the request.
  private var known: [HostDialect: String?] = [:]

  /// Why hosts that are otherwise eligible cannot be asked, in the order of the dialects' names.
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
