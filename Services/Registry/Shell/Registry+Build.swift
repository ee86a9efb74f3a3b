import AsyncHTTPClient
import Bus
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
  let accounts: AccountStore
  do throws(Failure) {
    store = try HostStore(path: context.common.dataDirectory + "/registry.sqlite")
    restored = try await store.hosts()
    accounts = try AccountStore(path: context.common.dataDirectory + "/accounts.sqlite")
  } catch {
    throw ProcessFailure(.unavailable, error.message)
  }
  let keyPublisher = KeyPublisher(bus: context.bus, access: context.access)
  let keys = try await makeKeyIssuer(accounts, keyPublisher, context)
  let shell = RegistryShell(
    context: context, store: store, restored: restored,
    prober: HostProber(
      client: HTTPClient(configuration: HostProber.clientConfiguration),
      credentials: Credentials(rules: context.common.credentials)),
    keys: keys, keyPublisher: keyPublisher)
  try await shell.addConfigured(configuration.hosts)
  shell.answerBus()

  let router = makeRouter()
  context.health.addRoutes(to: router)
  addMetricsRoute(to: router, context)
  AdminAPI(shell: shell, keys: keys, gate: AdminGate(token: token, keys: context.keys))
    .addRoutes(to: router)
  var options = context.serverOptions(at: configuration.admin, setting: "--port")
  // A host's description has some hundred bytes, and a key's permissions up to 6 KiB.
  options.maxBodyBytes = 64 * 1024
  let server = makeHTTPServer(router: router, options: options, logger: context.logger)
  return [keys, shell, server]
}

private func makeKeyIssuer(
  _ store: AccountStore, _ publisher: KeyPublisher, _ context: ServiceContext
) async throws -> KeyIssuer {
  do {
    return try await KeyIssuer(
      store: store, dataDirectory: context.common.dataDirectory,
      epoch: context.bus.peer.id.incarnation, logger: context.logger,
      publish: { publisher.publish($0) })
  } catch let failure as Failure {
    throw ProcessFailure(.unavailable, failure.message)
  }
}
