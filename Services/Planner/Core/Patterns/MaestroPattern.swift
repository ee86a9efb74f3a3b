import ClusterModel
import Text

/// Plans a team: the coordinator chooses specialists, and a critic reviews the draft from their
/// work.
///
/// Specialists run in the order of their needs. The draft is repaired at most twice, then the
/// coordinator writes the answer. The initial plan has only the analysis and the answer, because
/// the other tasks depend on the analysis.
func maestro(_ basis: PlanBasis, id: PlanID) throws(Failure) -> Plan {
  let shape = try MaestroShape(basis)
  let request = basis.request
  let analysis = PlanTask(
    id: "analysis",
    role: .coordinator,
    instruction: MaestroInstruction.analyse(request.documents, basis.fence(0)),
    contract: .json(schema: Team.schema),
    onFailure: .degrade,
    model: basis.namedModel(0),
    maxTokens: shape.shares.working,
    deadlineShare: DeadlineShares.brief,
    // A program reads the output.
    temperatureMilli: 0,
    seed: basis.seed(0),
    expansion: Expansion.maestroTeam.rawValue)
  let answer = PlanTask(
    id: "answer",
    role: .coordinator,
    instruction: MaestroInstruction.finish + AnswerLength.text(request),
    inputs: [Edge(from: analysis.id, name: "Draft")],
    merge: .synthesise,
    // The reviewed draft is better than no answer.
    onFailure: .degrade,
    model: basis.namedModel(0),
    maxTokens: shape.shares.answer(request),
    deadlineShare: DeadlineShares.answer,
    profile: basis.profile,
    seed: basis.seed(1))
  return Plan(
    id: id, pattern: request.pattern, tasks: [analysis, answer], sink: answer.id,
    seed: request.seed, deadline: PlanLimits.deadline)
}

/// Size of the plan, as far as the request's budget allows.
struct MaestroShape {
  var specialists: Int
  var repairs: Int
  var shares: TokenPlan

  static let mostRepairs = 2

  init(_ basis: PlanBasis) throws(Failure) {
    // Search from the largest shape to smaller ones until a shape has a useful share. Without a
    // budget, the largest shape fits.
    var best = (specialists: 1, repairs: 0)
    search: for repairs in (0...Self.mostRepairs).reversed() {
      for specialists in [6, 4, 3, 2, 1] where Self.fits(basis, specialists, repairs) {
        best = (specialists, repairs)
        break search
      }
    }
    (specialists, repairs) = best
    shares = try TokenPlan(
      basis, prompts: Self.prompts(specialists, repairs, basis),
      units: Self.units(specialists, repairs),
      for: "an analysis, a specialist, a review and an answer")
  }

  /// Minimum useful share. With less, the JSON of the analysis would be truncated.
  private static let usefulShare = 96

  private static func fits(_ basis: PlanBasis, _ specialists: Int, _ repairs: Int) -> Bool {
    guard let total = basis.request.budgetTokens else { return true }
    let share = TokenPlan.share(
      of: total, basis, prompts: prompts(specialists, repairs, basis),
      units: units(specialists, repairs))
    return share >= usefulShare
  }

  /// Prompts of analysis, specialists, draft, review and answer, plus a repair and a review per
  /// repair. The analysis and the reviews may need a second call, because their output must be
  /// valid JSON.
  private static func prompts(_ specialists: Int, _ repairs: Int, _ basis: PlanBasis)
    -> PromptTokens
  {
    let reviews = 2 * (1 + repairs)
    return PromptTokens(
      4 + specialists + repairs + reviews,
      instructions: [
        // The call after an invalid output includes the schema again.
        (MaestroInstruction.analyse(basis.request.documents, basis.fence(0)), 2),
        (Team.schema, 3),
        (Review.schema, reviews + reviews / 2), (MaestroInstruction.draft, 1),
        (MaestroInstruction.work("", readsNotes: true, basis.fence(0)), specialists),
        (MaestroInstruction.review([], basis.fence(0)), reviews),
        (MaestroInstruction.repair([], basis.fence(0)), repairs),
        (MaestroInstruction.finish, 1), (AnswerLength.text(basis.request), 1),
      ],
      fenced: [
        (specialists, specialists + 1), (2, reviews + repairs), (1, 1),
        (basis.request.documents.isEmpty ? 0 : 1, 3),
      ], readsDocuments: true)
  }

  /// Shares that the plan writes and reads.
  ///
  /// - Written: analysis, each specialist, draft (2), review, answer (2).
  /// - Read: each specialist's work, by all later specialists and by the draft's task.
  /// - Read: the draft (2), by the review and by the answer's task.
  /// - Per repair: the repair reads 2 and writes 2, its text is read again (2), and its review
  ///   writes 1.
  private static func units(_ specialists: Int, _ repairs: Int) -> Int {
    10 + specialists * 2 + specialists * (specialists - 1) / 2 + 7 * repairs
  }
}

/// Instructions for the tasks. A prompt whose output may reach the answer mentions no roles, names
/// or steps.
enum MaestroInstruction {
  static func analyse(_ documents: [DocumentFacts], _ fence: Fence) -> String {
    var text = """
      Do not reply to what I just said yet. Decide who should work on the reply. Say it as one JSON \
      object and nothing else, like this: {"specialists":[{"name":"facts","role":"research","brief":\
      "what to do, in a sentence or two","needs":[]},{"name":"proof","role":"reasoning","brief":\
      "...","needs":["facts"]}],"criteria":["what a good reply must have"]}. "role" is research, \
      reasoning, creative or code. "needs" names those whose work this one must read. Use as few as \
      possible, at most \(Team.mostSpecialists).
      """
    if !documents.isEmpty {
      let names = documents.prefix(10).map { $0.name.cut(toBytes: 80) }.joined(separator: ", ")
      let rest = documents.count > 10 ? " and \(documents.count - 10) more" : ""
      text += " Only research can read the documents: \(fence.enclosing(inLine: names))\(rest)."
    }
    return text
  }

  static func work(_ brief: String, readsNotes: Bool, _ fence: Fence) -> String {
    let notes = readsNotes ? " Use the notes below where they help." : ""
    let task = Team.isOurs(brief) ? brief : fence.enclosing(inLine: brief)
    return """
      Do not reply to what I just said as a whole. As one part of the work on the reply, do this: \
      \(task).\(notes) Give the result of this part only, without an introduction.
      """
  }

  static let draft = """
    Below are notes on what I just said. Write the whole reply from them: complete, in one voice, \
    with every figure, name and source that matters. Do not mention the notes.
    """

  static func review(_ criteria: [String], _ fence: Fence) -> String {
    var text = """
      Below is a reply to what I just said. Check it: is every fact and every sum right, is all \
      answered that I asked, does it hold together? Give marks from 1 (bad) to 5 (good). Ask for a \
      repair only for what is wrong or missing, not for taste. Say it as one JSON object and nothing \
      else, like this: {"verdict":"repair","quality":3,"accuracy":2,"coherence":5,"issues":[{"kind":\
      "reasoning","issue":"what is wrong","fix":"what is right"}]}. "verdict" is accept or repair; \
      "kind" is facts, reasoning, wording or code.
      """
    if !criteria.isEmpty {
      text += " It must have: \(fence.enclosing(inLine: criteria.joined(separator: "; ")))."
    }
    return text
  }

  static func repair(_ issues: [Review.Issue], _ fence: Fence) -> String {
    let list = fence.enclosing(issues.map { "- \($0.text)" }.joined(separator: "\n"))
    return """
      Below is a reply to what I just said. Write the whole reply again with these points corrected, \
      and keep everything else as it is:
      \(list)
      Give the corrected reply alone, without a word about the corrections.
      """
  }

  static let finish = """
    Below is a checked draft of a reply to what I just said. Write the final reply from it: keep \
    every fact, figure and correction, and make it read well. Reply to me directly, and do not \
    mention the draft.
    """
}
