public import ClusterModel

extension SamplingProfile {
  /// Temperature in thousandths: how far the model deviates from its most likely next token.
  public var temperatureMilli: Int {
    switch self {
    // A fact has one most likely wording. The second most likely wording is often another fact.
    case .factual: 200
    // Above 1 small models lose the thread; below 0.8 they repeat themselves.
    case .creative: 900
    // Code is right or wrong, and most of its tokens have one right choice.
    case .code: 100
    // One wild step breaks a chain of reasoning, but at 0 the model never leaves a wrong path.
    case .reasoning: 300
    // The result is already in the text.
    case .extraction: 0
    }
  }

  /// Share of the most likely tokens to choose from (top p), in thousandths.
  public var topPMilli: Int {
    switch self {
    case .factual: 900
    case .creative: 950
    // Names are rare tokens. A lower value would exclude correct identifiers.
    case .code: 950
    case .reasoning: 950
    case .extraction: 1_000
    }
  }
}

extension Role {
  /// Sampling values if the client sets none: the task's own, otherwise its profile's, otherwise
  /// the role's.
  func sampling(for task: PlanTask) -> (temperatureMilli: Int, topPMilli: Int) {
    (
      task.temperatureMilli ?? task.profile?.temperatureMilli ?? profile.temperatureMilli,
      task.profile?.topPMilli ?? profile.topPMilli
    )
  }
}
