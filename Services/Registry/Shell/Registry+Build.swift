import Access
import AsyncHTTPClient
import Bus
import BusCore
import Clocks
import ClusterModel
import Inference
import RegistryCore
import ServiceKit
import ServiceLifecycle
import Store
import Telemetry

func buildRegistry(
  _ configuration: RegistryConfiguration, _ context: ServiceContext
) async throws -> [any Service] {
  let token = try AdminToken(
    configured: configuration.adminToken, dataDirectory: context.common.dataDirectory)
  let store: HostStore
  let restored: [HostRecord]
  let accounts: any AccountStoring
  do throws(Failure) {
    store = try HostStore(path: context.common.dataDirectory + "/registry.sqlite")
    restored = try await store.hosts()
    accounts = try await openAccounts(configuration, context)
  } catch {
    throw ProcessFailure(
      error.code == .storeMisconfigured ? .usage : .unavailable, error.message)
  }
  let keyPublisher = KeyPublisher(bus: context.bus, access: context.access)
  let accountShell = try await makeAccountShell(accounts, context)
  context.metrics.addCollector { accountShell.budgetFamilies }
  let keys = try await makeKeyIssuer(accounts, accountShell, context) { pages in
    // The accounts get the keys before the gateways do, so that the first request with a new key
    // finds its account.
    accountShell.receiveKeys(pages.flatMap(\.records))
    keyPublisher.publish(pages)
  }
  let settings = try await makeSettings(accounts, context)
  let keyUse = KeyUseKeeper(
    path: context.common.dataDirectory + "/key-use.txt", epoch: context.bus.peer.id.incarnation,
    logger: context.logger)
  let shell = RegistryShell(
    context: context,
    store: AuditedHosts(store: store, log: accounts, logger: context.logger), restored: restored,
    prober: HostProber(
      client: HTTPClient(configuration: HostProber.clientConfiguration),
      credentials: Credentials(rules: context.common.credentials)),
    keys: keys, keyPublisher: keyPublisher, accounts: accountShell, settings: settings,
    keyUse: keyUse)
  let models = try await makeModelShell(
    accounts, shell, accountShell, context, approval: configuration.modelApproval)
  try await shell.addConfigured(configuration.hosts)
  shell.answerBus()

  let router = makeRouter()
  context.health.addRoutes(to: router)
  addMetricsRoute(to: router, context)
  let gate = AdminGate(token: token, keys: context.keys)
  AdminAPI(shell: shell, keys: keys, accounts: accountShell, gate: gate).addRoutes(to: router)
  ModelAPI(models: models, hosts: { shell.hosts }, gate: gate).addRoutes(to: router)
  SettingsAPI(settings: settings, gate: gate).addRoutes(to: router)
  AccountAPI(
    accounts: accountShell, keys: keys,
    authorise: { request, purpose in try gate.author(of: request, isChange: purpose == .change) },
    storeRead: { author in try await gate.storeRead(by: author) },
    wall: { UnixTime.milliseconds() }
  ).addRoutes(to: router)
  var options = context.serverOptions(at: configuration.admin, setting: "--port")
  // Bodies are small: a host's description has some hundred bytes, and a key's permissions have up
  // to 6 KiB.
  options.maxBodyBytes = 64 * 1024
  let server = makeHTTPServer(router: router, options: options, logger: context.logger)
  // Services shut down in reverse order. `keys` closes the store that it shares with the accounts,
  // the models and the settings.
  return [keys, models, accountShell, settings, keyUse, shell, server]
}

private func makeModelShell(
  _ store: any AccountStoring, _ shell: RegistryShell, _ accounts: AccountShell,
  _ context: ServiceContext, approval: ModelApproval
) async throws -> ModelShell {
  let models: ModelShell
  do throws(Failure) {
    // The stored settings come into force first, so that a model without approval is never
    // published.
    models = try await ModelShell(
      store: store, logger: context.logger,
      approval: context.settings.overrides.choice(.modelApproval) ?? approval,
      check: { models throws(Failure) in try accounts.check(aliases: models.aliases) },
      apply: { models, approval in
        shell.setModelRules(ModelRules(models.records, approval: approval))
        accounts.receiveAliases(models.aliases)
      })
  } catch {
    throw ProcessFailure(.unavailable, error.message)
  }
  context.settings.onChange { models.setApproval($0.choice(.modelApproval) ?? approval) }
  return models
}

private func makeSettings(
  _ store: any AccountStoring, _ context: ServiceContext
) async throws -> SettingsKeeper {
  let bus = context.bus
  do throws(Failure) {
    return try await SettingsKeeper(
      store: store, epoch: bus.peer.id.incarnation, logger: context.logger,
      publish: { table in
        context.settings.apply(.settingsTable(table))
        bus.publish(.settingsTable(table))
      })
  } catch {
    throw ProcessFailure(.unavailable, error.message)
  }
}

private func openAccounts(
  _ configuration: RegistryConfiguration, _ context: ServiceContext
) async throws(Failure) -> any AccountStoring {
  if let uri = configuration.mongoDB {
    return try await MongoAccountStore(uri: uri, owner: "\(context.bus.peer.id)")
  }
  return try AccountStore(path: context.common.dataDirectory + "/accounts.sqlite")
}

private func makeAccountShell(
  _ store: any AccountStoring, _ context: ServiceContext
) async throws -> AccountShell {
  let clock = ProcessClock()
  let bus = context.bus
  do throws(Failure) {
    return try await AccountShell(
      store: store, epoch: bus.peer.id.incarnation,
      outlet: AccountShell.Outlet(
        send: { answer, gateway in bus.cast(.leaseAnswer(answer), to: .peer(gateway)) },
        publish: { table in
          for peer in bus.peers.peers where peer.service == .gateway {
            bus.publish(.priceTable(table), to: peer.id)
          }
        }),
      logger: context.logger,
      now: { AccountTime(wall: UnixTime.milliseconds(), instant: clock.now) })
  } catch {
    throw ProcessFailure(.unavailable, error.message)
  }
}

private func makeKeyIssuer(
  _ store: any AccountStoring, _ accounts: AccountShell, _ context: ServiceContext,
  publish: @escaping @Sendable ([AccessTablePage]) -> Void
) async throws -> KeyIssuer {
  do {
    return try await KeyIssuer(
      store: store, dataDirectory: context.common.dataDirectory,
      epoch: context.bus.peer.id.incarnation, logger: context.logger,
      checkAccount: { account throws(Failure) in
        try await accounts.checkAccount(ofKey: account)
      },
      publish: publish)
  } catch let failure as Failure {
    throw ProcessFailure(.unavailable, failure.message)
  }
}
