import ClusterModel
import Text

/// Plans a split into parallel parts, a call that proposes parts, or a direct answer.
///
/// If a client asks for this pattern by name, the estimate is only reported and decides nothing.
/// `tutti/auto` splits only if that is faster on the current hosts.
func decompose(_ basis: PlanBasis, id: PlanID) throws(Failure) -> Plan {
  switch splitDecision(basis) {
  case .direct(let reason, let estimate):
    return try directPlan(basis, id: id, reason: reason, estimate: estimate)
  case .split(let split, let estimate): return splitPlan(split, estimate, basis: basis, id: id)
  case .propose(let reason, let estimate):
    return proposalPlan(basis, id: id, reason: reason, estimate: estimate)
  }
}

enum SplitDecision {
  /// - Parameter estimate: `nil` means that the direct answer has another reason than its time.
  case direct(String, estimate: SplitEstimate? = nil)
  case split(Split, SplitEstimate)
  /// A model is asked for the parts.
  case propose(String, SplitEstimate)
}

func splitDecision(_ basis: PlanBasis) -> SplitDecision {
  let request = basis.request
  if let reason = DirectGate.boundReason(
    maxTokens: request.maxTokens, budgetTokens: request.budgetTokens,
    isStructured: request.isStructured)
  {
    return .direct(reason)
  }
  if let split = LongDocumentSplit.find(basis) { return decision(on: split, basis) }
  guard request.documents.count > 1 || request.query.utf8.count <= QueryShape.maximumBytes else {
    return .direct("it is too long to look for parts in it")
  }
  let found = SplitFinder(basis).split
  // A client that asks for a split by name expects parts. If the query itself names independent
  // parts, a short query or a single sentence is no reason against a split, and a doubtful score
  // suffices.
  let isNamed = basis.isSplitByName && found?.isFree == true
  if request.documents.count < 2, !isNamed, let reason = DirectGate.shapeReason(request.query) {
    return .direct(reason)
  }
  // Several documents count as parts. For other queries, the signal words decide.
  let signals = SplitSignals(request.query, found: found)
  guard request.documents.count > 1 || signals.score > (isNamed ? SplitSignals.doubt : 0) else {
    return .direct(DirectGate.stepsReason(request.query) ?? "it reads as one piece of work")
  }
  if let split = found {
    // Documents must be read, even if the answer about each is short.
    guard basis.isSplitByName || request.documents.count > 1 || split.partsAreLongEnough else {
      return .direct(
        DirectGate.stepsReason(request.query) ?? "its parts are too short to be worth a call each")
    }
    return decision(on: split, basis)
  }
  return proposalDecision(basis, signals)
}

/// Decides by the budget and, unless the client asks for a split by name, by time.
private func decision(on split: Split, _ basis: PlanBasis) -> SplitDecision {
  let estimate = SplitEstimate(split, basis: basis)
  guard basis.isSplitByName || estimate.isWorthwhile else {
    return .direct(estimate.reasonAgainst(split), estimate: estimate)
  }
  guard fitsBudget(split, basis) else {
    return .direct("\(split.parts.count) \(split.kind) do not fit the budget")
  }
  return .split(split, estimate)
}

extension PlanBasis {
  /// True if the client asks for a split by the pattern's name.
  var isSplitByName: Bool { request.pattern == PatternName.decompose.rawValue }
}

/// Whether the budget covers the split. Every part reads its instruction and the parts it needs. A
/// synthesis reads all parts.
func fitsBudget(_ split: Split, _ basis: PlanBasis) -> Bool {
  guard let total = basis.request.budgetTokens else { return true }
  return total - promptTokens(of: split, basis) >= 64 * units(of: split)
}

func promptTokens(of split: Split, _ basis: PlanBasis) -> Int {
  let own = split.parts.reduce(0) { sum, part in
    sum + TokenEstimate.callTokens + PartInstruction.aroundTokens
      + Fence.tokens(around: part.needs.count + (split.isProposed ? 1 : 0))
      + split.promptTokens(of: part, basis)
  }
  if case .concatenate = split.merge { return own }
  return own + TokenEstimate.callTokens + basis.conversationTokens
    + Fence.tokens(around: split.parts.count)
}

/// Number of budget shares that the split writes and reads.
private func units(of split: Split) -> Int {
  let needs = split.parts.reduce(0) { $0 + $1.needs.count }
  if case .concatenate = split.merge { return split.parts.count + needs }
  return 2 * split.parts.count + needs + 2
}

func splitPlan(
  _ split: Split, _ estimate: SplitEstimate, basis: PlanBasis, id: PlanID
) -> Plan {
  let tasks = splitTasks(split, models: estimate.models, basis: basis, first: 0)
  return Plan(
    id: id, pattern: basis.request.pattern, tasks: tasks, sink: "answer",
    seed: basis.request.seed, deadline: PlanLimits.deadline,
    reason: "split: \(estimate.description(of: split))", estimate: estimate.plain(.split))
}

/// Returns a task per part, and a last task "answer" that joins them.
///
/// - Parameter first: number of tasks that the plan already has.
func splitTasks(
  _ split: Split, models: [ModelID?], basis: PlanBasis, first: Int
) -> [PlanTask] {
  let share = basis.request.budgetTokens.map {
    let share = max(
      TokenEstimate.leastTokens, ($0 - promptTokens(of: split, basis)) / units(of: split))
    // A budget may allow more tokens than a plan may write.
    return min(share, PlanValidation.maximumTokens / (2 * split.parts.count + 4))
  }
  let limits = partLimits(split, share: share, basis: basis)
  var tasks: [PlanTask] = []
  for (place, part) in split.parts.enumerated() {
    tasks.append(
      PlanTask(
        id: TaskID("part-\(place + 1)"),
        role: role(of: part),
        instruction: PartInstruction.text(
          of: part, alone: split.standsAlone(basis),
          fence: split.isProposed ? basis.fence(first + place) : nil),
        inputs: part.needs.map { Edge(from: TaskID("part-\($0 + 1)"), name: "Notes \($0 + 1)") },
        merge: part.needs.isEmpty ? .none : .synthesise,
        onFailure: split.merge == .concatenate ? .fail : .skip,
        model: split.model(place, basis) ?? models[place],
        maxTokens: limits[place],
        deadlineShare: DeadlineShares.draft,
        profile: SamplingProfile(QueryFeatures(part.instruction)),
        seed: basis.seed(first + place),
        readsConversation: !split.standsAlone(basis),
        documents: part.documents, documentPart: part.documentPart))
  }
  return tasks + [joining(tasks, split, share: share, basis: basis, number: first + tasks.count)]
}

/// Returns the maximum tokens of each part: its budget share or the limit of the merge, whichever
/// is smaller.
///
/// Concatenated parts get their portion of the client's limit. Without such a limit they get
/// several times their estimate. Notes for a synthesis get at most the limit of a draft.
private func partLimits(_ split: Split, share: Int?, basis: PlanBasis) -> [Int?] {
  let neededTokens = split.parts.reduce(0) { $0 + $1.tokens }
  return split.parts.map { part -> Int? in
    var limits: [Int] = []
    if let share { limits.append(share) }
    switch (split.merge, basis.request.maxTokens) {
    case (.concatenate, let most?):
      // Complete answers may exceed their estimates. Together they may not exceed the client's
      // limit.
      limits.append(max(1, most * part.tokens / max(1, neededTokens)))
    case (.concatenate, nil):
      // The role's own limit would truncate a part that is expected to be long.
      limits.append(min(max(3 * part.tokens, PlanLimits.draftTokens), PlanLimits.partTokens))
    case (.synthesise, _): limits.append(PlanLimits.draftTokens)
    // The joining task reads the notes of all parts in one prompt.
    case (.summarise, _):
      limits.append(min(PlanLimits.draftTokens, basis.documentRoom() / split.parts.count))
    }
    return limits.min()
  }
}

/// Returns the role that fits the part's own words. The whole query may fit another role.
private func role(of part: Split.Part) -> AgentRole {
  guard part.documents.isEmpty else { return .research }
  let features = QueryFeatures(part.instruction)
  return switch SamplingProfile(features) {
  case .code: .code
  case .creative: .creative
  case .reasoning: .reasoning
  case .factual, .extraction, nil: .research
  }
}

private func joining(
  _ parts: [PlanTask], _ split: Split, share: Int?, basis: PlanBasis, number: Int
) -> PlanTask {
  let names = inputNames(of: split)
  let inputs = zip(parts, names).map { Edge(from: $0.id, name: $1) }
  var answer = PlanTask(
    id: "answer", role: .coordinator, inputs: inputs, merge: split.merge.rule,
    seed: basis.seed(number))
  if let task = split.merge.task {
    answer.instruction = PartInstruction.joining(task)
    answer.quorum = max(1, parts.count / 2)
    answer.model = split.model(0, basis)
    answer.maxTokens = share.map { min(2 * $0, basis.request.maxTokens ?? .max) }
    answer.deadlineShare = DeadlineShares.answer
    answer.profile = basis.profile
  }
  return answer
}

/// Returns the parts' headings as unique input names.
private func inputNames(of split: Split) -> [String] {
  var taken: Set<String> = []
  return split.parts.enumerated().map { place, part in
    var name = (part.heading ?? "Part \(place + 1)").cut(toBytes: 100)
    if !taken.insert(name).inserted {
      name += " (\(place + 1))"
      taken.insert(name)
    }
    return name
  }
}

enum PartInstruction {
  /// Estimated tokens of the text around a part's own words.
  static let aroundTokens = 40

  /// - Parameters:
  ///   - alone: true if the task gets only this instruction.
  ///   - fence: fence for a part that a model named. `nil` means that the client named it.
  static func text(of part: Split.Part, alone: Bool, fence: Fence? = nil) -> String {
    var text = fence?.enclosing(inLine: part.instruction) ?? part.instruction
    if !part.needs.isEmpty { text += "\nUse the notes below." }
    if let heading = part.heading {
      text += "\nBegin with the heading \"\(heading)\" on a line of its own."
    }
    guard !alone else { return text }
    return """
      Of what I just said, do only the following; the rest is not yours. Do not mention that there \
      is more.

      \(text)
      """
  }

  static func joining(_ task: String) -> String {
    """
    Below are notes for what I just said. From them, do this: \(task)
    Keep every fact and figure that matters. Reply to me directly, and do not mention the notes.
    """
  }
}
