import Bus
import BusCore
import ClusterModel
import Metrics
import PlannerCore
import ServiceKit
import Telemetry
import Wire

/// Answers requests for plans. The plan itself is a pure function's.
struct PlannerShell: Sendable {
  let context: ServiceContext

  func answer(_ request: BusRequest) throws(Failure) -> Body {
    guard case .planRequest(let wanted) = request.body else {
      throw Failure(.unhandled, "the planner makes plans, nothing else")
    }
    let span = context.recorder.span("planner.plan", in: request.trace)
    span.set("pattern", wanted.pattern)
    let started = ContinuousClock.now
    do {
      let plan = try makePlan(wanted, id: PlanID("plan-\(span.context.trace)"))
      span.set("tasks", "\(plan.tasks.count)")
      span.end()
      Counter(label: "tutti_planner_plans_total", dimensions: [("pattern", plan.pattern)])
        .increment()
      Timer(label: "tutti_planner_plan_seconds")
        .recordNanoseconds(Int64(started.duration(to: .now).inSeconds * 1e9))
      return .plan(plan)
    } catch {
      span.set("error", error.code.rawValue)
      span.end(failed: true)
      throw error.failure
    }
  }
}
