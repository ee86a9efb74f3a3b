import ClusterModel

extension AttemptOutcome {
  /// `answered`, `beaten`, or the kind of failure.
  public var name: String {
    switch self {
    case .answered: "answered"
    case .beaten: "beaten"
    case .failed(let failure): failure.kind.rawValue
    }
  }
}

/// Description for operators: "embedded-2 first beaten, 0 tokens, 0–310 ms".
extension AttemptRecord: CustomStringConvertible {
  public var description: String {
    let facts =
      "\(host) \(role.rawValue) \(outcome.name), \(counted(tokens, "token")), "
      + "\(started.wholeMilliseconds)–\(ended.wholeMilliseconds) ms"
      + form.changes.map { ", \($0)" }.joined()
      + (isPanic ? ", asked although its breaker was open" : "")
    return failure.map { "\(facts): \($0.message)" } ?? facts
  }
}
