import BusCore
import ClusterModel
import DispatcherCore
import HostModel
import OverloadCore
import Wire

/// The dispatcher: one real `PlanRun` per plan, and the real queues for hosts and agents.
final class DispatcherNode: SimulatedService {
  private static let maximumPlans = 64
  private static let tasksPerAgent = 4

  let process: SimulatedProcess
  private var plans: [RequestKey: PlanNode] = [:]
  private var load: [PeerID: Int] = [:]
  private var turn = 0
  private var queues: [AgentRole: FairQueue<String, UInt64>] = [:]
  private var line = HostQueue<UInt64>()
  /// Attempts that wait for a host or an agent.
  private var tickets: [UInt64: AttemptNode] = [:]
  private var lastTicket: UInt64 = 0

  init(_ process: SimulatedProcess) { self.process = process }

  func stream(_ key: RequestKey, _ request: BusRequest) {
    guard case .runPlan(let order) = request.body else {
      return process.finish(key, Failure(.unhandled, "the dispatcher only runs plans"))
    }
    guard plans.count < Self.maximumPlans else {
      return process.finish(key, Failure(.overloaded, "too many plans", retryAfter: .seconds(1)))
    }
    do throws(InvalidPlan) {
      let plan = PlanNode(self, key, try PlanRun(order: order), request.trace)
      plans[key] = plan
      plan.handle(.start)
    } catch {
      process.finish(key, Failure(.invalidPlan, "\(error)"))
    }
  }

  func cancel(_ key: RequestKey) { plans[key]?.handle(.cancelled) }

  func forget(_ key: RequestKey) { plans[key] = nil }

  func hostsChanged() {
    let load = process.hosts.load(now: now)
    let isIgnorant = process.cluster.scenario.planted == .ignoredVersion
    let view = HostView(
      process.hosts.table, load: load?.table, age: load?.age ?? .zero,
      rules: isIgnorant ? EligibilityRules() : SimulatedCluster.rules)
    admit(line.setHosts(SchedulableHost.all(in: view), now: now))
  }

  private var now: Instant { process.now }

  var leftovers: [String] {
    var left: [String] = []
    if !plans.isEmpty { left.append("\(plans.count) plans") }
    if !load.isEmpty { left.append("load \(load.sorted { $0.key < $1.key })") }
    if !tickets.isEmpty { left.append("\(tickets.count) tickets") }
    if line.runningCount + line.waitingCount > 0 {
      left.append("\(line.runningCount) tasks at hosts, \(line.waitingCount) waiting")
    }
    for (role, queue) in queues.sorted(by: { $0.key.rawValue < $1.key.rawValue })
    where queue.running + queue.waitingCount > 0 {
      left.append("\(queue.running) tasks at \(role.rawValue), \(queue.waitingCount) waiting")
    }
    return left
  }

  // MARK: - Hosts

  func joinLine(_ attempt: AttemptNode, _ work: HostWork, client: String) -> UInt64 {
    let ticket = ticket(for: attempt)
    admit(line.join(ticket, work, client: client, now: now))
    return ticket
  }

  func leaveLine(_ ticket: UInt64) {
    tickets[ticket] = nil
    _ = line.leave(ticket)
  }

  func leaveHost(_ ticket: UInt64, _ report: TaskReport?) {
    admit(line.end(ticket, report, now: now))
  }

  private func admit(_ admitted: [HostQueue<UInt64>.Admission]) {
    for admission in admitted {
      check(admission.placement)
      tickets.removeValue(forKey: admission.ticket)?
        .admitted(admission.ticket, to: admission.placement)
    }
  }

  /// Checks that the host table allows a task's host. The host's load is not checked, because it
  /// may have changed since the queue received it.
  private func check(_ placement: TaskPlacement) {
    guard let id = placement.host else { return }
    let need = HostNeed(placement.model.map { .oneOf([$0]) } ?? .anyChat)
    guard let host = process.hosts.table.host(id) else {
      return process.cluster.violation("\(process.id) places a task on \(id), which is unknown")
    }
    if let refusal = need.refusal(of: host, rules: SimulatedCluster.rules) {
      process.cluster.violation("\(process.id) places a task on \(id), which \(refusal)")
    }
  }

  // MARK: - Agents

  func joinQueue(_ attempt: AttemptNode, _ role: AgentRole, client: String) -> UInt64 {
    let ticket = ticket(for: attempt)
    change(role) { queue in queue.join(ticket, client: client) }
    return ticket
  }

  func leaveQueue(_ ticket: UInt64, _ role: AgentRole) {
    tickets[ticket] = nil
    _ = queues[role]?.leave(ticket)
  }

  func endTurn(_ role: AgentRole) { change(role) { queue in queue.end() } }

  private func change(
    _ role: AgentRole, _ change: (inout FairQueue<String, UInt64>) -> [UInt64]
  ) {
    let limit = Self.tasksPerAgent * max(1, process.live(.agent(role)).count)
    var queue = queues[role] ?? FairQueue(limit: limit)
    let admitted = queue.setLimit(limit) + change(&queue)
    queues[role] = queue
    for ticket in admitted { tickets.removeValue(forKey: ticket)?.admitted() }
  }

  func reserve(_ start: TaskStart) -> PeerID? {
    turn &+= 1
    let agent = AgentChoice.pick(
      from: process.live(.agent(start.role)), avoiding: start.avoiding,
      load: { load[$0] ?? 0 }, turn: turn)
    if let agent { load[agent, default: 0] += 1 }
    return agent
  }

  func release(_ agent: PeerID) {
    let left = (load[agent] ?? 1) - 1
    load[agent] = left > 0 ? left : nil
  }

  private func ticket(for attempt: AttemptNode) -> UInt64 {
    lastTicket += 1
    tickets[lastTicket] = attempt
    return lastTicket
  }
}

/// One running plan.
final class PlanNode {
  let dispatcher: DispatcherNode
  let trace: TraceContext?
  private let key: RequestKey
  private var run: PlanRun
  private let began: Instant
  private var attempts: [Attempt: AttemptNode] = [:]
  /// Number of each task's current expansion. A reply to an expansion with another number is
  /// ignored.
  private var expansions: [TaskID: Int] = [:]
  private var expansionCalls: [TaskID: UInt64] = [:]
  private var timers: [PlanTimer: Int] = [:]
  private var generation = 0
  private var isOver = false

  init(_ dispatcher: DispatcherNode, _ key: RequestKey, _ run: PlanRun, _ trace: TraceContext?) {
    self.dispatcher = dispatcher
    self.key = key
    self.run = run
    self.trace = trace
    began = dispatcher.process.now
  }

  private var process: SimulatedProcess { dispatcher.process }
  var client: String { run.order.client }
  /// Time on the plan's own clock.
  var now: Instant { Instant(sinceStart: began.duration(to: process.now)) }

  func handle(_ event: PlanRunEvent) {
    guard !isOver else { return }
    for directive in run.handle(event, now: now) where !isOver { perform(directive) }
  }

  private func perform(_ directive: PlanRunDirective) {
    switch directive {
    case .start(let start):
      let attempt = AttemptNode(self, start)
      attempts[start.attempt] = attempt
      process.after(.zero) { attempt.begin() }
    case .cancel(let attempt): attempts.removeValue(forKey: attempt)?.cancel()
    case .expand(let request): expand(request)
    case .cancelExpansion(let task): cancelExpansion(task)
    case .emit(let event):
      if !process.send(.planEvent(event), to: key) {
        conclude(Failure(.cancelled, "the gateway no longer reads"))
      }
    case .arm(let timer, let instant):
      generation += 1
      let armed = generation
      timers[timer] = armed
      process.after(max(.zero, now.duration(to: instant))) { [self] in
        guard !isOver, timers[timer] == armed else { return }
        timers[timer] = nil
        handle(.fired(timer))
      }
    case .disarm(let timer): timers[timer] = nil
    case .finish(let finished):
      let isRead = process.send(.planEvent(.finished(finished)), to: key)
      conclude(isRead ? nil : Failure(.cancelled, "the gateway no longer reads"))
    case .fail(let failure): conclude(failure)
    }
  }

  private func conclude(_ failure: Failure?) {
    guard !isOver else { return }
    isOver = true
    let running = attempts.sorted {
      ($0.key.task, $0.key.number) < ($1.key.task, $1.key.number)
    }
    for (_, attempt) in running { attempt.cancel() }
    attempts = [:]
    for task in expansions.keys.sorted() { cancelExpansion(task) }
    dispatcher.forget(key)
    process.finish(key, failure)
  }

  func ended(_ attempt: Attempt) { attempts[attempt] = nil }

  // MARK: - Expansions

  private func expand(_ request: ExpandRequest) {
    generation += 1
    expansions[request.task] = generation
    let deadline = process.now + PlanRunLimits.standard.expansionWait
    ask(request, until: deadline, generation)
  }

  private func cancelExpansion(_ task: TaskID) {
    expansions[task] = nil
    if let call = expansionCalls.removeValue(forKey: task) { process.abandon(call) }
  }

  private func ask(_ request: ExpandRequest, until deadline: Instant, _ number: Int) {
    let left = max(.milliseconds(1), process.now.duration(to: deadline))
    let call = process.call(
      .expandRequest(request), to: .service(.planner), deadline: left, trace: trace
    ) { [self] result in
      guard !isOver, expansions[request.task] == number else { return }
      expansionCalls[request.task] = nil
      switch result {
      case .success(.subPlan(let sub)):
        expansions[request.task] = nil
        handle(.expanded(request.task, sub))
      case .success:
        failed(request.task, Failure(.internalError, "the planner's answer is no sub-plan"))
      case .failure(let failure):
        guard failure.isLostPeer, process.now < deadline else {
          return failed(request.task, failure)
        }
        askAgain(request, until: deadline, number)
      }
    }
    // A call that failed immediately is no longer known to the bus machine.
    if expansions[request.task] == number, process.machine.peer(of: call) != nil {
      expansionCalls[request.task] = call
    }
  }

  private func askAgain(_ request: ExpandRequest, until deadline: Instant, _ number: Int) {
    process.after(PlanRunLimits.standard.lostDelay) { [self] in
      let left = max(.milliseconds(1), process.now.duration(to: deadline))
      process.waitForPeer(.planner, deadline: left) { [self] failure in
        guard !isOver, expansions[request.task] == number else { return }
        if let failure {
          failed(request.task, failure)
        } else {
          ask(request, until: deadline, number)
        }
      }
    }
  }

  private func failed(_ task: TaskID, _ failure: Failure) {
    expansions[task] = nil
    handle(.expansionFailed(task, failure))
  }
}

/// One attempt of a task: waits for a host, then for an agent, then follows the agent's stream.
final class AttemptNode {
  private let plan: PlanNode
  private let start: TaskStart
  private let asked: Instant
  private var isOver = false
  /// Ticket of the queue in which the attempt waits.
  private var waitsForHost: UInt64?
  private var waitsForAgent: UInt64?
  /// Ticket under which the queue of hosts admitted the attempt.
  private var hostTicket: UInt64?
  private var placement = TaskPlacement.open
  private var hasTurn = false
  private var agent: PeerID?
  private var stream: UInt64?

  init(_ plan: PlanNode, _ start: TaskStart) {
    self.plan = plan
    self.start = start
    asked = plan.now
  }

  private var dispatcher: DispatcherNode { plan.dispatcher }
  private var process: SimulatedProcess { dispatcher.process }

  func begin() {
    guard !isOver else { return }
    let work = HostWork(start, expectedTokens: PlanRunLimits.standard.expectedTokens)
    let ticket = dispatcher.joinLine(self, work, client: plan.client)
    // The queue may have admitted the attempt already.
    if hostTicket == nil { waitsForHost = ticket }
  }

  func admitted(_ ticket: UInt64, to placement: TaskPlacement) {
    hostTicket = ticket
    waitsForHost = nil
    self.placement = placement
    process.after(.zero) { [self] in
      guard !isOver else { return }
      let ticket = dispatcher.joinQueue(self, start.role, client: plan.client)
      if !hasTurn { waitsForAgent = ticket }
    }
  }

  func admitted() {
    hasTurn = true
    waitsForAgent = nil
    process.after(.zero) { [self] in if !isOver { ask() } }
  }

  private func ask() {
    guard let agent = dispatcher.reserve(start) else {
      end(nil)
      return plan.handle(.noAgent(start.attempt))
    }
    self.agent = agent
    plan.handle(.assigned(start.attempt, agent: agent))
    guard !isOver else { return }
    let remaining = max(.milliseconds(1), start.remaining - asked.duration(to: plan.now))
    stream = process.stream(
      .runTask(start.order.placed(placement)), to: .peer(agent), deadline: remaining,
      trace: plan.trace,
      item: { [self] body in received(body) },
      end: { [self] failure in
        fail(failure ?? Failure(.upstreamFailed, "\(agent.name) stopped without an answer"))
      })
  }

  private func received(_ body: Body) {
    guard !isOver else { return }
    guard case .taskEvent(let event) = body else {
      return fail(Failure(.internalError, "the agent sent a message that is no task event"))
    }
    switch event {
    case .began(let began): plan.handle(.began(start.attempt, began))
    case .delta(let delta): plan.handle(.delta(start.attempt, delta))
    case .finished(let report):
      // After the report, the end of the stream does not matter.
      if let stream { process.abandon(stream) }
      end(report)
      plan.handle(.finished(start.attempt, report))
    }
  }

  private func fail(_ failure: Failure) {
    guard !isOver else { return }
    end(nil)
    plan.handle(.failed(start.attempt, failure))
  }

  func cancel() {
    guard !isOver else { return }
    if let stream { process.abandon(stream) }
    end(nil)
  }

  private func end(_ report: TaskReport?) {
    isOver = true
    plan.ended(start.attempt)
    if let agent { dispatcher.release(agent) }
    if hasTurn { dispatcher.endTurn(start.role) }
    if let waitsForAgent { dispatcher.leaveQueue(waitsForAgent, start.role) }
    if let waitsForHost { dispatcher.leaveLine(waitsForHost) }
    if let hostTicket { dispatcher.leaveHost(hostTicket, report) }
  }
}
