import ClusterModel
import Text

/// Decides if a model is asked to name the parts of a query.
///
/// The possible saving must pay for the extra call, unless the client asks for a split by name.
func proposalDecision(_ basis: PlanBasis, _ signals: SplitSignals) -> SplitDecision {
  guard basis.features.shape.bytes <= QueryShape.maximumBytes else {
    return .direct("it is too long to look for parts in it")
  }
  let parts = signals.likelyParts
  let each = SplitProposal.tokensOfPart(basis.request.query, signals, parts: parts)
  let tokens = each * parts
  let guess = Split(
    parts: Array(
      repeating: Split.Part(
        heading: nil, instruction: "", documents: basis.request.documents.map(\.name),
        tokens: each, promptTokens: SplitProposal.usualTaskTokens),
      count: parts),
    merge: .concatenate, kind: "parts", readsQuery: true, isProposed: true)
  let estimate = SplitEstimate(guess, basis: basis, proposal: SplitProposal.tokens)
  guard basis.isSplitByName || estimate.isWorthwhile else {
    return .direct("looking for parts would take longer than it could save")
  }
  if let total = basis.request.budgetTokens,
    total < SplitProposal.cost(basis) + promptTokens(of: guess, basis) + tokens
  {
    return .direct("looking for parts does not fit the budget")
  }
  return .propose(
    "a model names its parts: \(estimate.description(of: guess)) if there are \(parts)", estimate)
}

enum SplitProposal {
  /// Estimated tokens of the proposal.
  static let tokens = 160
  static let mostTokens = 2 * tokens
  static let mostParts = 8
  static let taskBytes = 1_000

  /// Returns the estimated answer tokens of a part.
  ///
  /// A length that the query states for "each" applies to each part. Any other length applies to
  /// all parts together, but each part has at least a paragraph or two.
  static func tokensOfPart(_ query: String, _ signals: SplitSignals, parts: Int) -> Int {
    let wholeTokens = AnswerSize.tokens(of: query)
    if signals.isSized, signals.isDistributive { return min(max(wholeTokens, 60), 900) }
    return min(max(wholeTokens / parts, usualPartTokens), 600)
  }

  private static let usualPartTokens = 160
  /// Estimated tokens of a part's instruction: a line or two.
  static let usualTaskTokens = 20

  /// Tokens of the budget that a proposal may read and write.
  static func cost(_ basis: PlanBasis) -> Int {
    PromptTokens(1, instructions: [(instruction, 1)]).tokens(basis) + mostTokens
  }

  static let schema = """
    {"type":"object","required":["parts"],"properties":{"parts":{"type":"array","minItems":1,\
    "maxItems":8,"items":{"type":"object","required":["task"],"properties":{"name":{"type":"string",\
    "maxLength":40},"task":{"type":"string","maxLength":1000},"needs":{"type":"array","items":\
    {"type":"string"}}}}},"merge":{"enum":["in_order","combine"]}}}
    """

  static let instruction = """
    Do not reply to what I just said yet. Say which parts of it can be worked on at the same time by \
    people who do not see each other's work, as one JSON object and nothing else, like this: \
    {"parts":[{"name":"history","task":"all that has to be known to do this part","needs":[]}],\
    "merge":"in_order"}. "needs" names parts whose result this one must read. "merge" is in_order \
    when the results one after the other are the reply, else combine. If it is one thing, give one \
    part.
    """
}

/// Plans one task that proposes the parts. Its expansion replaces it.
func proposalPlan(
  _ basis: PlanBasis, id: PlanID, reason: String, estimate: SplitEstimate
) -> Plan {
  let proposal = PlanTask(
    id: "parts",
    role: .coordinator,
    instruction: SplitProposal.instruction,
    contract: .json(schema: SplitProposal.schema),
    model: basis.namedModel(0),
    maxTokens: SplitProposal.mostTokens,
    deadlineShare: DeadlineShares.brief,
    temperatureMilli: 0,
    seed: basis.seed(0),
    expansion: Expansion.splitParts.rawValue)
  return Plan(
    id: id, pattern: basis.request.pattern, tasks: [proposal], sink: proposal.id,
    seed: basis.request.seed, deadline: PlanLimits.deadline, reason: "split: \(reason)",
    estimate: estimate.plain(.proposal))
}

/// Returns the tasks after a proposal.
///
/// The result has the proposed parts if at least two are usable, and if they fit the budget. Unless
/// the client asks for a split by name, they must also be faster than a direct answer. Otherwise
/// the result has one task, which answers directly.
func splitParts(_ expand: ExpandRequest, basis: PlanBasis) -> SubPlan {
  let first = expand.plan.tasks.count
  let basis = basis.spending(SplitProposal.cost(basis))
  if let split = proposedSplit(expand.output, basis: basis) {
    let estimate = SplitEstimate(split, basis: basis)
    if basis.isSplitByName || estimate.isWorthwhile, fitsBudget(split, basis) {
      let tasks = splitTasks(split, models: estimate.models, basis: basis, first: first)
      return SubPlan(tasks: tasks, output: "answer")
    }
  }
  guard let answer = try? directTask(basis, id: "answer", number: first) else {
    return .nothing(after: expand.task)
  }
  return SubPlan(tasks: [answer], output: answer.id)
}

/// - Returns: `nil` if fewer than two usable parts remain.
private func proposedSplit(_ output: String, basis: PlanBasis) -> Split? {
  guard let json = ModelJSON(output), let list = json.document.value("parts", in: json.root) else {
    return nil
  }
  var seen: Set<String> = []
  var found: [(name: String, task: String, needs: [String])] = []
  for (place, entry) in json.document.elements(of: list).prefix(32).enumerated()
  where found.count < SplitProposal.mostParts {
    guard let task = json.text("task", in: entry, atMost: SplitProposal.taskBytes),
      seen.insert(task.lowercased()).inserted
    else { continue }
    let name = json.text("name", in: entry, atMost: 40) ?? "\(place)"
    found.append(
      (
        name.lowercased(), task,
        json.texts("needs", in: entry, atMost: SplitProposal.mostParts, bytes: 40)
          .map { $0.lowercased() }
      ))
  }
  guard found.count > 1 else { return nil }
  let order = WorkOrder(
    needs: found.map { part in
      part.needs.compactMap { need in found.firstIndex { $0.name == need } }
    }, mostSteps: SplitProposal.mostParts)
  var parts: [Split.Part] = []
  for (place, part) in found.enumerated() {
    var made = Split.Part(part.task, needs: order.needs[place].sorted())
    made.documents = basis.request.documents.map(\.name)
    parts.append(made)
  }
  let isCombined = json.text("merge", in: json.root, atMost: 40) == "combine"
  let whole = AnswerSize.tokens(of: basis.request.query)
  return Split(
    parts: parts,
    merge: isCombined
      ? .synthesise(task: "reply to all of what I said.", tokens: whole) : .concatenate,
    // Models describe a part in a word or two and assume that the reader knows the query.
    kind: "parts", readsQuery: true, isProposed: true)
}
