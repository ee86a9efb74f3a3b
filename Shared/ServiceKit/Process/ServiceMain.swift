public import Bus
public import BusCore
import ClusterModel
import Foundation
public import Logging
import Metrics
public import ServiceLifecycle
public import Telemetry

/// The dependencies of a service.
public struct ServiceContext: Sendable {
  public let common: CommonConfiguration
  /// The bus, which `ServiceMain` runs. Set the handlers in `build`. `onPublish` is already set and
  /// calls `adopt`; a replacement must call `adopt`, too.
  public let bus: Bus
  public let logger: Logger
  public let recorder: TelemetryRecorder
  public let metrics: PrometheusRegistry
  /// Add this service's readiness checks here.
  public let health: Health
  /// The host table. Publications of the registry update it. The registry itself updates it with
  /// `apply`.
  public let hosts: HostDirectory
  /// The keys, for processes that serve clients. The registry itself updates them with `apply`.
  public let access: AccessDirectory
  /// Checks requests against `access`.
  public let keys: KeyChecker
  /// Settings that admins have changed at run time. The registry itself updates them with `apply`.
  public let settings: SettingsDirectory
  /// Certificate of all HTTP ports of this process. `nil` means plain HTTP.
  let tls: TLSIdentity?

  init(
    common: CommonConfiguration, bus: Bus, logger: Logger, recorder: TelemetryRecorder,
    metrics: PrometheusRegistry, health: Health, hosts: HostDirectory, access: AccessDirectory,
    settings: SettingsDirectory = SettingsDirectory(), tls: TLSIdentity? = nil
  ) {
    self.common = common
    self.bus = bus
    self.logger = logger
    self.recorder = recorder
    self.metrics = metrics
    self.health = health
    self.hosts = hosts
    self.access = access
    keys = KeyChecker(access, isStrict: common.requiresKeys)
    self.settings = settings
    self.tls = tls
  }

  /// Applies a publication of the registry to this process's copies.
  /// - Returns: whether the publication belongs to one of them.
  @discardableResult
  public func adopt(_ body: Body) -> Bool {
    hosts.apply(body) || access.apply(body) || settings.apply(body)
  }

  /// The options of an HTTP port of this process: its certificate, accepted names and pages.
  ///
  /// - Parameter setting: name of the option that sets the address, such as `--port`.
  public func serverOptions(at address: HostAndPort, setting: String) -> HTTPServerOptions {
    var options = HTTPServerOptions(address: address)
    options.setting = setting
    options.tls = tls
    options.access = common.access(at: address)
    options.logsRequests = common.logsRequests
    // A web page has no key, so names need no check once keys are required.
    options.requiresKeys = { [keys] in keys.isOpen == false }
    return options
  }
}

/// The lifecycle of a service process, the same for all services.
public enum ServiceMain {
  /// Runs a service until a stop is requested or a part of it ends, and then ends the process.
  ///
  /// SIGTERM, SIGINT and the end of the lifeline (`TUTTI_LIFELINE_FD`) begin a drain: the services
  /// of `build` stop in reverse order, then health, telemetry and the bus. A second signal ends the
  /// process immediately. At the drain's deadline, work that still runs is cancelled, and the
  /// process ends at most 3 s later.
  public static func run<C: ServiceConfiguration>(
    _: C.Type,
    build: @escaping @Sendable (C, ServiceContext) async throws -> [any Service]
  ) async -> Never {
    // If a peer closes a socket or pipe, writing must return an error, not raise a signal.
    signal(SIGPIPE, SIG_IGN)
    AllocatorSettings.apply()
    let code = await NiceValue.honour { await start(C.self, ProcessEnvironment.real(), build) }
    exit(code.rawValue)
  }

  private static func start<C: ServiceConfiguration>(
    _: C.Type, _ processEnvironment: ProcessEnvironment,
    _ build: @Sendable (C, ServiceContext) async throws -> [any Service]
  ) async -> ExitStatus {
    let settings = ServiceSettings<C>(
      arguments: processEnvironment.arguments, environment: processEnvironment.environment,
      hostName: processEnvironment.hostName, readFile: ProcessEnvironment.readFile)
    if let code = answer(settings, program: processEnvironment.program) { return code }
    do {
      let process = try ServiceProcess(
        settings.common, requests: settings.own.requestsAtOnce,
        lifeline: processEnvironment.environment["TUTTI_LIFELINE_FD"])
      for warning in settings.warnings {
        process.context.logger.report(.settingUnsafe, metadata: [LogKey.setting: "\(warning)"])
      }
      return try await process.run(build(settings.own, process.context))
    } catch {
      return report(error)
    }
  }

  /// Answers requests that need no start, such as help, and reports mistakes in the configuration.
  /// `nil` means that the service is to start.
  static func answer<C: ServiceConfiguration>(
    _ settings: ServiceSettings<C>, program: String,
    out: (String) -> Void = StandardOutput.write, err: (String) -> Void = StandardError.write
  ) -> ExitStatus? {
    switch settings.request {
    case .help:
      out(settings.table.help(program: program, summary: C.summary))
      return .done
    case .version:
      out("\(program) \(Version.withCommit)\n")
      return .done
    case .run, .checkConfig: break
    }
    guard settings.mistakes.isEmpty else {
      for mistake in settings.mistakes { err(mistake + "\n") }
      let count = settings.mistakes.count == 1 ? "1 mistake" : "\(settings.mistakes.count) mistakes"
      err("\(count) in the configuration; `\(program) --help` lists all settings.\n")
      return .usage
    }
    guard settings.request == .checkConfig else { return nil }
    for warning in settings.warnings { err(warning + "\n") }
    out(settings.table.effective(settings.values))
    return .done
  }

  /// Prints the reason for the end in one sentence and returns the exit code.
  private static func report(_ error: any Error) -> ExitStatus {
    let failure = ProcessFailure(explaining: error)
    StandardError.write(failure.message + "\n")
    return failure.status
  }
}

extension ProcessFailure {
  /// Converts any error that ended a service to an exit code and a sentence.
  init(explaining error: any Error) {
    switch error {
    case let failure as ProcessFailure: self = failure
    case let failure as Failure:
      let code: ExitStatus =
        switch failure.code {
        case .noPeer, .peerLost, .overloaded, .deadlineExceeded, .outboxFull: .tryLater
        default: .failed
        }
      self.init(code, failure.message)
    case is CancellationError:
      self.init(.failed, "The drain took longer than allowed.")
    default: self.init(.failed, "The service failed: \(error)")
    }
  }
}
