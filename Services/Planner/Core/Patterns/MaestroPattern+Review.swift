import ClusterModel
import Text

/// Returns the tasks after a review: the draft as it is, or a repair and another review.
///
/// There are at most two repairs, because a model that failed three times is expected to fail
/// again.
func maestroReview(_ expand: ExpandRequest, basis: PlanBasis) -> SubPlan {
  guard let shape = try? MaestroShape(basis),
    let task = expand.plan.tasks.first(where: { $0.id == expand.task }),
    let draft = task.inputs.first?.from
  else { return .nothing(after: expand.task) }
  // Every review so far is a task of the plan.
  let round = max(1, expand.plan.tasks.count { $0.contract == task.contract })
  let first = expand.plan.tasks.count
  guard let found = Review(expand.output), found.wantsRepair, round <= shape.repairs else {
    return accepted(draft, round: round)
  }
  let repair = PlanTask(
    id: TaskID("repair-\(round)"),
    role: found.role,
    instruction: MaestroInstruction.repair(found.issues, basis.fence(first)),
    inputs: [Edge(from: draft, name: "Reply")],
    merge: .synthesise,
    // If the repair fails, the draft stands.
    onFailure: .degrade,
    model: basis.namedModel(round),
    maxTokens: shape.shares.wholeDraft(basis.request),
    deadlineShare: DeadlineShares.draft,
    profile: basis.profile,
    seed: basis.seed(first),
    documents: found.role == .research && !basis.request.documents.isEmpty
      ? [PlanTask.everyDocument] : [])
  let again = review(
    of: repair.id, round: round + 1,
    instruction: Fence(seed: task.seed).moved(task.instruction, to: basis.fence(first + 1)),
    number: first + 1, basis: basis, shape: shape)
  return SubPlan(tasks: [repair, again], output: again.id)
}

/// Replaces the review with the draft.
private func accepted(_ draft: TaskID, round: Int) -> SubPlan {
  let kept = PlanTask(
    id: TaskID("reviewed-\(round)"), role: .coordinator,
    inputs: [Edge(from: draft, name: "Reply")], merge: .replace)
  return SubPlan(tasks: [kept], output: kept.id)
}
