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
  /// The outcome for metrics: `repetition` if Tutti ended the answer, otherwise the outcome's name.
  public var outcomeName: String { ending?.rawValue ?? outcome.name }

  /// The facts that traces show about the attempt.
  public var facts: AttemptFacts {
    AttemptFacts(
      host: host, role: role.rawValue, outcome: outcome.name, changes: form.changes,
      tokens: tokens, started: started, ended: ended, isPanic: isPanic,
      chosen: price?.text ?? "", ending: ending?.rawValue ?? "", reason: failure?.message ?? "")
  }
}
