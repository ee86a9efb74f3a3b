public import ClusterModel

/// The patterns that this planner knows. Each is one pure function from a request to a plan.
public enum Pattern: String, CaseIterable, Sendable {
  /// Several members answer on their own, then one answer is written from theirs.
  case ensemble = "tutti/ensemble"
}

/// Makes the plan that `request` asks for. Facts in, plan out: the same request gives the same plan
/// but for its id.
/// - Throws: what is wrong with the request, in a sentence for the client.
public func makePlan(_ request: PlanRequest, id: PlanID) throws(PlanError) -> Plan {
  guard let pattern = Pattern(rawValue: request.pattern) else {
    throw unknown(pattern: request.pattern)
  }
  try checkRanges(of: request)
  let plan =
    switch pattern {
    case .ensemble: try ensemble(request, id: id)
    }
  do {
    try PlanValidation.validate(plan)
  } catch {
    throw PlanError(.invalidPlan, error.description)
  }
  return plan
}

private func unknown(pattern: String) -> PlanError {
  let known = Pattern.allCases.map(\.rawValue).joined(separator: ", ")
  let name = pattern.cut(toBytes: 128)
  guard pattern.hasPrefix("tutti/"), pattern != "tutti/fast" else {
    return PlanError(
      .notAPattern,
      "\"\(name)\" is no pattern: the gateway answers it itself. The planner knows \(known).")
  }
  return PlanError(.unknownPattern, "There is no pattern \"\(name)\"; there is \(known).")
}

/// What holds for every pattern, whether it uses the option or not.
private func checkRanges(of request: PlanRequest) throws(PlanError) {
  func check(_ value: Int?, _ range: ClosedRange<Int>, _ name: String) throws(PlanError) {
    guard let value, !range.contains(value) else { return }
    throw PlanError(
      .optionOutOfRange,
      "\(name) is \(value); it must be from \(range.lowerBound) to \(range.upperBound).")
  }
  try check(request.members, 1...PlanLimits.members, "tutti.members")
  try check(request.rounds, 1...8, "tutti.rounds")
  try check(request.quorum, 1...PlanLimits.members, "tutti.quorum")
  try check(request.maxTokens, 1...Int(Int32.max), "max_tokens")
  try check(request.budgetTokens, 1...Int.max, "tutti.budget.tokens")
  guard request.models.count <= PlanLimits.members else {
    throw PlanError(
      .optionOutOfRange,
      "tutti.members names \(request.models.count) models; at most \(PlanLimits.members) fit.")
  }
}

enum PlanLimits {
  /// As many as one task may read.
  static let members = PlanValidation.maximumInputs
  /// As in the options' table: more drafts than this cost more than they add, unless asked for.
  static let defaultMembers = 3
  /// For a whole plan. A laptop makes some 40 tokens a second: three drafts and an answer of a
  /// thousand tokens each, one after the other, fit twice.
  static let deadline = Duration.seconds(300)
  /// A member that is not done by then must not keep the answer from being written.
  static let draftDeadline = Duration.seconds(180)
  /// A draft is read by a model, not by a person: three of them and the conversation still fit a
  /// context of 2,048 tokens.
  static let draftTokens = 384
  /// Fewer tokens than this say nothing.
  static let leastTokens = 16
}
