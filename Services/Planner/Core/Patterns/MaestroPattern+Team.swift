import ClusterModel

/// Returns the tasks after the analysis: the specialists, a draft from their work, and its review.
func maestroTeam(_ expand: ExpandRequest, basis: PlanBasis) -> SubPlan {
  guard let shape = try? MaestroShape(basis) else { return .nothing(after: expand.task) }
  var team = Team(analysis: expand.output) ?? Team(suggestedBy: basis)
  team.ensureReader(of: basis.request.documents)
  team.trim(to: shape.specialists)

  let first = expand.plan.tasks.count
  var tasks: [PlanTask] = []
  for (place, specialist) in team.specialists.enumerated() {
    tasks.append(
      work(of: specialist, place: place, first: first, basis: basis, shape: shape))
  }
  let draft = PlanTask(
    id: "draft",
    role: .coordinator,
    instruction: MaestroInstruction.draft,
    inputs: tasks.enumerated().map { Edge(from: $1.id, name: "Notes \($0 + 1)") },
    merge: .synthesise,
    quorum: 1,
    model: basis.namedModel(0),
    maxTokens: shape.shares.wholeDraft(basis.request),
    deadlineShare: DeadlineShares.answer,
    profile: basis.profile,
    seed: basis.seed(first + tasks.count))
  tasks.append(draft)
  let review = review(
    of: draft.id, round: 1,
    instruction: MaestroInstruction.review(team.criteria, basis.fence(first + tasks.count)),
    number: first + tasks.count, basis: basis, shape: shape)
  return SubPlan(tasks: tasks + [review], output: review.id)
}

extension Team {
  /// Drops the last specialists. Earlier specialists do not need them.
  fileprivate mutating func trim(to count: Int) {
    specialists = Array(specialists.prefix(max(1, count)))
  }
}

private func work(
  of specialist: Team.Specialist, place: Int, first: Int, basis: PlanBasis, shape: MaestroShape
) -> PlanTask {
  PlanTask(
    id: workID(place),
    role: specialist.role,
    instruction: MaestroInstruction.work(
      specialist.brief, readsNotes: !specialist.needs.isEmpty, basis.fence(first + place)),
    inputs: specialist.needs.enumerated().map {
      Edge(from: workID($1), name: "Notes \($0 + 1)")
    },
    merge: specialist.needs.isEmpty ? .none : .synthesise,
    onFailure: .skip,
    quorum: specialist.needs.isEmpty ? nil : 1,
    // Unless the client named models, each role's agent chooses its own.
    model: basis.namedModel(place + 1),
    maxTokens: shape.shares.draft(basis.request),
    deadlineShare: DeadlineShares.draft,
    seed: basis.seed(first + place),
    documents: specialist.role == .research && !basis.request.documents.isEmpty
      ? [PlanTask.everyDocument] : [])
}

private func workID(_ place: Int) -> TaskID { TaskID("part-\(place + 1)") }

/// Returns the critic's review of a draft. If the review fails, the draft stands.
func review(
  of draft: TaskID, round: Int, instruction: String, number: Int, basis: PlanBasis,
  shape: MaestroShape
) -> PlanTask {
  PlanTask(
    id: TaskID("review-\(round)"),
    role: .critic,
    instruction: instruction,
    inputs: [Edge(from: draft, name: "Reply")],
    merge: .synthesise,
    contract: .json(schema: Review.schema),
    onFailure: .degrade,
    model: basis.namedModel(number),
    maxTokens: shape.shares.working,
    deadlineShare: DeadlineShares.brief,
    temperatureMilli: 0,
    seed: basis.seed(number),
    expansion: Expansion.maestroReview.rawValue)
}
