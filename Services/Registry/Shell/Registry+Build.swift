import AsyncHTTPClient
import ClusterModel
import Inference
import RegistryCore
import ServiceKit
import ServiceLifecycle
import Store

func buildRegistry(
  _ configuration: RegistryConfiguration, _ context: ServiceContext
) async throws -> [any Service] {
  let token = try AdminToken(
    configured: configuration.adminToken, dataDirectory: context.common.dataDirectory)
  let store: HostStore
  let restored: [HostRecord]
  do throws(Failure) {
    store = try HostStore(path: context.common.dataDirectory + "/registry.sqlite")
    restored = try await store.hosts()
  } catch {
    throw ProcessFailure(.unavailable, error.message)
  }
  let shell = RegistryShell(
    context: context, store: store, restored: restored,
    prober: HostProber(
      client: HTTPClient(configuration: HostProber.clientConfiguration),
      credentials: Credentials(rules: context.common.credentials)))
  try await shell.addConfigured(configuration.hosts)
  shell.answerBus()

  let router = makeRouter()
  context.health.addRoutes(to: router)
  addMetricsRoute(to: router, context)
  AdminAPI(shell: shell, token: token).addRoutes(to: router)
  var options = context.serverOptions(at: configuration.admin, setting: "--port")
  // A host's description has some hundred bytes.
  options.maxBodyBytes = 64 * 1024
  let server = makeHTTPServer(router: router, options: options, logger: context.logger)
  return [shell, server]
}
