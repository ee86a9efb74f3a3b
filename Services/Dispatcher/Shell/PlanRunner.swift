import Bus
import Clocks
import ClusterModel
import DispatcherCore
import Metrics
import ServiceKit
import Synchronization
import Telemetry

/// Passes events to a plan's `PlanRun` and carries out its directives.
/// An event and its directives are handled under one lock without waiting. So the gateway receives
/// plan events in the order in which they were decided.
final class PlanRunner: Sendable {
  /// Work that takes time and needs a Swift task of its own.
  private enum Work: Sendable {
    case attempt(TaskStart, ended: AsyncStream<Never>)
    case expansion(ExpandRequest, ended: AsyncStream<Never>)
    case timer(PlanTimer, at: Instant, generation: Int)
  }

  private struct State {
    var run: PlanRun
    /// Each attempt or expansion ends when its continuation is finished or dropped.
    var attempts: [Attempt: AsyncStream<Never>.Continuation] = [:]
    var expansions: [TaskID: AsyncStream<Never>.Continuation] = [:]
    var timers: [PlanTimer: Int] = [:]
    var generation = 0
    var outcome: Result<Void, Failure>?
    /// Bytes that the dispatcher has charged for the plan.
    var charged: Int
    /// Bytes of deltas since the last charge.
    var uncharged = 0
  }

  let shell: DispatcherShell
  let trace: TraceContext
  let client: String
  private let gateway: PeerID
  private let writer: StreamWriter
  private let state: Mutex<State>
  private let clock = ProcessClock()
  /// The queue never reaches its limit, because items leave it at once and each of a plan's tasks
  /// adds only a few at a time.
  private let work: AsyncStream<Work>
  private let queue: AsyncStream<Work>.Continuation

  init(
    _ run: PlanRun, shell: DispatcherShell, trace: TraceContext, gateway: PeerID,
    _ writer: StreamWriter
  ) {
    self.shell = shell
    self.trace = trace
    self.gateway = gateway
    self.writer = writer
    client = run.order.client
    state = Mutex(State(run: run, charged: run.order.keptBytes))
    (work, queue) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(4_096))
  }

  var now: Instant { clock.now }

  /// - Returns: the failure of the plan. `nil` means that the plan succeeded.
  func run() async -> Failure? {
    await withTaskCancellationHandler {
      await withDiscardingTaskGroup { group in
        handle(.start)
        for await item in work {
          group.addTask { await self.perform(item) }
        }
        group.cancelAll()
      }
    } onCancel: {
      handle(.cancelled)
      sendCosts()
      queue.finish()
    }
    if !state.withLock(\.run.isOver) {
      // The gateway has stopped reading, so the run does not know yet that it is over.
      handle(.cancelled)
      sendCosts()
    }
    let charged = state.withLock(\.charged)
    // Returning memory never fails.
    try? shell.keep(0, insteadOf: charged)
    switch state.withLock(\.outcome) {
    case .success: return nil
    case .failure(let failure): return failure
    case nil: return Failure(.cancelled, "the plan was cancelled")
    }
  }

  /// Sends the tokens of the tasks to the gateway, which does not read the plan's events any more.
  private func sendCosts() {
    let costs = state.withLock { state in
      PlanCosts(trace: trace.trace, dispatch: state.run.order.dispatch, tasks: state.run.costs)
    }
    shell.context.bus.cast(.planCosts(costs), to: .peer(gateway))
  }

  func handle(_ event: PlanRunEvent) {
    state.withLock { state in
      for directive in state.run.handle(event, now: now) { perform(directive, &state) }
      charge(event, &state)
    }
  }

  /// Minimum bytes of deltas per charge. Charging a single delta is not worth the dispatcher's
  /// lock.
  private static let chargedBytes = 64 << 10

  private func charge(_ event: PlanRunEvent, _ state: inout State) {
    if case .delta(_, let delta) = event {
      state.uncharged += delta.text.utf8.count
      guard state.uncharged > Self.chargedBytes else { return }
    }
    guard !state.run.isOver else { return }
    state.uncharged = 0
    let kept = state.run.keptBytes
    do throws(Failure) {
      try shell.keep(kept, insteadOf: state.charged)
      state.charged = kept
    } catch {
      for directive in state.run.handle(.stopped(error), now: now) { perform(directive, &state) }
    }
  }

  private func perform(_ directive: PlanRunDirective, _ state: inout State) {
    switch directive {
    case .start(let start):
      let (ended, end) = AsyncStream.makeStream(of: Never.self)
      state.attempts[start.attempt] = end
      queue.yield(.attempt(start, ended: ended))
    case .cancel(let attempt):
      state.attempts.removeValue(forKey: attempt)?.finish()
    case .expand(let request):
      let (ended, end) = AsyncStream.makeStream(of: Never.self)
      state.expansions[request.task] = end
      queue.yield(.expansion(request, ended: ended))
    case .cancelExpansion(let task):
      state.expansions.removeValue(forKey: task)?.finish()
    case .emit(let event):
      if case .ended(let ended) = event {
        Counter(
          label: "tutti_dispatcher_tasks_total",
          dimensions: [("role", ended.role.rawValue), ("status", ended.status.rawValue)]
        ).increment()
        recordMerge(ended, state.run)
      }
      guard state.outcome == nil else { return }
      do throws(Failure) {
        try writer.send(.planEvent(event))
      } catch {
        // The gateway no longer reads. The end of the group stops the remaining work.
        conclude(.failure(error), &state)
      }
    case .arm(let timer, let instant):
      state.generation += 1
      state.timers[timer] = state.generation
      queue.yield(.timer(timer, at: instant, generation: state.generation))
    case .disarm(let timer): state.timers[timer] = nil
    case .finish(let finished):
      guard state.outcome == nil else { return }
      do throws(Failure) {
        try writer.send(.planEvent(.finished(finished)))
        conclude(.success(()), &state)
      } catch {
        conclude(.failure(error), &state)
      }
    case .fail(let failure):
      if state.outcome == nil { conclude(.failure(failure), &state) }
    }
  }

  /// Records a span for a merge that was computed. The span shows facts of the merge, but not its
  /// duration.
  private func recordMerge(_ ended: TaskEnded, _ run: PlanRun) {
    guard ended.report != nil,
      run.plan.tasks.contains(where: { $0.id == ended.task && $0.merge.isMechanical })
    else { return }
    let span = shell.context.recorder.span(.merging, in: trace)
    span.set("task", ended.task.name)
    for fact in run.mergeFacts(of: ended.task) { span.set(fact.key, fact.value) }
    span.end()
  }

  private func conclude(_ outcome: Result<Void, Failure>, _ state: inout State) {
    state.outcome = outcome
    queue.finish()
  }

  private func perform(_ work: Work) async {
    switch work {
    case .timer(let timer, let instant, let generation):
      try? await Task.sleep(for: max(.zero, now.duration(to: instant)))
      let isCurrent = state.withLock { state -> Bool in
        guard state.timers[timer] == generation else { return false }
        state.timers[timer] = nil
        return true
      }
      if isCurrent, !Task.isCancelled { handle(.fired(timer)) }
    case .attempt(let start, let ended):
      await Self.run(until: ended) { await self.follow(start) }
    case .expansion(let request, let ended):
      await Self.run(until: ended) { await self.expand(request) }
    }
  }

  /// Runs the work until it is done or `ended` finishes.
  private static func run(
    until ended: AsyncStream<Never>, _ work: @escaping @Sendable () async -> Void
  ) async {
    await withTaskGroup(of: Void.self) { group in
      group.addTask { await work() }
      group.addTask { for await _ in ended {} }
      await group.next()
      group.cancelAll()
    }
  }
}
