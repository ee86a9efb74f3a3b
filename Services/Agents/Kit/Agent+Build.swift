import AgentCore
import Bus
import ClusterModel
import Inference
import InferenceCore
import ServiceKit
import ServiceLifecycle

/// Builds an agent. `ServiceMain` provides the bus, the health endpoint and the host table.
func buildAgent<Room: AgentRoom>(
  _ configuration: AgentConfiguration<Room>, _ context: ServiceContext
) async throws -> [any Service] {
  let directory = context.hosts
  let inference = InferenceClient(
    hosts: { directory.table }, load: { directory.load },
    statistics: configuration.inference.statistics(
      own: context.bus.peer.id, seed: .random(in: .min ... .max)),
    inferenceLimits: configuration.inference.limits,
    credentials: Credentials(rules: context.common.credentials), logger: context.logger)
  let shell = AgentShell(
    role: configuration.role, maxTasks: configuration.maxTasks, inference: inference,
    context: context)
  context.settings.onChange { overrides in
    inference.apply(overrides)
    shell.apply(overrides)
  }
  context.bus.onStream { request, writer throws(Failure) in
    try await shell.perform(request, writer)
  }
  context.health.addCheck("hosts") {
    directory.table.hosts.contains { $0.state == .ready && $0.models.contains(where: \.isChat) }
      ? nil : "no ready host offers a chat model"
  }
  return [LoadReporter(bus: context.bus) { inference.loadReport() }]
}
