public import ClusterModel

/// Makes the plan for a request. Pure function: equal requests give equal plans except for the id.
///
/// - Throws: the error in the request, with a message for the client.
public func makePlan(_ request: PlanRequest, id: PlanID) throws(Failure) -> Plan {
  guard let pattern = PatternName(rawValue: request.pattern) else {
    throw unknown(pattern: request.pattern)
  }
  try checkRanges(of: request)
  try checkModels(of: request)
  let basis = PlanBasis(request)
  var plan =
    switch pattern {
    case .ensemble: try ensemble(basis, id: id)
    case .debate: try debate(basis, id: id)
    case .maestro: try maestro(basis, id: id)
    case .decompose: try decompose(basis, id: id)
    case .auto: try chooseAndPlan(basis, id: id)
    }
  plan.tasks = basis.withAlternatives(plan.tasks)
  do {
    try PlanValidation.validate(plan)
  } catch {
    throw Failure(.invalidPlan, error.description)
  }
  return plan
}

private func unknown(pattern: String) -> Failure {
  let known = PatternName.allCases.map(\.rawValue).joined(separator: ", ")
  let name = pattern.cut(toBytes: 128)
  guard pattern.hasPrefix("tutti/"), pattern != "tutti/fast" else {
    return Failure(
      .invalidRequest,
      "\"\(name)\" is not a pattern: the gateway answers it itself. The planner knows \(known).",
      param: "model")
  }
  return Failure(
    .modelNotFound, "There is no pattern \"\(name)\"; the patterns are \(known).", param: "model")
}

/// Checks all options, including those that the pattern does not use.
private func checkRanges(of request: PlanRequest) throws(Failure) {
  func check(_ value: Int?, _ range: ClosedRange<Int>, _ name: String) throws(Failure) {
    guard let value, !range.contains(value) else { return }
    throw Failure(
      .invalidRequest,
      "\(name) is \(value); it must be from \(range.lowerBound) to \(range.upperBound).",
      param: name)
  }
  try check(request.members, OptionRanges.members, "tutti.members")
  try check(request.rounds, OptionRanges.rounds, "tutti.rounds")
  try check(request.quorum, OptionRanges.members, "tutti.quorum")
  try check(request.maxTokens, 1...Int(Int32.max), "max_tokens")
  try check(request.budgetTokens, 1...Int.max, "tutti.budget.tokens")
  guard request.models.count <= OptionRanges.members.upperBound else {
    throw Failure(
      .invalidRequest,
      "tutti.members names \(request.models.count) models; "
        + "at most \(OptionRanges.members.upperBound) fit.",
      param: "tutti.members")
  }
}

private func checkModels(of request: PlanRequest) throws(Failure) {
  guard !request.available.isEmpty else {
    throw Failure(
      .noEligibleHost,
      "No eligible host offers a chat model now; see `tutti status` for the reasons.")
  }
  let offered = Set(request.available)
  for (place, model) in request.models.enumerated() where !offered.contains(model) {
    throw Failure(
      .modelNotFound, notFound(model, among: offered.sorted()), param: "tutti.members[\(place)]")
  }
}
