import ClusterModel
import Limits

/// An option of `tutti` that only plans use.
private enum PlanOption: CaseIterable {
  /// The number of members.
  case members
  /// The models of the members.
  case models
  case rounds, quorum, documents

  var name: String {
    switch self {
    case .members, .models: "members"
    case .rounds: "rounds"
    case .quorum: "quorum"
    case .documents: "documents"
    }
  }

  func isGiven(in options: TuttiOptions) -> Bool {
    switch self {
    case .members: options.members != nil
    case .models: !options.models.isEmpty
    case .rounds: options.rounds != nil
    case .quorum: options.quorum != nil
    case .documents: !options.documents.isEmpty
    }
  }
}

extension PatternName {
  /// Whether plans of the pattern depend on the option.
  fileprivate func uses(_ option: PlanOption) -> Bool {
    switch self {
    // The planner may choose any other pattern.
    case .auto, .debate: true
    case .ensemble: option != .rounds
    case .maestro, .decompose: option == .models || option == .documents
    }
  }
}

extension TuttiOptions {
  /// Checks that each given option has an effect, so that a client does not rely on an option that
  /// is ignored.
  ///
  /// - Parameters:
  ///   - model: the model of the request, for the error.
  ///   - pattern: the pattern of the plan. `nil` means that one model answers without a plan.
  /// - Throws: `invalidRequest` that names all options without an effect.
  func checkUse(by model: String, _ pattern: PatternName? = nil) throws(Failure) {
    var problems: [Failure] = []
    for option in PlanOption.allCases
    where option.isGiven(in: self) && pattern?.uses(option) != true {
      let users = PatternName.allCases.filter { $0.uses(option) }.map(\.rawValue)
      let value = option == .members && pattern != nil ? " as a number" : ""
      problems.append(
        .invalid(
          "tutti.\(option.name)",
          "has no effect\(value) with \(model.cut(toBytes: Limits.errorNameBytes.value)); "
            + "supported by \(users.joined(separator: ", "))"))
    }
    if let problem = Failure.joined(problems) { throw problem }
  }
}
