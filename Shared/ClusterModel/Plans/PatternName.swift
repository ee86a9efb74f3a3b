/// Model names for which the planner makes plans.
///
/// The planner switches over all cases. The gateway and the command line list them.
public enum PatternName: String, CaseIterable, Sendable {
  /// The planner chooses a pattern or a direct answer.
  case auto = "tutti/auto"
  /// Several members answer independently, then one answer is written from their drafts.
  case ensemble = "tutti/ensemble"
  /// Several members answer. In each round, they read each other's answers and improve their own.
  case debate = "tutti/debate"
  /// Specialists work on the query, a critic reviews, and one answer is written.
  case maestro = "tutti/maestro"
  /// The parts of a query are answered in parallel.
  case decompose = "tutti/decompose"

  /// One line of help for a user who chooses a model.
  public var help: String {
    switch self {
    case .auto: "short questions go straight to a host, others get a plan"
    case .ensemble: "several members answer, one answer is written from theirs"
    case .debate: "members read each other's answers and improve their own"
    case .maestro: "a coordinator chooses specialists; a critic reviews what they write"
    case .decompose: "the question is split into tasks that run at the same time"
    }
  }
}
