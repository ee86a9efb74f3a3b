import Bus
import BusCore
public import ClusterModel
import Logging
import Metrics
import OverloadCore
import ServiceLifecycle
import Telemetry

/// A service process, from its configuration to its end.
struct ServiceProcess: Sendable {
  let context: ServiceContext
  private let lifeline: Int32?
  /// Lock on the process's name, held for the lifetime of the process.
  private let processNameLock: ProcessNameLock

  /// Timeout of a request to the registry for one of its tables.
  private static let askDeadline = Duration.seconds(2)
  /// Time after the drain for cancelled work to end.
  private static let afterDrain = Duration.seconds(3)

  /// Sets up logging, metrics, the data directory and the bus. Starts nothing yet.
  /// - Parameter requests: maximum concurrent requests from services; `nil` means the bus's
  ///   default.
  init(
    _ configuration: CommonConfiguration, requests: Int?, lifeline: String?
  ) throws(ProcessFailure) {
    var common = configuration
    common.dataDirectory = try DataDirectory.prepare(common.dataDirectory)
    processNameLock = try ProcessNameLock(common.name, in: common.dataDirectory)
    CrashReports.install(
      name: common.service.description, dataDirectory: common.dataDirectory)
    if let lifeline {
      guard let descriptor = Int32(lifeline), descriptor > 2 else {
        throw ProcessFailure(
          .usage, "TUTTI_LIFELINE_FD: \"\(lifeline)\" is not a file descriptor above 2")
      }
      self.lifeline = descriptor
    } else {
      self.lifeline = nil
    }

    _ = ProcessMetrics.start
    let metrics = PrometheusRegistry()
    metrics.addCollector(ProcessMetrics.collect)
    MetricsSystem.bootstrap(metrics)
    let service = common.service.description
    let recorder = TelemetryRecorder(
      service: service, instance: common.name, registry: metrics)
    let sink = LogSink(
      service: service, format: StandardError.preferredFormat, recorder: recorder)
    let level = common.logLevel
    LoggingSystem.bootstrap { _ in TelemetryLogHandler(sink: sink, level: level) }
    let logger = Logger(label: service)

    let bus = try Self.makeBus(common, requests, logger)
    let hosts = HostDirectory(
      ask: { () async throws(Failure) -> HostTable in
        let answer = try await bus.call(
          .hostTableRequest, to: .service(.registry), deadline: Self.askDeadline)
        guard case .hostTable(let table) = answer else {
          throw Failure(.unhandled, "The registry's answer is not a host table.")
        }
        return table
      }, listsModels: common.service == .gateway, logger: logger)
    let access = Self.makeAccess(bus, logger)
    let context = ServiceContext(
      common: common, bus: bus, logger: logger, recorder: recorder, metrics: metrics,
      health: Health(service: service), hosts: hosts, access: access,
      settings: Self.makeSettings(bus, logger), tls: try Self.tls(common, logger))
    bus.onPublish { context.adopt($0) }
    self.context = context
  }

  private static func makeSettings(_ bus: Bus, _ logger: Logger) -> SettingsDirectory {
    SettingsDirectory(
      ask: { () throws(Failure) -> RuntimeSettingsTable in
        let answer = try await bus.call(
          .settingsTableRequest, to: .service(.registry), deadline: askDeadline)
        guard case .settingsTable(let table) = answer else {
          throw Failure(.unhandled, "The registry's answer is not a table of settings.")
        }
        return table
      }, logger: logger)
  }

  private static func makeAccess(_ bus: Bus, _ logger: Logger) -> AccessDirectory {
    AccessDirectory(
      ask: { number throws(Failure) in
        let answer = try await bus.call(
          .accessPageRequest(page: number), to: .service(.registry), deadline: askDeadline)
        guard case .accessTablePage(let page) = answer else {
          throw Failure(.unhandled, "The registry's answer is not a page of keys.")
        }
        return page
      }, logger: logger)
  }

  private static func tls(
    _ common: CommonConfiguration, _ logger: Logger
  ) throws(ProcessFailure) -> TLSIdentity? {
    guard let files = common.tls else { return nil }
    return try TLSIdentity(files) { failure in
      if let failure {
        logger.report(
          .tlsUnusable,
          metadata: [LogKey.reason: "\(failure.message)"])
      } else {
        logger.notice("the TLS certificate was renewed")
      }
    }
  }

  private static func hexadecimal(_ byte: UInt8) -> String {
    (byte < 16 ? "0" : "") + String(byte, radix: 16)
  }

  private static func makeBus(
    _ common: CommonConfiguration, _ requests: Int?, _ logger: Logger
  ) throws(ProcessFailure) -> Bus {
    do {
      let addresses: BusAddresses
      switch common.bus {
      case .ipc:
        addresses = .ipc(
          directory: try RuntimeDirectory.path(forDataDirectory: common.dataDirectory))
      case .tcp(let listen, let advertise, let registry, let key, let registryKey):
        // Peers pin the registry's key, so it is stored in a file.
        let identity =
          common.service == .registry
          ? try BusIdentity(file: common.dataDirectory + "/bus-key") : BusIdentity()
        if common.service == .registry {
          logger.info(
            "this registry's public key; set it in other processes as TUTTI_BUS_REGISTRY_KEY",
            metadata: ["key": "\(identity.publicKey.map { hexadecimal($0) }.joined())"])
        }
        addresses = .tcp(
          listen: "\(listen)", advertise: "\(advertise)", registry: "\(registry)",
          clusterKey: key, registryKey: registryKey, identity: identity)
      }
      let configuration = BusConfiguration(
        service: common.service, name: common.name, addresses: addresses,
        limits: requests.map { .admitting($0) } ?? .standard, drainGrace: common.drain)
      return Bus(
        configuration: configuration, transport: try configuration.makeTransport(),
        logger: logger)
    } catch {
      throw ProcessFailure(.unavailable, error.message)
    }
  }

  /// Runs the process to its end. The bus starts first and stops last, so that the last messages of
  /// all other services are still sent.
  func run(_ own: [any Service]) async throws -> ExitStatus {
    var services: [any Service] = [
      context.bus, TelemetryFlush(recorder: context.recorder, bus: context.bus),
    ]
    if context.common.service != .registry {
      services += [context.hosts, context.settings] as [any Service]
    }
    if context.common.service.checksKeys
      || context.common.http != nil && context.common.service != .registry
    {
      services.append(context.access)
    }
    if let address = context.common.http { services.append(healthServer(at: address)) }
    services += own
    let group = serviceGroup(services)

    context.logger.info(
      "starting",
      metadata: [
        LogKey.peer: "\(context.bus.peer.id)", "version": "\(Version.withCommit)",
        "data_dir": "\(context.common.dataDirectory)",
      ])
    if let note = CrashNote.own {
      context.logger.report(
        .serviceRestarted,
        metadata: [LogKey.count: "\(note.count)", LogKey.reason: "\(note.reason)"])
    }
    let stops = StopRequests()
    if let lifeline { stops.watchLifeline(lifeline) }
    // Only the Swift task of the service group ends on its own. The other two run until they are
    // cancelled.
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask { await stops.watchSignals() }
      tasks.addTask { await drain(group, when: stops) }
      tasks.addTask {
        try await group.run()
        throw Finished()
      }
      do {
        while try await tasks.next() != nil {}
      } catch is Finished {
        tasks.cancelAll()
      }
    }
    guard context.health.isDraining else {
      throw ProcessFailure(.failed, "A part of the service ended unexpectedly.")
    }
    context.logger.info("stopped")
    return .done
  }

  private struct Finished: Error {}

  private func drain(_ group: ServiceGroup, when stops: StopRequests) async {
    var isDraining = false
    for await request in stops.requests {
      switch request {
      case .signal(let name) where isDraining:
        LastResort.end("\(name) again: ending now.")
      case .lifeline where isDraining: break
      case .signal, .lifeline:
        isDraining = true
        context.health.beginDrain()
        context.logger.notice("draining", metadata: [LogKey.reason: "\(request)"])
        LastResort.arm(after: context.common.drain + Self.afterDrain)
        await group.triggerGracefulShutdown()
      }
    }
  }

  private func healthServer(at address: HostAndPort) -> any Service {
    let router = makeRouter()
    context.health.addRoutes(to: router)
    addMetricsRoute(to: router, context)
    var options = context.serverOptions(at: address, setting: "--http")
    // This port serves only a few small requests.
    options.maxBodyBytes = 64 * 1024
    options.connections = ConnectionLimits(total: 64, perClient: 32, perLocalClient: 64)
    if !context.common.service.knowsKeys {
      // No request shows a key here, so the first key does not end the check of names.
      options.requiresKeys = { [isStrict = context.common.requiresKeys] in isStrict }
    }
    return makeHTTPServer(router: router, options: options, logger: context.logger)
  }

  private func serviceGroup(_ services: [any Service]) -> ServiceGroup {
    var configuration = ServiceGroupConfiguration(
      services: services.map {
        // If a service ends on its own, shut down the process gracefully; its parent process
        // decides about a restart.
        ServiceGroupConfiguration.ServiceConfiguration(
          service: $0, successTerminationBehavior: .gracefullyShutdownGroup,
          failureTerminationBehavior: .gracefullyShutdownGroup)
      }, logger: quietLogger)
    configuration.maximumGracefulShutdownDuration = context.common.drain
    return ServiceGroup(configuration: configuration)
  }

  /// The group's own log lines are only useful for debugging the group.
  private var quietLogger: Logger {
    var logger = context.logger
    logger.logLevel = max(logger.logLevel, .warning)
    return logger
  }
}

extension ServiceName {
  /// Whether processes of the service get copies of the keys from the registry, to check clients'
  /// keys. Processes of other services learn only whether requests need a key.
  public var checksKeys: Bool { self == .gateway || self == .monitor }

  /// Whether processes of the service can check a key.
  var knowsKeys: Bool { checksKeys || self == .registry }
}
