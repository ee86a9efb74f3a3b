public import ClusterModel

/// What can follow from a task's output: the names that `PlanTask.expansion` may have.
public enum Expansion: String, CaseIterable, Sendable {
  /// Of a debate's comparison: another round, or the answer.
  case debateRound = "debate-round"
  /// Of the coordinator's analysis: the specialists, a draft and its review.
  case maestroTeam = "maestro-team"
  /// Of a review: a repair, or nothing.
  case maestroReview = "maestro-review"
  /// Of a model's proposal to split: the parts, or a direct answer.
  case splitParts = "split-parts"
}

/// What follows from a task's output. A function of what it is given, like `makePlan`.
///
/// It takes whatever a model wrote: what cannot be read as what was asked for leads to what the query
/// alone suggests. A sub-plan that would break a rule of plans is replaced by nothing, so that what
/// there is becomes the answer.
public func expandPlan(_ request: ExpandRequest) -> SubPlan {
  let nothing = SubPlan.nothing(after: request.task)
  guard let task = request.plan.tasks.first(where: { $0.id == request.task }),
    let expansion = task.expansion.flatMap(Expansion.init(rawValue:))
  else { return nothing }
  let basis = PlanBasis(request.request)
  var sub =
    switch expansion {
    case .debateRound: debateRound(request, basis: basis)
    case .maestroTeam: maestroTeam(request, basis: basis)
    case .maestroReview: maestroReview(request, basis: basis)
    case .splitParts: splitParts(request, basis: basis)
    }
  sub.tasks = basis.withAlternatives(sub.tasks)
  do {
    _ = try request.plan.splicing(sub, at: request.task)
    return sub
  } catch {
    return nothing
  }
}
