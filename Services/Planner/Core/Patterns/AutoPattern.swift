import ClusterModel
import Text

/// Plans one call, unless the query shows that a split or a pattern is worth more.
///
/// The plan is named after the choice, so that metrics and traces distinguish one call from a
/// split.
func chooseAndPlan(_ basis: PlanBasis, id: PlanID) throws(Failure) -> Plan {
  let choice = AutoChoice(basis)
  do {
    var plan = try choice.plan(basis, id: id)
    plan.pattern = choice.name
    plan.reason = choice.reason(plan.reason)
    return plan
  } catch {
    // The pattern does not fit the budget or the options. One call may still fit.
    var plan = try directPlan(
      basis, id: id, reason: "\(choice.pattern.rawValue) would suit it but exceeds the budget")
    plan.pattern = Plan.direct
    return plan
  }
}

/// Decision of `tutti/auto` on a query, with the reason.
enum AutoChoice {
  case direct(String, estimate: SplitEstimate? = nil)
  case split(Split, SplitEstimate)
  case pattern(PatternName, because: String)

  init(_ basis: PlanBasis) {
    let request = basis.request
    let features = basis.features
    // `tutti/auto` first checks if the query can be worth more than one call. A client that names a
    // pattern accepts its price without this check.
    // Each part of a long document counts like a document of its own.
    let documents = LongDocumentSplit.find(basis)?.parts.count ?? request.documents.count
    if let gate = DirectGate.reason(
      query: request.query, maxTokens: request.maxTokens, budgetTokens: request.budgetTokens,
      documents: documents, isStructured: request.isStructured)
    {
      self = .direct(gate)
      return
    }
    var compared: (reason: String, estimate: SplitEstimate)?
    var reason = "nothing in it asks for more than one call"
    switch splitDecision(basis) {
    case .split(let split, let estimate):
      self = .split(split, estimate)
      return
    case .direct(let reason, let estimate?): compared = (reason, estimate)
    case .direct(let own, _): reason = own
    case .propose: break
    }
    func direct(_ reason: String) -> AutoChoice {
      compared.map { .direct($0.reason, estimate: $0.estimate) } ?? .direct(reason)
    }
    guard let (pattern, because) = Self.pattern(for: features, request) else {
      self = direct(reason)
      return
    }
    guard Self.hasRoom(basis) else {
      self = direct("\(because), but too few slots are free for more than one call")
      return
    }
    self = .pattern(pattern, because: because)
  }

  /// The pattern that suits the query, with the reason. `nil` means that none does.
  private static func pattern(
    for features: QueryFeatures, _ request: PlanRequest
  ) -> (PatternName, because: String)? {
    if features.dispute >= 3 { return (.debate, "it asks for both sides of a question") }
    let skills = Self.skills(features, request)
    if skills >= 3, features.shape.words >= complexWords {
      return (.maestro, "it needs \(skills) kinds of work at once")
    }
    if features.certainty >= 2, features.reasoning + features.facts > 0 {
      return (.ensemble, "it asks for certainty")
    }
    return nil
  }

  /// Minimum words of a query that needs several kinds of work.
  private static let complexWords = 40

  /// True if two more answers can be written at the same time as the first.
  private static func hasRoom(_ basis: PlanBasis) -> Bool {
    HostPool(basis.request).slots > 2
  }

  /// Counts the kinds of work that the query asks for.
  private static func skills(_ features: QueryFeatures, _ request: PlanRequest) -> Int {
    [
      features.isAboutCode, features.creative > 1, features.reasoning > 1,
      features.facts > 1 || !request.documents.isEmpty,
    ].count { $0 }
  }

  var pattern: PatternName {
    switch self {
    case .direct, .split: .decompose
    case .pattern(let pattern, _): pattern
    }
  }

  /// The name of the plan.
  var name: String {
    if case .direct = self { return Plan.direct }
    return pattern.rawValue
  }

  func plan(_ basis: PlanBasis, id: PlanID) throws(Failure) -> Plan {
    switch self {
    case .direct(let reason, let estimate):
      return try directPlan(basis, id: id, reason: reason, estimate: estimate)
    case .split(let split, let estimate): return splitPlan(split, estimate, basis: basis, id: id)
    case .pattern(let pattern, _):
      switch pattern {
      case .ensemble: return try ensemble(basis, id: id)
      case .debate: return try debate(basis, id: id)
      case .maestro: return try maestro(basis, id: id)
      case .decompose, .auto: return try decompose(basis, id: id)
      }
    }
  }

  /// - Parameter own: the reason that the plan gives.
  func reason(_ own: String) -> String {
    guard case .pattern(let pattern, let because) = self else { return own }
    let name = pattern.rawValue.dropFirst("tutti/".count)
    return own.isEmpty ? "\(name): \(because)" : "\(name): \(because); \(own)"
  }
}
