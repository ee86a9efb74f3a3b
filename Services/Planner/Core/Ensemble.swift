import ClusterModel

/// N members draft an answer each, at once and without seeing each other; the coordinator writes
/// one answer from the drafts. A member that fails is left out as long as the quorum is met.
func ensemble(_ request: PlanRequest, id: PlanID) throws(PlanError) -> Plan {
  let models = try chosenModels(request)
  let members = try memberCount(request, distinctModels: Set(models).count)
  let quorum = request.quorum ?? members / 2 + 1
  guard quorum <= members else {
    throw PlanError(
      .optionOutOfRange,
      "tutti.quorum is \(quorum), but the ensemble has \(members) members.")
  }
  let budget = try TokenBudget(request, members: members)
  let lineup = looksLikeCode(request.query) ? Lineup.code : Lineup.prose
  // Members that share a model must differ in something else than their role.
  let sharesModels = Set(models.prefix(members)).count < members

  // Mixed, so that two requests with neighbouring seeds share none; then counted up, so that the
  // members' agents can take turns over the hosts without knowing of each other.
  var mixer = SplitMix64(seed: request.seed)
  let seed = mixer.next()

  var tasks: [PlanTask] = []
  for member in 0..<members {
    tasks.append(
      PlanTask(
        id: TaskID("draft-\(member + 1)"),
        role: lineup.roles[member % lineup.roles.count],
        onFailure: .skip,
        model: models[member % models.count],
        maxTokens: budget.draft,
        deadline: PlanLimits.draftDeadline,
        temperatureMilli: sharesModels ? lineup.temperature(of: member, among: members) : nil,
        seed: seed &+ UInt64(member)))
  }
  let answer = PlanTask(
    id: "answer",
    role: .coordinator,
    instruction: members == 1 ? Instruction.revise : Instruction.synthesise,
    inputs: tasks.enumerated().map { Edge(from: $1.id, name: "Draft \($0 + 1)") },
    merge: .synthesise,
    quorum: quorum,
    // The first member's: somebody is known to offer it, and the choice does not wander.
    model: models[0],
    maxTokens: budget.answer,
    seed: seed &+ UInt64(members))
  return Plan(
    id: id, pattern: request.pattern, tasks: tasks + [answer], sink: answer.id,
    seed: request.seed, deadline: PlanLimits.deadline)
}

/// What the coordinator is told. Short, and about "drafts": a small model repeats what it is told.
private enum Instruction {
  static let synthesise = """
    Below are drafts of a reply to what I just said, written independently. Write the one best \
    reply from them: keep what is right, drop what is wrong or said twice, and where they disagree \
    decide by the better reason. Reply to me directly, and do not mention the drafts.
    """
  static let revise = """
    Below is a draft of a reply to what I just said. Write the final reply: keep what is right, \
    correct what is wrong. Reply to me directly, and do not mention the draft.
    """
}

/// Which roles draft, in turn, and how far apart their temperatures are.
private struct Lineup {
  var roles: [AgentRole]
  /// In thousandths.
  var temperatures: ClosedRange<Int>

  static let prose = Lineup(roles: [.research, .reasoning, .creative], temperatures: 300...900)
  /// Code is right or wrong: less spread.
  static let code = Lineup(
    roles: [.code, .reasoning, .research, .creative], temperatures: 100...600)

  func temperature(of member: Int, among members: Int) -> Int {
    guard members > 1 else { return temperatures.lowerBound }
    let width = temperatures.upperBound - temperatures.lowerBound
    return temperatures.lowerBound + width * member / (members - 1)
  }
}

/// The models the members use, in turn. Named ones stay in the client's order; else the eligible
/// ones, beginning at one that the seed picks, so that the load of many requests spreads.
private func chosenModels(_ request: PlanRequest) throws(PlanError) -> [ModelID] {
  let available = Set(request.available).sorted()
  guard !available.isEmpty else {
    throw PlanError(
      .noModels, "No eligible host offers a chat model now; see `tutti status` for the reasons.")
  }
  guard request.models.isEmpty else {
    let offered = Set(available)
    for model in request.models where !offered.contains(model) {
      throw PlanError(.modelNotFound, notFound(model, among: available))
    }
    return request.models
  }
  let first = Int(request.seed % UInt64(available.count))
  return Array(available[first...] + available[..<first])
}

private func memberCount(
  _ request: PlanRequest, distinctModels: Int
) throws(PlanError) -> Int {
  if let members = request.members { return members }
  if !request.models.isEmpty { return request.models.count }
  // An ensemble of one is none: a lone model is asked several times.
  guard distinctModels > 1 else { return PlanLimits.defaultMembers }
  return min(PlanLimits.defaultMembers, distinctModels)
}

/// How many tokens each task may write.
private struct TokenBudget {
  var draft: Int
  /// nil: the client's own limit, or none.
  var answer: Int?

  /// With a budget of B tokens for everything, prompts included: every task reads the query, the
  /// answer's task also reads the drafts, and it may write as much as two drafts. Only the query is
  /// known here, so the rest of the conversation is not counted.
  init(_ request: PlanRequest, members: Int) throws(PlanError) {
    // A client that wants a short answer wants short drafts; one that wants a long answer still
    // gets drafts that fit beside each other into a small context.
    draft = min(
      PlanLimits.draftTokens, max(PlanLimits.leastTokens, request.maxTokens ?? .max))
    guard let total = request.budgetTokens else { return }
    // Four bytes a token is the usual estimate for English.
    let prompts = (members + 1) * (request.query.utf8.count / 4 + 1)
    let shares = 2 * members + 2
    let share = (total - prompts) / shares
    guard share >= PlanLimits.leastTokens else {
      throw PlanError(
        .budgetTooSmall,
        "tutti.budget.tokens is \(total); \(members) members need at least "
          + "\(prompts + shares * PlanLimits.leastTokens) for this query. Ask for more tokens or "
          + "fewer members.")
    }
    draft = min(draft, share)
    answer = min(2 * share, request.maxTokens ?? .max)
  }
}
