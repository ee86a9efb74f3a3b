import Bus
import ClusterModel
import GatewayCore
import Inference
import InferenceCore
import ServiceKit
import ServiceLifecycle

func buildGateway(
  _ configuration: GatewayConfiguration, _ context: ServiceContext
) async throws -> [any Service] {
  let hosts = context.hosts
  let inference = InferenceClient(
    hosts: { hosts.table }, load: { hosts.load },
    statistics: configuration.inference.statistics(
      own: context.bus.peer.id, seed: .random(in: .min ... .max)),
    inferenceLimits: configuration.inference.limits, logger: context.logger)
  let shell = GatewayShell(configuration, context, inference: inference)

  context.health.addCheck("hosts") {
    GatewayRouting.available(hosts.table, policy: .any).isEmpty
      ? "No host with a chat model is ready; `tutti hosts list` says why." : nil
  }
  let router = makeRouter()
  context.health.addRoutes(to: router)
  addMetricsRoute(to: router, context.metrics)
  shell.addRoutes(to: router)

  var options = HTTPServerOptions(address: configuration.address)
  options.maxBodyBytes = RequestLimits.bodyBytes
  options.headDeadline = configuration.headDeadline
  options.bodyDeadline = configuration.bodyDeadline
  // Health checks, and the 503 for what is too much, must still get through.
  options.maxConnections = configuration.maximumRequests + 64
  options.setting = "--port"
  options.traceHeader = GatewayShell.traceHeader
  options.tls = context.tls
  let server = makeHTTPServer(router: router, options: options, logger: context.logger)
  // Ended in the opposite order: first no more requests, then no more connections to hosts.
  return [LoadReporter(bus: context.bus) { inference.loadReport() }, shell, server]
}
