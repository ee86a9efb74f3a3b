import Bus
import ClusterModel
import ServiceKit
import ServiceLifecycle

/// Creates the dispatcher's shell, and connects it to the bus and the settings. `ServiceMain` does
/// the rest.
func buildDispatcher(
  _ configuration: DispatcherConfiguration, _ context: ServiceContext
) async throws -> [any Service] {
  let shell = DispatcherShell(
    maxPlans: configuration.maxPlans, maxTasks: configuration.maxTasks,
    rules: configuration.rules, context: context)
  context.settings.onChange { shell.apply($0) }
  context.bus.onStream { request, writer throws(Failure) in
    try await shell.perform(request, writer)
  }
  let bus = context.bus
  context.health.addCheck("agents") {
    let missing = AgentRole.allCases.filter { bus.live(.agent($0)).isEmpty }.map(\.rawValue)
    return missing.isEmpty ? nil : "no live agent for \(missing.joined(separator: ", "))"
  }
  return []
}
