import Bus
import ClusterModel
import ServiceKit
import ServiceLifecycle

/// Creates the planner's shell and connects it to the bus. `ServiceMain` does the rest.
func buildPlanner(
  _ configuration: PlannerConfiguration, _ context: ServiceContext
) async throws -> [any Service] {
  let shell = PlannerShell(context: context)
  context.bus.onCall { request throws(Failure) in try shell.answer(request) }
  return []
}
