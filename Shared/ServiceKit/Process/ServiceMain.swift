public import Bus
import ClusterModel
import Foundation
public import Logging
import Metrics
public import ServiceLifecycle
public import Telemetry
import Wire

/// What a service is built with.
public struct ServiceContext: Sendable {
  public let common: CommonConfiguration
  /// `ServiceMain` runs it; set the handlers in `build`. `onPublish` is set already: it feeds
  /// `hosts`; whoever sets another one calls `hosts.apply` in it.
  public let bus: Bus
  public let logger: Logger
  public let recorder: TelemetryRecorder
  public let metrics: PrometheusRegistry
  /// Add the conditions under which this service is ready.
  public let health: Health
  /// Kept up to date by what the registry publishes. The registry itself fills its own by `apply`.
  public let hosts: HostDirectory
  /// For every HTTP port of this process; `nil` means plain HTTP.
  public let tls: TLSIdentity?

  public init(
    common: CommonConfiguration, bus: Bus, logger: Logger, recorder: TelemetryRecorder,
    metrics: PrometheusRegistry, health: Health, hosts: HostDirectory, tls: TLSIdentity? = nil
  ) {
    self.common = common
    self.bus = bus
    self.logger = logger
    self.recorder = recorder
    self.metrics = metrics
    self.health = health
    self.hosts = hosts
    self.tls = tls
  }
}

/// The life of a service process, the same for all of them.
public enum ServiceMain {
  /// Runs a service until it is told to stop, and ends the process.
  ///
  /// SIGTERM, SIGINT and the end of the lifeline (`TUTTI_LIFELINE_FD`) begin a drain: the services
  /// of `build` stop in reverse order, then health, telemetry and the bus. A second signal, or the
  /// drain's deadline, ends the process at once.
  public static func run<C: ServiceConfiguration>(
    _: C.Type,
    build: @Sendable (C, ServiceContext) async throws -> [any Service]
  ) async -> Never {
    // A peer that closes a socket or a pipe must give an error, not a signal.
    signal(SIGPIPE, SIG_IGN)
    let code = await start(C.self, Surroundings.real(), build)
    exit(code.rawValue)
  }

  private static func start<C: ServiceConfiguration>(
    _: C.Type, _ surroundings: Surroundings,
    _ build: @Sendable (C, ServiceContext) async throws -> [any Service]
  ) async -> ExitCode {
    let settings = ServiceSettings<C>(
      arguments: surroundings.arguments, environment: surroundings.environment,
      hostName: surroundings.hostName, readFile: Surroundings.readFile)
    if let code = answer(settings, program: surroundings.program) { return code }
    do {
      let process = try ServiceProcess(
        settings.common, requests: settings.own.requestsAtOnce,
        lifeline: surroundings.environment["TUTTI_LIFELINE_FD"])
      for warning in settings.warnings {
        process.context.logger.warning(
          "a setting deserves a look", metadata: [LogKey.setting: "\(warning)"])
      }
      return try await process.run(build(settings.own, process.context))
    } catch {
      return report(error)
    }
  }

  /// What is answered without starting anything; nil: start.
  static func answer<C: ServiceConfiguration>(
    _ settings: ServiceSettings<C>, program: String,
    out: (String) -> Void = StandardOutput.write, err: (String) -> Void = StandardError.write
  ) -> ExitCode? {
    switch settings.request {
    case .help:
      out(settings.table.help(program: program, summary: C.summary))
      return .done
    case .version:
      out("\(program) \(Version.current)\n")
      return .done
    case .run, .checkConfig: break
    }
    guard settings.mistakes.isEmpty else {
      for mistake in settings.mistakes { err(mistake + "\n") }
      let count = settings.mistakes.count == 1 ? "1 mistake" : "\(settings.mistakes.count) mistakes"
      err("\(count) in the configuration; `\(program) --help` lists all settings.\n")
      return .configuration
    }
    guard settings.request == .checkConfig else { return nil }
    for warning in settings.warnings { err(warning + "\n") }
    out(settings.table.effective(settings.values))
    return .done
  }

  /// Says why it ended, in one sentence, and with which code.
  private static func report(_ error: any Error) -> ExitCode {
    let failure = ServiceFailure(explaining: error)
    StandardError.write(failure.message + "\n")
    return failure.exitCode
  }
}

extension ServiceFailure {
  /// The exit code and the sentence for whatever a service ended with.
  init(explaining error: any Error) {
    switch error {
    case let failure as ServiceFailure: self = failure
    case let failure as Failure:
      let code: ExitCode =
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
