public import ClusterModel

/// Which processes a cluster on one machine has, where they listen, and how each is started.
public struct ClusterLayout: Hashable, Sendable {
  public var dataDirectory: String
  /// Where the executables of the services are.
  public var binDirectory: String
  /// Passed on to every service; nil: none.
  public var configFile: String?
  public var gatewayPort: Int
  public var registryPort: Int
  public var monitorPort: Int
  public var modelHosts: [ModelHost]
  /// The services serve HTTPS.
  public var usesTLS = false
  /// How long requests in flight may go on once a service was told to stop.
  public var drain: Duration

  /// A service ends by itself when its drain is over; one that has not done so this much later is
  /// stuck and gets killed.
  static let margin = Duration.seconds(5)

  /// A model server that is a child of `tutti up`.
  public struct ModelHost: Hashable, Sendable {
    public var id: HostID
    public var port: Int
    public var threads: Int
    /// The Python that has xllamacpp.
    public var interpreter: String
    /// Path of embedded_host.py.
    public var launcher: String

    public init(id: HostID, port: Int, threads: Int, interpreter: String, launcher: String) {
      self.id = id
      self.port = port
      self.threads = threads
      self.interpreter = interpreter
      self.launcher = launcher
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

  /// Threads of each model server: more threads than cores make all of them wait for each other
  /// (two servers with two threads each on two cores fall to one token a second).
  public static func threadsPerHost(cores: Int, hosts: Int) -> Int {
    max(1, cores / max(1, hosts))
  }

  /// The executables that the services need, beside that of `tutti` itself.
  public var executables: [String] {
    ServiceName.all.map { "\(binDirectory)/tutti-\($0)" }
  }

  /// Model servers are asked to go last, after everybody who uses them; the registry last of the
  /// services, since the others say goodbye to it, and the monitor after those who report to it.
  public var children: [Child] {
    modelHosts.map { host in
      Child(
        name: host.id.name, executable: host.interpreter,
        arguments: [
          host.launcher, "--port", "\(host.port)", "--threads", "\(host.threads)",
        ],
        inherits: Child.fewVariables, stage: 0, grace: .seconds(5))
    }
      + ServiceName.all.map { service in
        let placement = placement(of: service)
        var arguments =
          ["--data-dir", dataDirectory, "--drain-seconds", "\(drain.wholeMilliseconds)ms"]
          + placement.arguments
        if let configFile { arguments += ["--config", configFile] }
        return Child(
          name: service.description, executable: "\(binDirectory)/tutti-\(service)",
          arguments: arguments, stage: placement.stage, isAwaited: placement.isAwaited,
          grace: drain + Self.margin)
      }
  }

  private func placement(
    of service: ServiceName
  ) -> (stage: Int, isAwaited: Bool, arguments: [String]) {
    switch service {
    case .registry: (1, true, ["--port", "\(registryPort)"])
    case .monitor: (2, true, ["--port", "\(monitorPort)"])
    case .planner, .dispatcher, .agent, .other: (3, false, [])
    case .gateway: (4, false, ["--port", "\(gatewayPort)"])
    }
  }
}
