import Limits
import Bus
import ClusterModel
import DispatcherCore
import Limits
import Metrics
import ServiceKit
import Synchronization
import Telemetry
import Wire

/// Takes plans, runs each with a `PlanRunner`, and knows how much each agent has to do for us.
final class DispatcherShell: Sendable {
  private struct State {
    var plans = 0
    var load: [PeerID: Int] = [:]
    var turn = 0
    /// Of all running plans.
    var memory = Allowance(memory: Limits.dispatcherBytes)
  }

  let context: ServiceContext
  let turns: TaskTurns
  private let maxPlans: Int
  private let state = Mutex(State())

  /// - Parameter maxTasks: that one agent is given at once.
  init(maxPlans: Int, maxTasks: Int, context: ServiceContext) {
    self.maxPlans = maxPlans
    let (bus, hosts) = (context.bus, context.hosts)
    let turns = TaskTurns(
      limit: { maxTasks * max(1, bus.live(.agent($0)).count) },
      places: { HostPlace.all(in: hosts.table, load: hosts.load?.table) })
    hosts.onChange { turns.reconsider() }
    // The first table may have come already.
    turns.reconsider()
    self.turns = turns
    self.context = context
  }

  func perform(_ request: BusRequest, _ writer: StreamWriter) async throws(Failure) {
    guard case .runPlan(let order) = request.body else {
      throw Failure(.unhandled, "the dispatcher runs plans, nothing else")
    }
    try admit()
    defer { leave() }
    try keep(order.keptBytes, insteadOf: 0)
    let run: PlanRun
    do throws(InvalidPlan) {
      run = try PlanRun(order: order)
    } catch {
      try keep(0, insteadOf: order.keptBytes)
      throw Failure(.invalidPlan, "\(error)")
    }
    let span = context.recorder.span(.execution, in: request.trace)
    span.set("pattern", order.plan.pattern)
    span.set("tasks", "\(order.plan.tasks.count)")
    let started = ContinuousClock.now
    let failure = await PlanRunner(run, shell: self, trace: span.context, writer).run()
    span.end(failed: failure != nil)
    Counter(
      label: "tutti_dispatcher_plans_total",
      dimensions: [("pattern", order.plan.pattern), ("outcome", failure?.code.rawValue ?? "done")]
    ).increment()
    Timer(label: "tutti_dispatcher_plan_seconds")
      .recordNanoseconds(Int64(clamping: started.duration(to: .now).inSeconds * 1e9))
    if let failure { throw failure }
  }

  private func admit() throws(Failure) {
    let plans = state.withLock { state -> Int? in
      guard state.plans < maxPlans else { return nil }
      state.plans += 1
      return state.plans
    }
    guard let plans else {
      throw Failure(
        .overloaded, "\(context.common.name) runs \(counted(maxPlans, "plan")) already",
        retryAfter: .seconds(1))
    }
    Gauge(label: "tutti_dispatcher_running_plans").record(plans)
  }

  /// Charges what a plan keeps.
  /// - Parameter before: what it was charged last. It stays charged when this fails.
  func keep(_ bytes: Int, insteadOf before: Int) throws(Failure) {
    let overdrawn = state.withLock { state -> Overdrawn? in
      guard bytes > before else {
        state.memory.release(before - bytes)
        return nil
      }
      do throws(Overdrawn) {
        try state.memory.keep(bytes - before)
        return nil
      } catch {
        state.memory.release(bytes - before)
        return error
      }
    }
    guard let overdrawn else { return }
    throw Failure(
      .overloaded, "\(context.common.name) would keep \(overdrawn) for its plans",
      retryAfter: .seconds(1))
  }

  private func leave() {
    let plans = state.withLock { state -> Int in
      state.plans -= 1
      return state.plans
    }
    Gauge(label: "tutti_dispatcher_running_plans").record(plans)
  }

  /// The agent for a task, which counts as busy with it until `release`.
  func reserve(_ start: TaskStart) -> PeerID? {
    let live = context.bus.live(.agent(start.role)).map(\.id)
    return state.withLock { state in
      state.turn &+= 1
      let agent = AgentChoice.pick(
        from: live, avoiding: start.avoiding, load: { state.load[$0] ?? 0 }, turn: state.turn)
      if let agent { state.load[agent, default: 0] += 1 }
      return agent
    }
  }

  func release(_ agent: PeerID) {
    state.withLock { state in
      let left = (state.load[agent] ?? 1) - 1
      state.load[agent] = left > 0 ? left : nil
    }
  }
}
