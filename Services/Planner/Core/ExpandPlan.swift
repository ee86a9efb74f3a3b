public import ClusterModel

/// Kinds of expansion: the values of `PlanTask.expansion`.
public enum Expansion: String, CaseIterable, Sendable {
  /// After a debate's comparison: another round, or the answer.
  case debateRound = "debate-round"
  /// After the coordinator's analysis: the specialists, a draft and its review.
  case maestroTeam = "maestro-team"
  /// After a review: a repair and another review, or the draft as it is.
  case maestroReview = "maestro-review"
  /// After a model's proposal of a split: the parts, or a direct answer.
  case splitParts = "split-parts"
}

/// Returns the tasks that follow from a task's output. Pure function, like `makePlan`.
///
/// Any output is accepted. If the output is unusable, the sub-plan follows from the query alone. If
/// the sub-plan would break a validation rule, the result is empty and the task's own output
/// stands.
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
