public import ClusterModel
import Limits

/// The processes of a cluster on one machine, with their ports and arguments.
public struct ClusterLayout: Hashable, Sendable {
  public var dataDirectory: String
  /// Directory of the services' executables.
  var binDirectory: String
  /// Path of the configuration file that every service gets. `nil` means no file.
  var configFile: String?
  public var gatewayPort: Int
  public var registryPort: Int
  public var monitorPort: Int
  public var modelHosts: [ModelHost]
  /// Whether the services serve HTTPS.
  public var usesTLS = false
  /// Maximum time that requests in flight may take after a service was asked to stop.
  var drain: Duration

  /// Time from the end of a service's drain to its kill. A service that runs longer is stuck.
  static let margin = Duration.seconds(5)

  /// A model server that is a child of `tutti up`.
  public struct ModelHost: Hashable, Sendable {
    public var id: HostID
    var port: Int
    public var threads: Int
    /// Path of a Python interpreter that has the package xllamacpp.
    var interpreter: String
    /// Path of embedded_host.py.
    var launcher: String
    /// The file that it serves. `nil` means the embedded model.
    public var model: ModelFile?

    public init(
      id: HostID, port: Int, threads: Int, interpreter: String, launcher: String,
      model: ModelFile? = nil
    ) {
      self.id = id
      self.port = port
      self.threads = threads
      self.interpreter = interpreter
      self.launcher = launcher
      self.model = model
    }

    /// `tutti up` sends the first request itself, so that it can report its time.
    var arguments: [String] {
      [launcher, "--port", "\(port)", "--threads", "\(threads)", "--no-warm-up"]
        + (model.map { ["--model", $0.path, "--alias", $0.name] } ?? [])
    }

    public var url: String { "http://127.0.0.1:\(port)" }
  }

  public init(
    dataDirectory: String, binDirectory: String, configFile: String? = nil, gatewayPort: Int,
    registryPort: Int? = nil, monitorPort: Int? = nil, modelHosts: [ModelHost] = [],
    drain: Duration = .seconds(10)
  ) {
    self.dataDirectory = dataDirectory
    self.binDirectory = binDirectory
    self.configFile = configFile
    self.gatewayPort = gatewayPort
    self.registryPort = registryPort ?? gatewayPort + 1
    self.monitorPort = monitorPort ?? gatewayPort + 2
    self.modelHosts = modelHosts
    self.drain = drain
  }

  public var gatewayURL: String { url(gatewayPort) }
  public var registryURL: String { url(registryPort) }
  public var monitorURL: String { url(monitorPort) }

  private func url(_ port: Int) -> String { "\(usesTLS ? "https" : "http")://127.0.0.1:\(port)" }

  /// Number of threads of each model server. More threads than cores make all of them wait for each
  /// other: two servers with two threads each on two cores fall to one token per second.
  public static func threadsPerHost(cores: Int, hosts: Int) -> Int {
    max(1, cores / max(1, hosts))
  }

  /// Time limit for all children to become ready.
  /// A model server loads a small file within seconds, but a busy machine with a cold disk takes
  /// far longer. A slow disk reads 20 MB of a large file in a second.
  public var startLimit: Duration {
    let bytes = modelHosts.reduce(0) { $0.addingCapped(Int(clamping: $1.model?.bytes ?? 0)) }
    return .seconds(180 + bytes / 20_000_000)
  }

  /// Paths of the services' executables, without that of `tutti` itself.
  public var executables: [String] {
    ServiceName.all.map { "\(binDirectory)/tutti-\($0)" }
  }

  /// All children with their stages.
  /// Model servers end last, after the processes that use them. The registry is the last service to
  /// end, because the other services deregister there. The monitor ends before the registry and
  /// after all other services, because they report to it.
  public var children: [Child] {
    modelHosts.map { host in
      Child(
        name: host.id.name, executable: host.interpreter,
        arguments: host.arguments, inherits: Child.fewVariables, stage: 0, grace: .seconds(5))
    }
      + ServiceName.all.map { service in
        let placement = placement(of: service)
        var arguments =
          ["--data-dir", dataDirectory, "--drain-seconds", "\(drain.wholeMilliseconds)ms"]
          + placement.arguments
        if let configFile { arguments += ["--config", configFile] }
        return Child(
          name: service.description, executable: "\(binDirectory)/tutti-\(service)",
          arguments: arguments, stage: placement.stage,
          blocksLaterStages: placement.blocksLaterStages,
          grace: drain + Self.margin, niceness: placement.niceness)
      }
  }

  /// Nice value of the monitor and of the processes that work on plans. One plan makes many
  /// requests, and lists of traces or logs are large. With equal priority, a few plans or lists
  /// would take the processor from the gateway and delay every client. At 10, the gateway gets nine
  /// times the share of one such process.
  static let backgroundNiceness = 10
  /// Nice value of the registry. Its lists are large, too, but requests sometimes wait for it to
  /// reserve money. At 5, the gateway gets three times its share.
  static let registryNiceness = 5

  private func placement(
    of service: ServiceName
  ) -> (stage: Int, blocksLaterStages: Bool, niceness: Int, arguments: [String]) {
    switch service {
    case .registry: (1, true, Self.registryNiceness, ["--port", "\(registryPort)"])
    case .monitor: (2, true, Self.backgroundNiceness, ["--port", "\(monitorPort)"])
    case .planner, .dispatcher, .agent, .other: (3, false, Self.backgroundNiceness, [])
    case .gateway: (4, false, 0, ["--port", "\(gatewayPort)"])
    }
  }
}
