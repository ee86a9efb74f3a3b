import AgentCore
import BusCore
import ClusterModel
import HostModel
import InferenceCore
import Text
import Wire

/// An agent: real model choice, prompts, contract checks and normalisation, around the inference
/// client. It reads no documents, and compares texts without vectors.
final class AgentNode: SimulatedService {
  private static let maximumTasks = 8
  /// Maximum wait for the host table. A restarted agent may receive tasks before it has the table.
  private static let tableWait = Duration.seconds(5)
  private static let tablePause = Duration.milliseconds(20)

  let process: SimulatedProcess
  let inference: InferenceNode
  let role: Role
  private var tasks: [RequestKey: TaskNode] = [:]

  init(_ process: SimulatedProcess, _ name: AgentRole) {
    self.process = process
    inference = InferenceNode(process)
    role = Role(
      name: name, systemPrompt: "You do the part of the work that is called \(name.rawValue).",
      profile: ParameterProfile(temperatureMilli: 300, topPMilli: 900, maxTokens: 1_024),
      citesSources: name == .research, checksInputs: name == .critic)
  }

  func start() { inference.start() }

  func stream(_ key: RequestKey, _ request: BusRequest) {
    guard case .runTask(let order) = request.body else {
      return process.finish(key, Failure(.unhandled, "an agent only does tasks"))
    }
    guard tasks.count < Self.maximumTasks else {
      return process.finish(
        key, Failure(.overloaded, "\(process.id.name) is full", retryAfter: .seconds(1)))
    }
    let task = TaskNode(self, key, order, remaining: request.remaining)
    tasks[key] = task
    let patience = min(request.remaining ?? Self.tableWait, Self.tableWait)
    begin(task, key, until: process.now + patience)
  }

  private func begin(_ task: TaskNode, _ key: RequestKey, until end: Instant) {
    guard tasks[key] === task else { return }
    if process.hosts.hasTable { return task.begin() }
    guard process.now < end else {
      return finish(
        key,
        Failure(
          .overloaded, "\(process.id.name) has no host table yet", retryAfter: .seconds(1)))
    }
    process.after(Self.tablePause) { [self] in begin(task, key, until: end) }
  }

  func cancel(_ key: RequestKey) { tasks.removeValue(forKey: key)?.cancel() }

  func finish(_ key: RequestKey, _ failure: Failure?) {
    guard tasks.removeValue(forKey: key) != nil else { return }
    process.finish(key, failure)
  }

  func died() {
    inference.died()
    tasks = [:]
  }

  var leftovers: [String] {
    (tasks.isEmpty ? [] : ["\(tasks.count) tasks"]) + inference.leftovers
  }
}

/// One task of an agent, from order to report.
final class TaskNode {
  private let agent: AgentNode
  private let key: RequestKey
  private let order: TaskOrder
  private let started: Instant
  private let remaining: Duration?
  private var dialogue: TaskDialogue
  private var output: TaskOutput
  private var consensus: Consensus?
  private var findings: [String] = []
  private var notes: [String] = []
  private var promptTexts: [String] = []
  private var models: [ModelID?] = []
  private var began: TaskBegan?
  private var usage = Usage.zero
  private var inferences: [TaskInference] = []
  private var last: InferenceSummary?
  private var session: InferenceSession?
  private var echo: InstructionEcho?
  private var held: [TaskDelta] = []
  private var isOver = false
  /// Number of the current inference; events of earlier ones are ignored.
  private var question = 0

  init(_ agent: AgentNode, _ key: RequestKey, _ order: TaskOrder, remaining: Duration?) {
    self.agent = agent
    self.key = key
    self.order = order
    self.remaining = remaining
    started = agent.process.now
    dialogue = TaskDialogue(for: order)
    output = TaskOutput(for: order)
  }

  private var process: SimulatedProcess { agent.process }
  private var elapsed: Duration { started.duration(to: process.now) }
  private var left: Duration? { remaining.map { max($0 - elapsed, .milliseconds(1)) } }
  private var client: ClientFingerprint? { ClientFingerprint(tag: order.client) }
  private var dataPolicy: DataPolicy { max(order.dataPolicy, order.task.dataPolicy ?? .any) }

  func begin() {
    let offered = self.offered()
    var choice = ModelPreference.choose(
      for: order.task, role: agent.role, among: offered, within: left)
    if order.models.isLimited, let named = try? choice.naming(offered) { choice = named }
    models = [choice.model] + choice.alternatives
    let fence = Fence(seed: order.task.seed)
    findings = agent.role.checksInputs ? InputMistakes.of(order.inputs, material: .none) : []
    consensus = Consensus(weighed: order.inputs)
    notes = [
      PromptDocuments.none.note(cites: agent.role.citesSources, fence: fence),
      InputMistakes.text(findings, fence: fence),
    ]
    promptTexts = notes + [RequestComposition.agreementText(order, consensus)]
    perform(.ask(dialogue.begin()))
  }

  private func offered() -> [OfferedModel] {
    let view = agent.inference.view().hosts(for: client)
    var models: [ModelID: Int] = [:]
    let need = HostNeed(dataPolicy: dataPolicy, pools: order.pools)
    for entry in view.firstAsked(for: need, models: order.models) {
      for offer in entry.host.models
      where offer.isChat && offer.upstream == nil && order.models.admits(offer.id) {
        models[offer.id, default: 0] += entry.freeSlots > 0 ? 1 : 0
      }
    }
    return models.sorted { $0.key < $1.key }.map { OfferedModel(id: $0.key, freeHosts: $0.value) }
  }

  func cancel() {
    isOver = true
    session?.leave()
  }

  // MARK: - Dialogue

  private func perform(_ step: TaskDialogue.Step) {
    switch step {
    case .ask(let question):
      do throws(Failure) {
        let request = try RequestComposition.request(
          for: order, role: agent.role, question: question, consensus: consensus, notes: notes)
        ask(request, place: 0)
      } catch {
        perform(dialogue.failed(error))
      }
    case .fail(let failure): fail(failure)
    case .finish(let written, let contractMet):
      let text = order.task.mark.map { written.textAfterLast($0) } ?? written
      let review =
        order.writesAnswer
        ? nil : ReviewCorrection.enforcing(findings, in: text, contract: order.task.contract)
      finish(review ?? text, contractMet: review != nil || contractMet)
    }
  }

  private func fail(_ failure: Failure) {
    isOver = true
    agent.finish(key, failure)
  }

  private func finish(_ text: String, contractMet: Bool) {
    guard let last, let began else {
      return fail(Failure(.internalError, "a task ended without an answer"))
    }
    send(
      .finished(
        TaskReport(
          host: last.host, model: last.model, usage: usage,
          firstTokenMilliseconds: began.firstTokenMilliseconds,
          totalMilliseconds: Int(elapsed.wholeMilliseconds), finishReason: last.finishReason,
          output: text, contractMet: contractMet, inferences: inferences)))
    isOver = true
    agent.finish(key, nil)
  }

  private func send(_ event: TaskEvent) { _ = process.send(.taskEvent(event), to: key) }

  // MARK: - Asking

  private func ask(_ request: ComposedRequest, place: Int) {
    question += 1
    let number = question
    output = TaskOutput(for: order)
    echo = dialogue.passesOn ? InstructionEcho(order, otherTexts: promptTexts) : nil
    held = []
    var undoable = RequestForm(undoing: request.added)
    if request.mayDropLimit { undoable.insert(.withoutLimit) }
    let trace = TraceContext(trace: TraceID(high: 2, low: key.messageID), span: SpanID(1))
    let total = Deadlines.standard.total
    session = agent.inference.infer(
      InferenceRequest(
        endpoint: .chatCompletions, model: models[place], body: request.body, stream: true,
        trace: trace, prefix: order.writesAnswer ? Array(order.prefix.utf8) : [],
        undoable: undoable),
      constraints: InferenceConstraints(
        race: order.terms.race,
        deadlines: order.terms.deadlines(total: left.map { min(total, $0) } ?? total),
        dataPolicy: dataPolicy, pools: order.pools,
        avoid: order.avoidHosts, prefer: order.host, client: client, seed: order.task.seed),
      served: { [process, order] answer in
        process.cluster.ledger[order.plan, default: PlanLedger()].answers.append(answer)
      }
    ) { [self] event in
      guard !isOver, question == number else { return }
      take(event, request, place: place)
    }
  }

  private func take(_ event: InferenceSession.Event, _ request: ComposedRequest, place: Int) {
    switch event {
    case .open(let opening): begin(opening)
    case .part(.chunk(let chunk)): take(chunk.facts)
    case .part(.body), .part(.resumed): break
    case .part(.finished(let summary)):
      if dialogue.passesOn { for delta in held { send(.delta(delta)) } }
      held = []
      if let delta = output.finish(), dialogue.passesOn { send(.delta(delta)) }
      usage = usage + summary.usage
      inferences.append(TaskInference(summary))
      last = summary
      process.cluster.check(
        summary, session?.answers ?? [], given: order.prefix.utf8.count,
        of: "task \(order.task.id)")
      process.cluster.ledger[order.plan, default: PlanLedger()].usage =
        process.cluster.ledger[order.plan, default: PlanLedger()].usage + summary.usage
    case .end(nil): perform(dialogue.answered(output.text))
    case .end(let failure?):
      if place + 1 < models.count, began == nil, failure.isOfHosts {
        ask(request, place: place + 1)
      } else {
        perform(dialogue.failed(failure))
      }
    }
  }

  private func begin(_ opening: InferenceOpening) {
    guard began == nil else { return }
    let first = TaskBegan(
      host: opening.host, model: opening.model,
      firstTokenMilliseconds: Int(elapsed.wholeMilliseconds))
    began = first
    send(.began(first))
  }

  private func take(_ facts: ChunkFacts) {
    guard !facts.text.isEmpty || facts.deltaJSON != nil else { return }
    let delta = output.take(facts.text, deltaJSON: facts.deltaJSON)
    guard dialogue.passesOn, let delta else { return }
    switch delta.deltaJSON == nil ? echo?.take(delta.text) : nil {
    case .hold: held.append(delta)
    case .echo:
      question += 1
      session?.leave()
      perform(dialogue.failed(Failure(.upstreamFailed, "the host repeats its prompt")))
    case .clear, nil:
      echo = nil
      for delta in held + [delta] { send(.delta(delta)) }
      held = []
    }
  }
}

extension Failure {
  /// Whether the hosts of one model failed or are busy, so that another model's hosts may succeed.
  fileprivate var isOfHosts: Bool {
    switch code {
    case .noEligibleHost, .upstreamFailed, .modelNotFound, .invalidAPIKey, .permissionDenied,
      .hostsBusy, .rateLimited:
      true
    default: false
    }
  }
}
