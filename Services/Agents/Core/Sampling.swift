public import ClusterModel

extension SamplingProfile {
  /// Temperature in thousandths: how far the model strays from its likeliest next word.
  public var temperatureMilli: Int {
    switch self {
    // A fact has one likeliest wording; the second likeliest is often another fact.
    case .factual: 200
    // Above 1 small models lose the thread; below 0.8 they repeat themselves.
    case .creative: 900
    // Code is right or wrong, and most of its tokens have one right choice.
    case .code: 100
    // A chain of steps breaks at its wildest one, but at 0 a wrong turn is never left.
    case .reasoning: 300
    // What is to be found stands in the text already.
    case .extraction: 0
    }
  }

  /// Share of the likeliest words, in thousandths, that may be chosen from.
  public var topPMilli: Int {
    switch self {
    case .factual: 900
    case .creative: 950
    // Names are rare words; cutting the tail costs correct identifiers.
    case .code: 950
    case .reasoning: 950
    case .extraction: 1_000
    }
  }
}

extension Role {
  /// The numbers for a task where the client says nothing: the task's own, else its profile's, else
  /// the role's.
  func sampling(for task: PlanTask) -> (temperatureMilli: Int, topPMilli: Int) {
    (
      task.temperatureMilli ?? task.profile?.temperatureMilli ?? profile.temperatureMilli,
      task.profile?.topPMilli ?? profile.topPMilli
    )
  }
}
