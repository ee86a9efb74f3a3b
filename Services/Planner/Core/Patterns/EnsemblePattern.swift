import ClusterModel
import Text

/// Plans an ensemble: members draft an answer each, in parallel and independently.
///
/// The coordinator writes one answer from prose drafts. Short closed answers are decided by
/// majority vote. The plan skips a member that fails, as long as the quorum is met.
func ensemble(_ basis: PlanBasis, id: PlanID) throws(Failure) -> Plan {
  let members = try Members(basis)
  let tasks: [PlanTask]
  if let question = ClosedQuestion(basis) {
    tasks = try ballot(on: question, basis, members)
  } else {
    tasks = try drafts(basis, members)
  }
  return Plan(
    id: id, pattern: basis.request.pattern, tasks: tasks, sink: "answer",
    seed: basis.request.seed, deadline: PlanLimits.deadline)
}

private func drafts(_ basis: PlanBasis, _ members: Members) throws(Failure) -> [PlanTask] {
  // Every task reads the query. The answer's task also reads the drafts and may write two shares.
  let shares = try TokenPlan(
    basis,
    prompts: PromptTokens(
      members.count + 1,
      instructions: [(SynthesisInstruction.merge, 1), (AnswerLength.text(basis.request), 1)],
      fenced: [(members.count, 1)]),
    units: 2 * members.count + 2, for: members.shape)
  let draftRoles = basis.features.isAboutCode ? DraftRoles.code : DraftRoles.prose
  let drafts = (0..<members.count).map { member in
    members.task(
      member, id: TaskID("draft-\(member + 1)"), number: member, draftRoles: draftRoles,
      basis: basis,
      maxTokens: shares.draft(basis.request))
  }
  let answer = synthesis(
    of: drafts.enumerated().map { Edge(from: $1.id, name: "Draft \($0 + 1)") },
    basis: basis, number: members.count, quorum: members.quorum,
    maxTokens: shares.answer(basis.request))
  return drafts + [answer]
}

/// Returns the coordinator's task that writes one answer from drafts.
func synthesis(
  of drafts: [Edge], basis: PlanBasis, number: Int, quorum: Int?, maxTokens: Int?
) -> PlanTask {
  PlanTask(
    id: "answer",
    role: .coordinator,
    instruction: (drafts.count == 1 ? SynthesisInstruction.revise : SynthesisInstruction.merge)
      + AnswerLength.text(basis.request),
    inputs: drafts,
    merge: .synthesise,
    // A draft is better than no answer.
    onFailure: .degrade,
    quorum: quorum,
    // The first member's model is a stable choice, and a host is known to offer it.
    model: basis.models.first,
    maxTokens: maxTokens,
    deadlineShare: DeadlineShares.answer,
    profile: basis.features.isAboutCode ? .code : nil,
    seed: basis.seed(number))
}

/// Instructions for the synthesis. They are short and mention only "drafts", because small models
/// repeat their instructions.
enum SynthesisInstruction {
  static let merge = """
    Below are drafts of a reply to what I just said, written independently. Where it is said how far \
    they agree, what most of them say has more weight; but one that stands alone may know what the \
    others missed. Write the one best reply from them: keep what is right and drop what is wrong or \
    said twice. Where they disagree on something that matters, decide by the better reason and name \
    the other view in a sentence. Reply to me directly, and do not mention the drafts.
    """
  static let revise = """
    Below is a draft of a reply to what I just said. Write the final reply: keep what is right, \
    correct what is wrong. Reply to me directly, and do not mention the draft.
    """
}

private func ballot(
  on question: ClosedQuestion, _ basis: PlanBasis, _ members: Members
) throws(Failure) -> [PlanTask] {
  let shares = try TokenPlan(
    basis,
    prompts: PromptTokens(members.count, instructions: [(question.instruction, members.count)]),
    units: members.count, for: members.shape)
  let drafts = (0..<members.count).map { member in
    var draft = members.task(
      member, id: TaskID("draft-\(member + 1)"), number: member, draftRoles: .closed, basis: basis,
      maxTokens: shares.ballot(basis.request))
    draft.instruction = question.instruction
    return draft
  }
  let answer = PlanTask(
    id: "answer",
    role: .coordinator,
    inputs: drafts.enumerated().map { Edge(from: $1.id, name: "Draft \($0 + 1)") },
    merge: .vote,
    quorum: members.quorum,
    seed: basis.seed(members.count))
  return drafts + [answer]
}
