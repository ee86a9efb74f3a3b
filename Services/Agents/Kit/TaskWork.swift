import AgentCore
import ClusterModel
import HostModel
import Inference
import InferenceCore
import Limits
import Search
import Telemetry
import Text

/// Runs one task from order to report: chooses the model, reads the documents, asks as often as the
/// contract requires, and checks the output.
struct TaskWork {
  static let outputBytes = Limits.taskOutputBytes.value
  /// Maximum bytes of deltas that hold more than text. The limit is larger than that of text,
  /// because each delta repeats its members' names.
  private static let structuredBytes = 8 * outputBytes
  /// Maximum passages found by a search: enough for most prompts.
  static let foundPassages = 64

  let order: TaskOrder
  let role: Role
  let inference: InferenceClient
  let span: OpenSpan
  /// Sends events to the dispatcher.
  let send: @Sendable (TaskEvent) throws(Failure) -> Void
  /// `remaining` is the time allowed, counted from `started`. `nil` means no limit.
  let started = ContinuousClock.now
  let remaining: Duration?
  /// Maximum wait for the embeddings of the inputs.
  var consensusPatience = Self.consensusPatience

  private var began: TaskBegan?
  private var usage = Usage.zero
  private var attempts: [AttemptRecord] = []
  /// Inferences that have ended, up to `Limits.taskInferences`.
  private var inferences: [TaskInference] = []
  private var last: InferenceSummary?
  /// Documents that the prompt holds in part only.
  private var excerpts: [DocumentExcerpt] = []
  /// Texts of the prompt besides its instruction and inputs.
  private var promptNotes: [String] = []
  /// The answer to the latest question, if it must contain a tool call. `nil` means that it need
  /// not, so its deltas are sent as they arrive.
  private var heldAnswer: HeldAnswer?

  init(
    order: TaskOrder, role: Role, inference: InferenceClient, span: OpenSpan,
    remaining: Duration?, send: @escaping @Sendable (TaskEvent) throws(Failure) -> Void
  ) {
    self.order = order
    self.role = role
    self.inference = inference
    self.span = span
    self.remaining = remaining
    self.send = send
  }

  /// Does the task, and sends the report at the end.
  mutating func run() async throws(Failure) -> (TaskReport, [AttemptRecord]) {
    if order.task.contract == .vector, !order.writesAnswer { return try await embed() }
    let view = hosts
    let offered = view.offered(to: order, permission)
    var choice = ModelPreference.choose(
      for: order.task, role: role, among: offered, within: left)
    if order.models.isLimited { choice = try choice.naming(offered) }
    span.set("model_choice", choice.reason)
    let material = try await material(context: view.context(of: choice.model, permission))
    excerpts = material.excerpts
    let findings =
      role.checksInputs ? InputMistakes.of(order.inputs, material: material) : []
    if !findings.isEmpty { span.set("findings", findings.joined(separator: " ")) }
    let consensus = await consensus()
    let fence = Fence(seed: order.task.seed)
    let notes = [
      material.note(cites: role.citesSources, fence: fence),
      InputMistakes.text(findings, fence: fence),
    ]
    promptNotes = notes + [RequestComposition.agreementText(order, consensus)]
    if let contract = order.toolContract {
      return try await call(contract, choice, consensus: consensus, notes: notes)
    }
    var dialogue = TaskDialogue(for: order)
    var output = TaskOutput(for: order)
    var questions = 0
    var step = TaskDialogue.Step.ask(dialogue.begin())
    while case .ask(let question) = step {
      questions += 1
      do throws(Failure) {
        let request = try RequestComposition.request(
          for: order, role: role, question: question, consensus: consensus, notes: notes)
        output = try await ask(request, choice, passesOn: dialogue.passesOn)
        step = dialogue.answered(output.text)
      } catch {
        step = dialogue.failed(error)
      }
    }
    if questions > 1 { span.set("questions", "\(questions)") }
    switch step {
    case .ask: throw Failure(.internalError, "a task ended with a question")
    case .fail(let failure): throw failure
    case .finish(let written, let contractMet):
      let text = order.task.mark.map { written.textAfterLast($0) } ?? written
      if order.task.contract != .text { span.set("contract", contractMet ? "met" : "broken") }
      if !order.writesAnswer,
        let review = ReviewCorrection.enforcing(findings, in: text, contract: order.task.contract)
      {
        return try finish(review, contractMet: true)
      }
      let tail = try checkFacts(&output, material)
      return try finish(tail ?? text, contractMet: contractMet)
    }
  }

  /// Writes an answer that must contain a tool call, and sends it after it has ended.
  private mutating func call(
    _ contract: ToolContract, _ choice: ModelPreference.Choice, consensus: Consensus?,
    notes: [String]
  ) async throws(Failure) -> (TaskReport, [AttemptRecord]) {
    var dialogue = ToolDialogue(contract, for: order)
    var questions = 0
    var step = ToolDialogue.Step.ask(dialogue.begin())
    while case .ask(let question) = step {
      questions += 1
      do throws(Failure) {
        let request = try RequestComposition.request(
          for: order, role: role, question: question, consensus: consensus, notes: notes)
        heldAnswer = HeldAnswer()
        _ = try await ask(request, choice, passesOn: false)
        var answer = heldAnswer ?? HeldAnswer()
        answer.finishReason = last?.finishReason ?? ""
        step = dialogue.answered(answer)
      } catch {
        step = dialogue.failed(error)
      }
    }
    if questions > 1 { span.set("questions", "\(questions)") }
    switch step {
    case .ask: throw Failure(.internalError, "a task ended with a question")
    case .fail(let failure):
      span.set("contract", "broken")
      guard last != nil, failure.code != .cancelled else { throw failure }
      span.set("contract_reason", failure.message)
      // A report, unlike a failure, has the tokens of the answers.
      return try finish("", contractMet: false)
    case .finish(let answer, let mistake):
      span.set("contract", mistake.map { "broken: \($0)" } ?? "met")
      for delta in answer.deltas { try send(.delta(delta)) }
      // The client judges the arguments of a call. Only an answer without a call is none.
      return try finish(answer.text, contractMet: true, finishReason: answer.finishReason)
    }
  }

  /// The stricter of the plan's and the task's data policy.
  var dataPolicy: DataPolicy { max(order.dataPolicy, order.task.dataPolicy ?? .any) }

  var permission: HostView.Permission {
    HostView.Permission(dataPolicy: dataPolicy, pools: order.pools, models: order.models)
  }

  var left: Duration? {
    remaining.map { max($0 - started.duration(to: .now), .milliseconds(1)) }
  }

  /// - Parameter finishReason: `nil` means that of the last answer.
  private func finish(
    _ output: String, contractMet: Bool, finishReason: String? = nil
  ) throws(Failure) -> (TaskReport, [AttemptRecord]) {
    guard let last, let began else {
      throw Failure(.internalError, "a task ended without an answer")
    }
    let report = TaskReport(
      host: last.host, model: last.model, usage: usage,
      firstTokenMilliseconds: began.firstTokenMilliseconds,
      totalMilliseconds: Int(started.duration(to: .now).wholeMilliseconds),
      finishReason: finishReason ?? last.finishReason, output: output, contractMet: contractMet,
      inferences: inferences)
    try send(.finished(report))
    return (report, attempts)
  }

  // MARK: - Asking

  private var constraints: InferenceConstraints {
    let total = Deadlines.standard.total
    return InferenceConstraints(
      race: order.terms.race,
      deadlines: order.terms.deadlines(total: left.map { min(total, $0) } ?? total),
      dataPolicy: dataPolicy, pools: order.pools,
      avoid: order.avoidHosts, prefer: order.host, client: client, seed: order.task.seed)
  }

  private var client: ClientFingerprint? { ClientFingerprint(tag: order.client) }

  /// The hosts with their current states, as they apply to requests of the client.
  var hosts: HostView { inference.view().hosts(for: client) }

  /// Asks the chosen model, then its alternatives in order while no host has begun to answer.
  private mutating func ask(
    _ request: ComposedRequest, _ choice: ModelPreference.Choice, passesOn: Bool
  ) async throws(Failure) -> TaskOutput {
    let models = [choice.model] + choice.alternatives
    for (place, model) in models.enumerated() {
      do throws(Failure) {
        return try await ask(request, model, passesOn: passesOn)
      } catch {
        guard place + 1 < models.count, began == nil, error.isOfHosts else { throw error }
        span.set("without \(model?.name ?? "any")", error.message)
      }
    }
    throw Failure(.internalError, "no model was tried for the task")
  }

  /// - Returns: the whole output.
  private mutating func ask(
    _ request: ComposedRequest, _ model: ModelID?, passesOn: Bool
  ) async throws(Failure) -> TaskOutput {
    var output = TaskOutput(for: order)
    var undoable = RequestForm(undoing: request.added)
    if request.mayDropLimit { undoable.insert(.withoutLimit) }
    let answer = try await inference.infer(
      InferenceRequest(
        endpoint: .chatCompletions, model: model, body: request.body, stream: true,
        trace: span.context, prefix: order.writesAnswer ? Array(order.prefix.utf8) : [],
        undoable: undoable),
      constraints: constraints)
    try begin(answer)
    var echo = passesOn ? InstructionEcho(order, otherTexts: promptNotes) : nil
    var held: [TaskDelta] = []
    var structuredBytes = 0
    for try await event in answer {
      switch event {
      case .chunk(let chunk):
        let facts = chunk.facts
        guard !facts.text.isEmpty || facts.deltaJSON != nil else { continue }
        let delta = output.take(facts.text, deltaJSON: facts.deltaJSON)
        structuredBytes += facts.deltaJSON?.count ?? 0
        guard output.text.utf8.count <= Self.outputBytes,
          structuredBytes <= Self.structuredBytes
        else {
          throw Failure(
            .upstreamFailed,
            "\(answer.host) wrote \(Overdrawn(Limits.taskOutputBytes)) for one task")
        }
        if let delta { heldAnswer?.take(delta) }
        guard passesOn, let delta else { continue }
        switch delta.deltaJSON == nil ? echo?.take(delta.text) : nil {
        case .hold where held.count < Limits.heldDeltas.value: held.append(delta)
        case .echo:
          throw Failure(.upstreamFailed, "\(answer.host) repeats its prompt")
        case .hold, .clear, nil:
          echo = nil
          for delta in held + [delta] { try send(.delta(delta)) }
          held = []
        }
      case .body, .resumed: break
      case .finished(let summary):
        for delta in held { try send(.delta(delta)) }
        if let delta = output.finish() {
          heldAnswer?.take(delta)
          if passesOn { try send(.delta(delta)) }
        }
        ended(summary)
        return output
      }
    }
    throw Failure(.upstreamFailed, "\(answer.host) ended its answer without a finish event")
  }

  /// Reports the beginning once per task, for the first question.
  private mutating func begin(_ answer: Inference) throws(Failure) {
    guard began == nil else { return }
    let first = TaskBegan(
      host: answer.host, model: answer.model,
      firstTokenMilliseconds: Int(started.duration(to: .now).wholeMilliseconds),
      excerpts: excerpts)
    began = first
    try send(.began(first))
  }

  private mutating func ended(_ summary: InferenceSummary) {
    let changes = Set(summary.attempts.flatMap(\.form.changes)).sorted()
    if !changes.isEmpty { span.set("left_out", changes.joined(separator: ", ")) }
    spent(on: summary)
    last = summary
  }

  mutating func spent(on summary: InferenceSummary) {
    usage = usage + summary.usage
    attempts += summary.attempts
    guard inferences.count < Limits.taskInferences.value else { return }
    inferences.append(TaskInference(summary))
  }

  /// Asks the embeddings endpoint instead of a chat.
  private mutating func embed() async throws(Failure) -> (TaskReport, [AttemptRecord]) {
    let embedders = hosts.embeddingModels(permission)
    let model = try EmbeddingTask.model(for: order.task, among: embedders)
    span.set("model_choice", order.task.model == nil ? "it embeds" : "the plan names it")
    let answer = try await inference.infer(
      InferenceRequest(
        endpoint: .embeddings, model: model, body: try EmbeddingTask.body(for: order),
        stream: false, trace: span.context), constraints: constraints)
    try begin(answer)
    var vector: String?
    for try await event in answer {
      switch event {
      case .chunk, .resumed: break
      case .body(let body): vector = try EmbeddingTask.vector(in: body)
      case .finished(let summary): ended(summary)
      }
    }
    guard let vector else {
      throw Failure(.upstreamFailed, "\(answer.host) answered without an embedding")
    }
    return try finish(vector, contractMet: true)
  }

  // MARK: - Documents

  private func material(context: Int?) async throws(Failure) -> PromptDocuments {
    guard !order.documents.isEmpty else { return .none }
    let plain = try RequestComposition.body(for: order, role: role)
    let tokens = DocumentRoom.tokens(
      context: context, prompt: TokenEstimate.tokens(bytes: plain.count),
      // A limit from a budget can be far above the tokens that an answer needs, so at most the
      // role's limit is reserved.
      completion: min(order.task.maxTokens ?? .max, role.profile.maxTokens))
    let query = [LastQuestion.text(of: order.conversation), order.task.instruction]
    var material: PromptDocuments
    switch try DocumentSelection.of(order.documents, within: tokens, query: query) {
    case .ready(let whole): material = whole
    case .search(let passages, let query):
      let names = order.documents.map(\.name)
      let index = try await PassageIndex(
        passages.map {
          .init(name: names[$0.document], text: PassageQuery.indexed($0.text))
        })
      let ranked = try await index.best(query.match, limit: Self.foundPassages)
      material = DocumentSelection.material(
        of: passages, ranked: ranked, in: order.documents, within: tokens)
      span.set("passages", "\(material.sources.count) of \(passages.count), \(ranked.count) found")
    }
    span.set("documents", "\(order.documents.count)\(material.isWhole ? ", whole" : "")")
    return material
  }

  /// - Returns: the output with its sources. `nil` means that there is nothing to add.
  private func checkFacts(
    _ output: inout TaskOutput, _ material: PromptDocuments
  ) throws(Failure) -> String? {
    guard role.citesSources, !material.sources.isEmpty, order.task.contract == .text,
      !output.text.isEmpty
    else { return nil }
    let check = FactCheck(output.text, against: material.sources)
    span.set("facts", check.summary)
    guard !order.writesAnswer || !order.conversation.isStructured && last?.finishReason == "stop"
    else { return nil }
    let tail = check.tail(material.sources, hasVerdicts: !order.writesAnswer && !order.isPart)
    guard !tail.isEmpty else { return nil }
    try send(.delta(output.append(tail)))
    return output.text
  }
}

extension Failure {
  /// Whether the hosts of this model failed or are busy, so that hosts of another model may
  /// succeed.
  fileprivate var isOfHosts: Bool {
    switch code {
    // Errors of keys and accounts count, too, because hosts of another model may have other keys.
    case .noEligibleHost, .upstreamFailed, .modelNotFound, .invalidAPIKey, .permissionDenied,
      .hostsBusy, .rateLimited:
      true
    default: false
    }
  }
}
