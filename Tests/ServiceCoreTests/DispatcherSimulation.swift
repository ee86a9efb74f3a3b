import ClusterModel
import ClusterTesting
import DispatcherCore
import Text

/// Simulates agents and planners in virtual time around one `PlanRun`, by seed.
///
/// Agents answer late, fail, die, refuse, write garbage or are absent, and dispatchers die. The
/// invariants are checked after every event.
struct DispatcherSimulation {
  let seed: UInt64
  let budget: Int?
  /// Attempts and expansions per 1,000 that run into trouble.
  let troublePerMille: Int
  var rng: SeededGenerator
  private var run: PlanRun
  private(set) var now = Instant.zero
  private let deadline: Instant

  // State that the gateway holds.
  private(set) var plan: Plan
  private(set) var answer = ""
  private var finished: [TaskID: TaskReport] = [:]

  private struct Queued {
    var at: Instant
    /// Queue order, which breaks ties.
    var number: Int
    var event: PlanRunEvent
  }
  private var queue: [Queued] = []
  private var queued = 0
  private var timers: [PlanTimer: (at: Instant, number: Int)] = [:]

  /// Attempts that have started and have neither ended nor been cancelled.
  private var running: Set<Attempt> = []
  private var expanding: Set<TaskID> = []
  private var attempts: [TaskID: Int] = [:]
  private var ended: [TaskID: TaskEnded] = [:]
  /// Attempts without an agent; only these may start again under the same number.
  private var unassigned: Set<Attempt> = []
  private var assigned: Set<Attempt> = []
  /// Tokens that the first attempt at the answer may write. `nil` means no attempt or no budget.
  private var answerGrant: Int?
  private var spent = Usage.zero
  /// Reported usage per task.
  private var reported: [TaskID: Usage] = [:]
  private(set) var expansions = 0
  private(set) var dispatchersLost = 0
  private(set) var outcomes: [PlanRunDirective] = []
  private(set) var problems: [String] = []

  static let documents = [Document(name: "one", text: "1"), Document(name: "two", text: "2")]

  init(seed: UInt64) throws {
    self.seed = seed
    var rng = SeededGenerator(seed: seed)
    plan = Plan.wild(using: &rng)
    troublePerMille = [0, 50, 300, 700].randomElement(using: &rng) ?? 0
    budget = rng.next() % 4 == 0 ? Int.random(in: 1...6_000, using: &rng) : nil
    deadline = .zero.advanced(by: plan.deadline)
    // Sometimes an earlier dispatcher has finished some tasks.
    if rng.next() % 4 == 0 {
      for task in plan.tasks.dropLast() where Bool.random(using: &rng) {
        finished[task.id] = report("kept \(task.id)")
      }
    }
    self.rng = rng
    run = try Self.start(plan, finished: finished, answer: "", budget: budget)
    spent = finished.values.map(\.usage).reduce(.zero, +)
    reported = finished.mapValues(\.usage)
  }

  private static func start(
    _ plan: Plan, finished: [TaskID: TaskReport], skipped: [TaskID: PlanOrder.Skipped] = [:],
    answer: String, budget: Int?
  ) throws -> PlanRun {
    try PlanRun(
      order: PlanOrder(
        plan: plan, conversation: Conversation(messagesJSON: Array("[]  ".utf8)),
        finished: finished, skipped: skipped, dataPolicy: .trusted,
        request: PlanRequest(
          pattern: "test", query: "?", seed: 1, available: ["m"], budgetTokens: budget),
        documents: documents, sinkPrefix: answer))
  }

  /// - Parameters:
  ///   - cancelled: the time at which the client leaves. `nil` means that it stays.
  ///   - lost: times at which dispatchers die. Each time, a new dispatcher gets the rest of the
  ///     plan.
  mutating func play(cancelled: Instant? = nil, lost: [Instant] = []) throws {
    var lost = lost.sorted()[...]
    if let cancelled { enqueue(.cancelled, at: cancelled) }
    handle(.start)
    // A plan of 64 tasks with 3 attempts each needs some hundreds of steps.
    var steps = 0
    while !queue.isEmpty || !timers.isEmpty {
      steps += 1
      guard steps < 20_000 else { return fault("it does not come to an end") }
      let timer = timers.min { $0.value < $1.value }
      let next = queue.indices.min {
        (queue[$0].at, queue[$0].number) < (queue[$1].at, queue[$1].number)
      }
      let due = min(timer?.value.at ?? .far, next.map { queue[$0].at } ?? .far)
      if let death = lost.first, death <= due, outcomes.isEmpty {
        lost.removeFirst()
        now = max(now, death)
        guard now < deadline else { continue }
        try replaceDispatcher()
      } else if let timer, next.map({ timer.value.at < queue[$0].at }) ?? true {
        timers[timer.key] = nil
        now = max(now, timer.value.at)
        handle(.fired(timer.key))
      } else if let next {
        let item = queue.remove(at: next)
        now = max(now, item.at)
        noteEnd(of: item.event)
        handle(item.event)
      }
    }
    if outcomes.count != 1 { fault("\(outcomes.count) outcomes") }
    if !running.isEmpty { fault("still running: \(running)") }
    if !expanding.isEmpty { fault("still expanding: \(expanding)") }
  }

  /// Replaces the dispatcher, which dies with everything it has started. The new one gets what the
  /// gateway knows of the plan: finished and skipped tasks, the answer so far, and the budget.
  private mutating func replaceDispatcher() throws {
    dispatchersLost += 1
    queue.removeAll { if case .cancelled = $0.event { false } else { true } }
    timers = [:]
    (running, expanding, unassigned, assigned, attempts) = ([], [], [], [], [:])
    answerGrant = nil
    let skipped = ended.filter { $0.value.status == .skipped }.mapValues {
      PlanOrder.Skipped(reason: $0.reason, usage: $0.report?.usage ?? .zero)
    }
    reported = reported.filter { finished[$0.key] != nil || skipped[$0.key] != nil }
    spent = finished.values.map(\.usage).reduce(.zero, +)
    var rest = plan
    rest.deadline = now.duration(to: deadline)
    guard rest.deadline >= .milliseconds(1) else { rest.deadline = .milliseconds(1); return }
    run = try Self.start(
      rest, finished: finished, skipped: skipped, answer: answer, budget: budget)
    handle(.start)
  }

  private mutating func handle(_ event: PlanRunEvent) {
    let wasOver = run.isOver
    let directives = run.handle(event, now: now)
    if wasOver, !directives.isEmpty { fault("\(directives) after the end, because of \(event)") }
    for directive in directives { perform(directive) }
    if run.isOver, !timers.isEmpty { fault("timers after the end: \(timers)") }
  }

  private mutating func perform(_ directive: PlanRunDirective) {
    if !outcomes.isEmpty { fault("\(directive) after the outcome") }
    switch directive {
    case .start(let start): begin(start)
    case .cancel(let attempt):
      if running.remove(attempt) == nil { fault("cancels \(attempt), which does not run") }
    case .expand(let request): expand(request)
    case .cancelExpansion(let task):
      if expanding.remove(task) == nil { fault("cancels the expansion of \(task)") }
    case .emit(let event): record(event)
    case .arm(let timer, let at):
      if at < now { fault("\(timer) is armed in the past") }
      queued += 1
      timers[timer] = (at, queued)
    case .disarm(let timer): timers[timer] = nil
    case .finish(let finish):
      outcomes.append(directive)
      checkFinish(finish)
    case .fail(let failure):
      outcomes.append(directive)
      if failure.message.isEmpty { fault("failed without a reason") }
      if now > deadline { fault("failed after the deadline") }
    }
  }

  private mutating func checkFinish(_ finish: PlanFinished) {
    if now > deadline { fault("finished after its deadline") }
    if reported.values.reduce(.zero, +) != finish.usage {
      fault("usage is not the sum over the tasks")
    }
    if let budget,
      spent.totalTokens > max(budget, finished.values.reduce(0) { $0 + $1.usage.totalTokens })
    {
      fault("\(spent.totalTokens) tokens were used of \(budget)")
    }
    guard let sink = finished[plan.sink] else { return fault("finished without the sink") }
    if sink.output != answer { fault("the client has \(answer), the sink says \(sink.output)") }
  }

  private mutating func record(_ event: PlanEvent) {
    switch event {
    case .started(let task, _, _, let number):
      if !assigned.insert(Attempt(task, number)).inserted { fault("\(task) has two agents") }
    case .firstToken: break
    case .delta(let delta): answer += delta.text
    case .ended(let end):
      if ended.updateValue(end, forKey: end.task) != nil { fault("\(end.task) ended twice") }
      if end.report == nil, end.status == .done || end.status == .degraded {
        fault("\(end.task) is \(end.status) with report \(end.report != nil)")
      }
      if end.reason.isEmpty != (end.status == .done) { fault("\(end.task) needs a reason") }
      checkRetry(end)
      checkInferences(end)
      reported[end.task] = end.report?.usage
      finished[end.task] = end.status == .done || end.status == .degraded ? end.report : nil
    case .expanded(let task, let sub):
      expansions += 1
      do throws(InvalidPlan) { plan = try plan.splicing(sub, at: task) } catch {
        fault("\(task) grew into what is no plan: \(error)")
      }
      if finished[task] == nil { fault("\(task) expands before it has ended") }
    case .finished: fault("the shell says that")
    }
  }

  /// Checks that no inference of a task has more completion tokens than the task, and that all of
  /// them together have no more prompt tokens.
  ///
  /// The completion tokens are not summed, because a resumed text counts in two inferences.
  private mutating func checkInferences(_ end: TaskEnded) {
    guard let report = end.report else { return }
    let usages = report.inferences.map(\.usage)
    let prompts = usages.reduce(0) { $0 + $1.promptTokens }
    guard prompts <= report.usage.promptTokens,
      usages.allSatisfy({ $0.completionTokens <= report.usage.completionTokens })
    else { return fault("\(end.task) has usage \(report.usage), its inferences \(usages)") }
  }

  /// Checks that an answer granted more than its expected length leaves tokens for another attempt.
  private mutating func checkRetry(_ end: TaskEnded) {
    guard end.task == plan.sink, attempts[end.task] == 1, let answerGrant,
      answerGrant > PlanRunLimits.standard.expectedTokens, end.reason.contains("of the budget of")
    else { return }
    fault("the answer is not tried again: \(end.reason)")
  }

  private mutating func begin(_ start: TaskStart) {
    let attempt = start.attempt
    guard let task = plan.tasks.first(where: { $0.id == attempt.task }) else {
      return fault("starts \(attempt), which is no task")
    }
    if task.merge.isMechanical { fault("\(task.id) needs no agent") }
    if ended[task.id] != nil || finished[task.id] != nil {
      fault("\(task.id) starts after its end")
    }
    if running.contains(where: { $0.task == task.id }) { fault("\(task.id) runs twice") }
    let expected =
      unassigned.remove(attempt) != nil ? attempt.number : attempts[task.id, default: 0] + 1
    if attempt.number != expected { fault("attempt \(attempt) where \(expected) was due") }
    attempts[task.id] = attempt.number
    if attempt.number > PlanRunLimits.standard.attempts { fault("\(attempt) is one too many") }
    if start.remaining <= .zero || start.remaining > now.duration(to: deadline) {
      fault("\(attempt) starts with \(start.remaining)")
    }
    checkOrder(start.order, task: task)
    if budget != nil, start.order.isSink, attempt.number == 1 {
      answerGrant = start.order.task.maxTokens
    }
    running.insert(attempt)
    script(start, task: task)
  }

  private mutating func checkOrder(_ order: TaskOrder, task: PlanTask) {
    if order.dataPolicy != max(.trusted, task.dataPolicy ?? .any) {
      fault("\(task.id) may go too far")
    }
    if order.documents.map(\.name) != task.documents { fault("\(task.id) reads other documents") }
    let isStreaming = task.id == plan.sink && task.expansion == nil
    if order.isSink != isStreaming { fault("\(task.id) is sink: \(order.isSink)") }
    if order.prefix != (isStreaming ? answer : "") { fault("\(task.id) goes on at another place") }
    if (order.task.maxTokens ?? 1) < 1 { fault("\(task.id) may write nothing") }

    var given = order.inputs.makeIterator()
    var successes = 0
    for edge in task.inputs {
      if ended[edge.from] == nil, finished[edge.from] == nil {
        fault("\(task.id) starts before \(edge.from) has ended")
      }
      guard let output = finished[edge.from]?.output else { continue }
      successes += 1
      let input = given.next()
      // An output for a program may have been replaced by the best available answer.
      let source = plan.tasks.first { $0.id == edge.from }
      let isForPlanner =
        ended[edge.from] == nil && (source?.contract != .text || source?.merge == .agree)
      // A budget may have shortened the text.
      if input?.name != edge.name
        || budget == nil && !isForPlanner
          && input?.text != Compression.compressed(output, toTokens: 16 * 1024)
      {
        fault("\(task.id) does not get what \(edge.from) wrote")
      }
      if (input?.weightMilli != nil) != (task.merge == .synthesise && order.inputs.count > 2) {
        fault("\(task.id) has weights: \(input?.weightMilli ?? -1)")
      }
    }
    if given.next() != nil { fault("\(task.id) gets more than it reads") }
    if successes < task.quorum ?? task.inputs.count { fault("\(task.id) runs below its quorum") }
  }

  // MARK: - Agents and planners

  /// Decides at the start what this attempt will do.
  private mutating func script(_ start: TaskStart, task: PlanTask) {
    let attempt = start.attempt
    var at = now.advanced(by: .microseconds(Int.random(in: 0...2000, using: &rng)))
    let troubled = Int.random(in: 0..<1000, using: &rng) < troublePerMille
    if troubled, rng.next() % 4 == 0 {
      return enqueue(.noAgent(attempt), at: at)
    }
    enqueue(.assigned(attempt, agent: PeerID(name: "agent", incarnation: rng.next() % 3)), at: at)
    // A second assignment of the same attempt must be ignored.
    if rng.next() % 8 == 0 {
      enqueue(.assigned(attempt, agent: PeerID(name: "second", incarnation: 9)), at: at)
    }
    func later() -> Instant {
      at = at.advanced(by: .milliseconds(Int.random(in: 0...800, using: &rng)))
      return at
    }
    // Some attempts are never answered, so that only a deadline ends them.
    if troubled, rng.next() % 5 == 0 { return }
    if troubled, rng.next() % 2 == 0 {
      enqueue(.failed(attempt, failure()), at: later())
      // A lost agent may have been unreachable only for a moment, and continues to send.
      enqueue(.delta(attempt, TaskDelta(text: "late")), at: later())
      return enqueue(.finished(attempt, report("late")), at: later())
    }
    enqueue(
      .began(attempt, TaskBegan(host: "h", model: "m", firstTokenMilliseconds: 1)), at: later())
    var text = ""
    for word in 0..<Int.random(in: 0...3, using: &rng) {
      let piece = "\(attempt).\(word) "
      text += piece
      enqueue(.delta(attempt, TaskDelta(text: piece)), at: later())
    }
    if troubled { return enqueue(.failed(attempt, failure()), at: later()) }
    if text.isEmpty { text = "\(attempt)" }
    if start.order.isSink, Bool.random(using: &rng) { text = start.order.prefix + text }
    // If the task expands, its output may break the contract. Otherwise a broken contract is a
    // failure.
    var last = report(text)
    last.contractMet = rng.next() % 16 != 0 || task.id == plan.sink
    last.usage = usage(start.order)
    last.inferences = [TaskInference(model: "m", usage: last.usage, attempts: [])]
    enqueue(.finished(attempt, last), at: later())
  }

  /// Usage of an agent that keeps to its token limit and has a prompt of the expected size.
  private mutating func usage(_ order: TaskOrder) -> Usage {
    let prompt =
      (order.task.readsConversation ? 1 : 0)
      + order.inputs.reduce(0) { $0 + TokenEstimate.tokens(of: $1.text) }
    return Usage(
      promptTokens: prompt,
      completionTokens: Int.random(in: 0...min(order.task.maxTokens ?? 400, 400), using: &rng))
  }

  private mutating func expand(_ request: ExpandRequest) {
    if !expanding.insert(request.task).inserted { fault("\(request.task) expands twice") }
    if request.plan.tasks.map(\.id) != plan.tasks.map(\.id) {
      fault("the planner sees another plan")
    }
    let at = now.advanced(by: .milliseconds(Int.random(in: 0...20, using: &rng)))
    let sub = SubPlan.wild(request, using: &rng)
    switch Int.random(in: 0..<1000, using: &rng) < troublePerMille ? rng.next() % 3 : 9 {
    case 0: enqueue(.expansionFailed(request.task, Failure(.peerLost, "by seed")), at: at)
    // In cases 1 and 2, the planner never replies, or replies too late.
    case 1: break
    case 2: enqueue(.expanded(request.task, sub), at: at.advanced(by: .seconds(6)))
    default: enqueue(.expanded(request.task, sub), at: at)
    }
  }

  private mutating func failure() -> Failure {
    let codes: [Failure.Code] = [
      .peerLost, .noPeer, .streamGap, .shuttingDown, .overloaded, .outboxFull, .upstreamFailed,
      .noEligibleHost, .deadlineExceeded, .invalidRequest,
    ]
    return Failure(
      codes.randomElement(using: &rng) ?? .peerLost, "by seed",
      retryAfter: rng.next() % 4 == 0 ? .milliseconds(300) : nil)
  }

  private mutating func enqueue(_ event: PlanRunEvent, at: Instant) {
    queued += 1
    queue.append(Queued(at: at, number: queued, event: event))
  }

  /// Records the end of an attempt, even if the run ignores it.
  private mutating func noteEnd(of event: PlanRunEvent) {
    switch event {
    case .finished(let attempt, let report):
      if running.remove(attempt) != nil { spent = spent + report.usage }
    case .failed(let attempt, _): running.remove(attempt)
    case .noAgent(let attempt):
      if running.remove(attempt) != nil { unassigned.insert(attempt) }
    case .expanded(let task, _), .expansionFailed(let task, _): expanding.remove(task)
    default: break
    }
  }

  private mutating func fault(_ text: String) { problems.append("seed \(seed): \(text)") }
}

extension Instant {
  static let far = Instant(sinceStart: .seconds(1_000_000))
}
