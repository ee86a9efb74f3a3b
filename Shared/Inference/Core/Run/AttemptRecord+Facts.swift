public import ClusterModel

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

extension AttemptRecord {
  /// The facts that traces show about the attempt.
  public var facts: AttemptFacts {
    AttemptFacts(
      host: host, role: role.rawValue, outcome: outcome.name, changes: form.changes,
      tokens: tokens, started: started, ended: ended, isPanic: isPanic,
      reason: failure?.message ?? "")
  }
}
