import ClusterModel
import ServiceKit
import ServiceLifecycle
import Store

func buildMonitor(
  _ configuration: MonitorConfiguration, _ context: ServiceContext
) async throws -> [any Service] {
  let store: any LogStore
  do throws(Failure) {
    if let uri = configuration.mongoDB {
      store = try MongoLogStore(uri: uri)
    } else {
      var retention = Retention.standard
      retention.maximumBytes = configuration.storeBytes
      store = try SQLiteLogStore(
        path: context.common.dataDirectory + "/monitor.sqlite", retention: retention)
    }
  } catch {
    throw ProcessFailure(
      error.code == .storeMisconfigured ? .usage : .unavailable, error.message)
  }
  let shell = MonitorShell(context: context, store: store)
  shell.answerBus()
  context.health.addCheck("log store") { shell.storeProblem }

  let router = makeRouter()
  context.health.addRoutes(to: router)
  MonitorAPI.addRoutes(to: router, context, shell: shell, store: store)
  var options = context.serverOptions(at: configuration.address, setting: "--port")
  // All routes are GET requests, which need no body.
  options.maxBodyBytes = 16 * 1024
  let server = makeHTTPServer(router: router, options: options, logger: context.logger)
  return [shell, server]
}
