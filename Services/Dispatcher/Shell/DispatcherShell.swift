import Limits
import Bus
import ClusterModel
import DispatcherCore
import HostModel
import Limits
import Metrics
import ServiceKit
import Synchronization
import Telemetry

/// Accepts plans, runs each with a `PlanRunner`, and counts this dispatcher's tasks per agent.
final class DispatcherShell: Sendable {
  private struct State {
    var plans = 0
    var load: [PeerID: Int] = [:]
    var turn = 0
    /// Memory of all running plans.
    var memory = Allowance(memory: Limits.dispatcherBytes)
  }

  let context: ServiceContext
  let turns: TaskAdmission
  /// The limits of the configuration.
  private let configured: DispatcherLimits
  private let limits: DispatcherLimits.Current
  private let state = Mutex(State())

  /// - Parameters:
  ///   - maxTasks: maximum concurrent tasks per agent.
  ///   - rules: requirements on the hosts that get tasks.
  init(maxPlans: Int, maxTasks: Int, rules: EligibilityRules, context: ServiceContext) {
    configured = DispatcherLimits(plans: maxPlans, tasks: maxTasks)
    let limits = DispatcherLimits.Current(configured)
    self.limits = limits
    let (bus, hosts) = (context.bus, context.hosts)
    let turns = TaskAdmission(
      limit: { limits.value.tasks * max(1, bus.live(.agent($0)).count) },
      hosts: {
        let load = hosts.load
        return SchedulableHost.all(
          in: HostView(hosts.table, load: load?.table, age: load?.age ?? .zero, rules: rules))
      })
    hosts.onChange { turns.reconsider() }
    // The first host table may have arrived before the listener was set, and is not reported to it.
    turns.reconsider()
    self.turns = turns
    self.context = context
  }

  /// Applies values that admins set at run time.
  func apply(_ overrides: RuntimeOverrides) {
    limits.value = configured.overridden(by: overrides)
    turns.reconsiderAgents()
  }

  func perform(_ request: BusRequest, _ writer: StreamWriter) async throws(Failure) {
    guard case .runPlan(let order) = request.body else {
      throw Failure(.unhandled, "the dispatcher only runs plans")
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
    let failure = await PlanRunner(
      run, shell: self, trace: span.context, gateway: request.sender, writer
    ).run()
    span.end(failed: failure != nil)
    Counter(
      label: "tutti_dispatcher_plans_total",
      dimensions: [("pattern", order.plan.pattern), ("outcome", failure?.code.rawValue ?? "done")]
    ).increment()
    Timer(label: "tutti_dispatcher_plan_seconds")
      .record(duration: started.duration(to: .now))
    if let failure { throw failure }
  }

  private func admit() throws(Failure) {
    let maximum = limits.value.plans
    let (plans, isAdmitted) = state.withLock { state -> (Int, Bool) in
      guard state.plans < maximum else { return (state.plans, false) }
      state.plans += 1
      return (state.plans, true)
    }
    guard isAdmitted else {
      throw Failure(
        .overloaded, "\(context.common.name) runs \(counted(plans, "plan")) already",
        retryAfter: .seconds(1))
    }
    Gauge(label: "tutti_dispatcher_running_plans").record(plans)
  }

  /// Charges the memory that a plan keeps.
  /// - Parameter before: the plan's last charge, which stays if the new one is refused.
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

  /// Chooses the agent for a task and counts the task as its load until `release`.
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
