import ClusterModel
import ClusterTesting
import DispatcherCore
import Testing

/// A cluster of agents in virtual time around one `PlanRun`: they answer late, fail, die, refuse, or
/// are not there, all by seed. Checks after every event what must hold whatever happens.
struct DispatcherSimulation {
  let seed: UInt64
  let plan: Plan
  let finished: Set<TaskID>
  /// Of 1,000 attempts, how many meet trouble.
  let troublePerMille: Int
  private var rng: SeededGenerator
  private var run: PlanRun
  private(set) var now = Instant.zero

  private struct Queued {
    var at: Instant
    /// Ties are broken by the order in which they were queued.
    var number: Int
    var event: PlanRunEvent
  }
  private var queue: [Queued] = []
  private var queued = 0
  private var timers: [PlanTimer: Instant] = [:]

  /// Attempts that were started and have neither ended nor been cancelled.
  private var running: Set<Attempt> = []
  private var attempts: [TaskID: Int] = [:]
  private var ended: [TaskID: TaskEnded] = [:]
  /// A start repeats an attempt's number only because nobody was there to take it.
  private var unassigned: Set<Attempt> = []
  private var sinkSpoke = false
  private(set) var outcomes: [PlanRunDirective] = []
  private(set) var problems: [String] = []

  init(seed: UInt64) throws {
    self.seed = seed
    var rng = SeededGenerator(seed: seed)
    plan = Plan.random(using: &rng)
    troublePerMille = [0, 50, 300, 700].randomElement(using: &rng) ?? 0
    // Now and then an earlier dispatcher has done a part.
    var reports: [TaskID: TaskReport] = [:]
    if rng.next() % 4 == 0 {
      for task in plan.tasks.dropLast() where Bool.random(using: &rng) {
        reports[task.id] = report("kept \(task.id)")
      }
    }
    finished = Set(reports.keys)
    run = try PlanRun(
      order: PlanOrder(
        plan: plan, conversation: Conversation(messagesJSON: []), finished: reports))
    self.rng = rng
  }

  /// - Parameter cancelled: when the client leaves; nil: it stays.
  mutating func play(cancelled: Instant? = nil) {
    if let cancelled { enqueue(.cancelled, at: cancelled) }
    handle(.start)
    // A plan of 16 tasks with 3 attempts needs some hundreds.
    var steps = 0
    while !queue.isEmpty || !timers.isEmpty {
      steps += 1
      guard steps < 20_000 else { return fault("it does not come to an end") }
      let timer = timers.min { ($0.value, "\($0.key)") < ($1.value, "\($1.key)") }
      let next = queue.indices.min {
        (queue[$0].at, queue[$0].number) < (queue[$1].at, queue[$1].number)
      }
      if let timer, next.map({ timer.value < queue[$0].at }) ?? true {
        timers[timer.key] = nil
        now = max(now, timer.value)
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
    case .emit(.ended(let end)):
      if ended.updateValue(end, forKey: end.task) != nil { fault("\(end.task) ended twice") }
      if (end.report != nil) != (end.status == .done || end.status == .degraded) {
        fault("\(end.task) is \(end.status) with report \(end.report != nil)")
      }
      if let output = end.report?.output, output != "\(end.task)/\(attempts[end.task] ?? 0)" {
        fault("\(end.task) ended with \(output), which its last attempt did not write")
      }
      if end.reason.isEmpty != (end.status == .done) { fault("\(end.task) needs a reason") }
    case .emit(.delta): sinkSpoke = true
    case .emit: break
    case .arm(let timer, let at):
      if at < now { fault("\(timer) is armed in the past") }
      timers[timer] = at
    case .disarm(let timer): timers[timer] = nil
    case .finish(let finish):
      outcomes.append(directive)
      if ended[plan.sink]?.report == nil { fault("finished without the sink") }
      if now > .zero.advanced(by: plan.deadline) { fault("finished after its deadline") }
      let done =
        ended.values.compactMap(\.report).map(\.usage) + finished.map { _ in report("").usage }
      if done.reduce(.zero, +) != finish.usage { fault("usage is not the sum over the tasks") }
    case .fail(let failure):
      outcomes.append(directive)
      if failure.message.isEmpty { fault("failed without a reason") }
    }
  }

  private mutating func begin(_ start: TaskStart) {
    let attempt = start.attempt
    guard let task = plan.tasks.first(where: { $0.id == attempt.task }) else {
      return fault("starts \(attempt), which is no task")
    }
    if finished.contains(task.id) { fault("\(task.id) was done by an earlier dispatcher") }
    if ended[task.id] != nil { fault("starts \(task.id), which has ended") }
    if running.contains(where: { $0.task == task.id }) { fault("\(task.id) runs twice") }
    if task.id == plan.sink, sinkSpoke { fault("the sink starts again after it spoke") }
    let expected =
      unassigned.remove(attempt) != nil ? attempt.number : attempts[task.id, default: 0] + 1
    if attempt.number != expected { fault("attempt \(attempt) where \(expected) was due") }
    attempts[task.id] = attempt.number
    if attempt.number > PlanRunLimits.standard.attempts { fault("\(attempt) is one too many") }
    if start.remaining <= .zero { fault("\(attempt) starts without time") }

    var given = start.order.inputs.makeIterator()
    var successes = 0
    for edge in task.inputs {
      if finished.contains(edge.from) {
        successes += 1
        if given.next()?.name != edge.name { fault("\(task.id) lacks \(edge.name)") }
        continue
      }
      guard let end = ended[edge.from] else {
        fault("\(task.id) starts before \(edge.from) has ended")
        continue
      }
      guard let output = end.report?.output else { continue }
      successes += 1
      if given.next() != .init(name: edge.name, text: output) {
        fault("\(task.id) does not get what \(edge.from) wrote")
      }
    }
    if given.next() != nil { fault("\(task.id) gets more than it reads") }
    if successes < task.quorum ?? task.inputs.count { fault("\(task.id) runs below its quorum") }
    running.insert(attempt)
    script(start, task: task)
  }

  /// Decides now what this attempt will do.
  private mutating func script(_ start: TaskStart, task: PlanTask) {
    let attempt = start.attempt
    var at = now.advanced(by: .microseconds(Int.random(in: 0...2000, using: &rng)))
    let troubled = Int.random(in: 0..<1000, using: &rng) < troublePerMille
    if troubled, rng.next() % 4 == 0 {
      return enqueue(.noAgent(attempt), at: at)
    }
    let agent = PeerID(name: "agent", incarnation: rng.next() % 3)
    enqueue(.assigned(attempt, agent: agent), at: at)
    func later() -> Instant {
      at = at.advanced(by: .milliseconds(Int.random(in: 0...800, using: &rng)))
      return at
    }
    // Also what was never answered: only a deadline ends it.
    if troubled, rng.next() % 5 == 0 { return }
    if troubled, rng.next() % 2 == 0 {
      enqueue(.failed(attempt, failure()), at: later())
      // What was lost may only have been out of reach, and goes on talking.
      enqueue(.delta(attempt, TaskDelta(text: "late")), at: later())
      return enqueue(.finished(attempt, report("late")), at: later())
    }
    enqueue(
      .began(attempt, TaskBegan(host: "h", model: "m", firstTokenMilliseconds: 1)), at: later())
    for _ in 0..<Int.random(in: 0...3, using: &rng) {
      enqueue(.delta(attempt, TaskDelta(text: "word ")), at: later())
    }
    if troubled { return enqueue(.failed(attempt, failure()), at: later()) }
    enqueue(.finished(attempt, report("\(attempt)")), at: later())
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

  /// An attempt is over once it says so, also when nobody listens to it any more.
  private mutating func noteEnd(of event: PlanRunEvent) {
    switch event {
    case .finished(let attempt, _), .failed(let attempt, _): running.remove(attempt)
    case .noAgent(let attempt):
      if running.remove(attempt) != nil { unassigned.insert(attempt) }
    default: break
    }
  }

  private mutating func fault(_ text: String) { problems.append("seed \(seed): \(text)") }
}

@Suite("Plans under fire")
struct DispatcherSimulationTests {
  @Test("3,000 random plans with random trouble keep every rule and end exactly once")
  func randomPlans() throws {
    var finished = 0
    var failures: [Failure.Code: Int] = [:]
    for seed in UInt64(0)..<3000 {
      var simulation = try DispatcherSimulation(seed: seed)
      simulation.play()
      #expect(simulation.problems.isEmpty, "\(simulation.problems.prefix(3))")
      switch simulation.outcomes.first {
      case .finish?: finished += 1
      case .fail(let failure)?: failures[failure.code, default: 0] += 1
      default: break
      }
    }
    // Otherwise the rules were checked on nothing.
    #expect(finished > 500)
    #expect(failures.count > 4, "\(failures)")
  }

  @Test("a client that leaves at any moment leaves nothing running behind")
  func cancelled() throws {
    var cancelled = 0
    for seed in UInt64(10_000)..<12_000 {
      var rng = SeededGenerator(seed: ~seed)
      var simulation = try DispatcherSimulation(seed: seed)
      simulation.play(
        cancelled: Instant(sinceStart: .milliseconds(Int.random(in: 0...4000, using: &rng))))
      #expect(simulation.problems.isEmpty, "\(simulation.problems.prefix(3))")
      if case .fail(let failure)? = simulation.outcomes.first, failure.code == .cancelled {
        cancelled += 1
      }
    }
    #expect(cancelled > 200)
  }

  @Test("without trouble every plan finishes, whatever its shape, unless time runs out")
  func calm() throws {
    var finished = 0
    for seed in UInt64(20_000)..<21_000 {
      var simulation = try DispatcherSimulation(seed: seed)
      guard simulation.troublePerMille == 0 else { continue }
      simulation.play()
      #expect(simulation.problems.isEmpty, "\(simulation.problems.prefix(3))")
      switch simulation.outcomes.first {
      case .finish?: finished += 1
      case .fail(let failure)?: #expect(failure.code == .deadlineExceeded, "seed \(seed)")
      default: Issue.record("seed \(seed): no outcome")
      }
    }
    #expect(finished > 50)
  }
}
