import BillingJournal
import Bus
import ClusterModel
import Files
import GatewayCore
import HostModel
import Hummingbird
import Inference
import InferenceCore
import Overload
import ServiceKit
import ServiceLifecycle

func buildGateway(
  _ configuration: GatewayConfiguration, _ context: ServiceContext
) async throws -> [any Service] {
  let hosts = context.hosts
  let memory = MemoryBudget(configuration.memoryBudget)
  let heavyWork = HeavyWork(yieldsToLoops: true)
  let inference = InferenceClient(
    hosts: { hosts.table }, load: { hosts.load },
    statistics: configuration.inference.statistics(
      own: context.bus.peer.id, seed: .random(in: .min ... .max)),
    inferenceLimits: configuration.inference.limits,
    credentials: Credentials(rules: context.common.credentials), memory: memory,
    heavyWork: heavyWork, logger: context.logger)
  context.settings.onChange { inference.apply($0) }
  let journal: BillingJournal.Opened
  do throws(FileRefused) {
    journal = try BillingJournal.open(
      path: context.common.dataDirectory + "/\(context.common.name).bills",
      incarnation: context.bus.peer.id.incarnation)
  } catch {
    throw ProcessFailure(.unavailable, error.message)
  }
  let resources = GatewayResources(
    configuration, context, inference: inference, memory: memory, heavyWork: heavyWork,
    journal: journal)
  let spending = resources.spending
  let departures = resources.departures
  context.bus.onCast { body, peer in
    switch body {
    case .leaseAnswer(let answer): spending.receive(answer)
    case .planCosts(let costs):
      let isDispatcher = context.bus.live(.dispatcher).contains { $0.id == peer }
      if isDispatcher { departures.receive(costs, from: peer) }
    default: break
    }
  }
  context.bus.onPublish { body in
    if !context.adopt(body) { spending.apply(body) }
  }
  let shell = GatewayShell(resources)

  context.health.addCheck("hosts") {
    HostView(hosts.table, rules: configuration.inference.rules).hasServing(HostNeed(.anyChat))
      ? nil : "No host with a chat model is ready; `tutti hosts list` says why."
  }
  context.health.addCheck("accounts") {
    if context.access.table == nil { return "The keys have not arrived from the registry." }
    return spending.hasPrices ? nil : "The prices have not arrived from the registry."
  }
  let router = makeRouter()
  router.add(middleware: CheapAnswers(pace: shell.pace))
  context.health.addRoutes(to: router)
  addMetricsRoute(to: router, context)
  shell.addRoutes(to: router)

  var options = context.serverOptions(at: configuration.address, setting: "--port")
  options.maxBodyBytes = RequestLimits.bodyBytes
  options.answersOnEventLoops = true
  options.holdsBodies = true
  options.headDeadline = configuration.headDeadline
  options.bodyDeadline = configuration.bodyDeadline
  options.connections = configuration.connections
  options.traceHeader = .gatewayTrace
  let server = makeHTTPServer(router: router, options: options, logger: context.logger)
  // Services shut down in reverse order: first the server, then the connections to hosts. Plans are
  // settled before the rest of the money is returned.
  return [
    LoadReporter(bus: context.bus) { inference.loadReport() }, resources.keyUse, spending,
    departures, resources.keyWatch, shell, server,
  ]
}
