import Bus
import ClusterModel
import ServiceKit
import ServiceLifecycle

/// Joins the planner's parts. Everything else is `ServiceMain`'s.
func buildPlanner(
  _ configuration: PlannerConfiguration, _ context: ServiceContext
) async throws -> [any Service] {
  let shell = PlannerShell(context: context)
  context.bus.onCall { request throws(Failure) in try shell.answer(request) }
  return []
}
