import Limits
import Bus
import BusCore
import ClusterModel
import Metrics
import PlannerCore
import ServiceKit
import Telemetry

/// Answers bus requests for plans and expansions. Pure functions compute both.
struct PlannerShell: Sendable {
  let context: ServiceContext

  func answer(_ request: BusRequest) throws(Failure) -> Body {
    switch request.body {
    case .planRequest(let order): .plan(try plan(order, in: request.trace))
    case .expandRequest(let order): .subPlan(expand(order, in: request.trace))
    default: throw Failure(.unhandled, "the planner only makes and expands plans")
    }
  }

  private func plan(_ order: PlanRequest, in trace: TraceContext?) throws(Failure) -> Plan {
    let span = context.recorder.span(.planning, in: trace)
    span.set("pattern", order.pattern)
    let started = ContinuousClock.now
    do {
      let plan = try makePlan(order, id: PlanID("plan-\(span.context.trace)"))
      span.set("tasks", "\(plan.tasks.count)")
      if !plan.reason.isEmpty { span.set("reason", plan.reason) }
      span.end()
      Counter(label: "tutti_planner_plans_total", dimensions: [("pattern", plan.pattern)])
        .increment()
      record("tutti_planner_plan_seconds", since: started)
      return plan
    } catch {
      span.set("error", error.code.rawValue)
      span.end(failed: true)
      throw error
    }
  }

  /// Returns the sub-plan that follows from a task's output. It is empty if `expandPlan` finds no
  /// valid one.
  private func expand(_ order: ExpandRequest, in trace: TraceContext?) -> SubPlan {
    let span = context.recorder.span(.expansion, in: trace)
    let named = order.plan.tasks.first { $0.id == order.task }?.expansion
    // Unknown names become one label value, because each new value would create a metric series.
    let expansion = named.flatMap(Expansion.init(rawValue:))?.rawValue ?? "unknown"
    span.set("expansion", expansion)
    span.set("task", order.task.name)
    let started = ContinuousClock.now
    let sub = expandPlan(order)
    span.set("tasks", "\(sub.tasks.count)")
    span.end()
    Counter(label: "tutti_planner_expansions_total", dimensions: [("expansion", expansion)])
      .increment()
    record("tutti_planner_expand_seconds", since: started)
    return sub
  }

  private func record(_ label: String, since started: ContinuousClock.Instant) {
    Timer(label: label).record(duration: started.duration(to: .now))
  }
}
