public import ClusterModel
import Logging

/// The configuration that every service has.
public struct CommonConfiguration: Sendable {
  public var service: ServiceName
  /// This process's name on the bus; each replica needs its own.
  public var name: String
  public var dataDirectory: String
  /// Address of health and metrics; `nil` means that they are not served.
  var http: HostAndPort?
  var logLevel: Logger.Level
  /// Whether HTTP ports log each request.
  var logsRequests: Bool
  /// Certificate and key of every HTTP port; `nil` means plain HTTP.
  var tls: TLSFiles?
  var bus: BusChoice
  /// Host name of this machine.
  private var machine: String
  /// Whether `/metrics` needs no key even if other requests need one.
  var opensMetrics: Bool
  /// Whether requests need a key even if no key was ever created.
  var requiresKeys: Bool
  private var allowedHosts: [String]
  private var allowedOrigins: [String]
  /// Maximum duration of a drain. After it, requests in flight are cancelled and the process ends.
  public var drain: Duration
  private var credentialsPrefix: String
  private var credentialsFolder: String?

  /// The host credential references that this process may resolve.
  public var credentials: CredentialRules {
    CredentialRules(
      prefix: credentialsPrefix, folder: credentialsFolder ?? dataDirectory + "/credentials")
  }

  /// The host names and web origins that a port of this process accepts.
  func access(at address: HostAndPort) -> HTTPAccess {
    HTTPAccess(
      listen: address, machine: machine, hosts: allowedHosts, origins: allowedOrigins)
  }

  /// How the processes find each other. The value is only configuration: `ServiceProcess` creates
  /// the directory and the sockets.
  enum BusChoice: Sendable {
    /// One machine; the socket directory is derived from the data directory.
    case ipc
    /// Many machines.
    /// - `registryKey`: the registry's public key. `nil` means that the first key seen is trusted.
    case tcp(
      listen: HostAndPort, advertise: HostAndPort, registry: HostAndPort, key: [UInt8],
      registryKey: [UInt8]? = nil)
  }

  /// Valid sections of a cluster's file: `cluster`, one for each service, and sections of several
  /// services or of the command line.
  public static let sections: [String] =
    ["cluster"] + ServiceName.all.map { section(of: $0) } + [
      "access", "agents", "inference", "models", "node", "up",
    ]

  /// The section of a service in the file: `gateway`, `agent_research` …
  static func section(of service: ServiceName) -> String {
    service.description.replacing("-", with: "_")
  }

  enum BusKind: String, CaseIterable { case ipc, tcp }

  /// Minimum bytes of the cluster key. 16 random bytes are 128 bits, which cannot be guessed.
  static let minimumClusterKeyBytes = 16

  /// - Parameter environment: determines the default data directory (`defaultDataDirectory`).
  public static func settings(
    for service: ServiceName, environment: [String: String]
  ) -> [Setting] {
    let own = section(of: service)
    let process = "This process"
    let cluster = "The cluster (the same for all of its processes)"
    let bus = "Bus between several machines"
    return [
      Setting(
        "\(own).name", .name, default: service.description,
        help:
          "Name on the bus. Two replicas of a service need two names. With --bus tcp the default, "
          + "except the registry's, is the service and the machine's name.",
        group: process, variable: "TUTTI_NAME"),
      Setting(
        "\(own).http", .address,
        help:
          "Address that serves /health, /ready and /metrics. Default: they are not served. Once "
          + "keys exist, planner, dispatcher and agents refuse /metrics, because they have no "
          + "copies of the keys; the monitor serves their metrics.",
        group: process, variable: "TUTTI_HTTP"),
      Setting(
        "cluster.data_dir", .path, default: defaultDataDirectory(environment),
        help: "Directory for data that the cluster keeps across restarts. Created if absent. By "
          + "default in $XDG_DATA_HOME, if that is set; without a home directory, /var/lib/tutti.",
        group: cluster),
      Setting(
        "cluster.log_level", .choice(Logger.Level.allCases.map(\.rawValue)), default: "info",
        help: "Lowest level of log lines that are written: trace, debug, info, notice, warning, "
          + "error or critical.", group: cluster),
      Setting(
        "cluster.access_log", .toggle,
        help: "Logs each HTTP request at the level info: method, path (without the query), status, "
          + "bytes, ms, trace_id and key; cut if the client did not read the answer to its end. "
          + "Health, metrics, and requests that are refused before a route is found are left out.",
        group: cluster),
      Setting(
        "cluster.drain_seconds", .duration(unit: .seconds, .zero ... .seconds(3_600)),
        default: "10s",
        help: "Maximum time that a stopping process gives to requests in flight.",
        group: cluster),
      Setting(
        "cluster.credentials_prefix", .name, default: CredentialRules.standardPrefix,
        help: "A host's credential env:NAME is followed only if NAME begins with this.",
        group: cluster),
      Setting(
        "cluster.credentials_dir", .path,
        help: "A host's credential file:/path is followed only below this folder. Default: "
          + "credentials in the data directory.", group: cluster),
      Setting(
        "cluster.bus", .choice(BusKind.allCases.map(\.rawValue)), default: "ipc",
        help: "ipc joins the processes of one machine that share a data directory; tcp joins "
          + "machines and needs the settings below.", group: cluster),
      Setting(
        "cluster.bus_registry", .address,
        help: "Where the registry's bus is reached, for --bus tcp.", group: bus),
      Setting(
        "\(own).bus_listen", .address,
        help: "Where this process's bus listens, for --bus tcp.", group: bus,
        variable: "TUTTI_BUS_LISTEN"),
      Setting(
        "\(own).bus_advertise", .address,
        help: "Address at which other processes reach --bus-listen. Default: this machine's name "
          + "and that port.",
        group: bus, variable: "TUTTI_BUS_ADVERTISE"),
      Setting(
        "cluster.cluster_key", .text,
        help: "Secret of the cluster, at least \(minimumClusterKeyBytes) bytes: seals every "
          + "message of --bus tcp. `openssl rand -hex 32` makes a good one.",
        group: bus, secret: true),
      Setting(
        "cluster.tls_certificate", .path,
        help:
          "PEM file with the certificate and its chain: HTTP ports then serve HTTPS (TLS 1.2 or "
          + "later). A changed file is used for new connections without a restart.",
        group: cluster),
      Setting(
        "cluster.tls_key", .path, help: "PEM file with the private key of the certificate.",
        group: cluster),
      Setting(
        ListenSafety.setting, .toggle,
        help: "Allows ports that other machines can reach without TLS, or without keys. Any client "
          + "that reaches such a port can use it.", group: cluster),
      Setting(
        "cluster.require_keys", .toggle,
        help: "Refuses requests without a key even while no key exists. Otherwise everyone who "
          + "reaches a port may use it until the first key is created. Once a key exists, keys "
          + "stay required.", group: cluster),
      Setting(
        "cluster.open_metrics", .toggle,
        help:
          "Serves /metrics without a key, also once keys exist. By default a key with the scope "
          + "metrics is needed then.", group: cluster),
      Setting(
        "cluster.allowed_hosts", .list(of: .text, atMost: 64),
        help: "Names under which clients reach HTTP ports, besides localhost and this machine's "
          + "address: chat.example, .example for all names below it, or * for every name, but for "
          + "no page of another site. Other names are refused while no key is required, so that no "
          + "web page can take over a port on this machine.",
        group: cluster),
      Setting(
        "cluster.allowed_origins", .list(of: .text, atMost: 64),
        help: "Web pages that may use HTTP ports from a browser (CORS): https://chat.example:3000, "
          + "null for pages without an origin, or * for all. Default: none.", group: cluster),
      Setting(
        "cluster.bus_registry_key", .text,
        help: "Public key of the registry, 64 hexadecimal digits, which it logs when it starts. "
          + "Without it a process trusts the first registry that answers, until the process ends.",
        group: bus),
    ]
  }

  init(_ values: inout SettingValues, service: ServiceName, hostName: String) {
    let own = Self.section(of: service)
    self.service = service
    name = values.text("\(own).name")
    http = values.optionalAddress("\(own).http")
    dataDirectory = values.text("cluster.data_dir")
    logLevel = Logger.Level(rawValue: values.text("cluster.log_level")) ?? .info
    logsRequests = values.toggle("cluster.access_log")
    drain = values.duration("cluster.drain_seconds")
    tls = Self.tls(&values)
    if let http { values.checkListening("\(own).http", http, asksForKeys: false) }
    credentialsPrefix = values.text("cluster.credentials_prefix")
    credentialsFolder = values.optionalText("cluster.credentials_dir")
    if let folder = credentialsFolder, !folder.hasPrefix("/") || folder.hasSuffix("/") {
      values.reject("cluster.credentials_dir", "is not an absolute path without a / at its end")
    }
    machine = hostName
    opensMetrics = values.toggle("cluster.open_metrics")
    requiresKeys = values.toggle("cluster.require_keys")
    allowedHosts = values.list("cluster.allowed_hosts")
    allowedOrigins = values.list("cluster.allowed_origins")
    for problem in allowedHosts.compactMap(HTTPAccess.problem(ofHost:)) {
      values.reject("cluster.allowed_hosts", problem)
    }
    for problem in allowedOrigins.compactMap(HTTPAccess.problem(ofOrigin:)) {
      values.reject("cluster.allowed_origins", problem)
    }
    bus = .ipc
    guard values.choice("cluster.bus", as: BusKind.self) == .tcp else { return }

    let forTCP = "is needed with --bus tcp"
    for key in ["cluster.bus_registry", "\(own).bus_listen", "cluster.cluster_key"]
    where values.source(of: key) == .unset { values.reject(key, forTCP) }
    let key = Array((values.optionalText("cluster.cluster_key") ?? "").utf8)
    if !key.isEmpty, key.count < Self.minimumClusterKeyBytes {
      values.reject(
        "cluster.cluster_key",
        "has \(key.count) bytes; at least \(Self.minimumClusterKeyBytes) are needed "
          + "(`openssl rand -hex 32` makes a good one)")
    }
    let pinned = values.optionalText("cluster.bus_registry_key")
    let registryKey = pinned.flatMap { [UInt8](hexadecimal: $0) }
    if pinned != nil, registryKey?.count != 32 {
      values.reject("cluster.bus_registry_key", "is not 64 hexadecimal digits")
    }
    let listen = values.optionalAddress("\(own).bus_listen") ?? HostAndPort(port: 0)
    // A process may listen on all addresses of its machine; only a single one can be advertised.
    let everywhere = ["0.0.0.0", "::", "*"].contains(listen.host)
    let advertise =
      values.optionalAddress("\(own).bus_advertise")
      ?? HostAndPort(host: everywhere ? hostName : listen.host, port: listen.port)
    if values.source(of: "\(own).name") == .defaultValue, service != .registry {
      name = "\(service)-\(hostName)".nameOnly
    }
    bus = .tcp(
      listen: listen, advertise: advertise,
      registry: values.optionalAddress("cluster.bus_registry") ?? HostAndPort(port: 0), key: key,
      registryKey: registryKey)
  }

  private static func tls(_ values: inout SettingValues) -> TLSFiles? {
    let (certificate, key) = ("cluster.tls_certificate", "cluster.tls_key")
    switch (values.optionalText(certificate), values.optionalText(key)) {
    case (nil, nil): return nil
    case (.some, nil): values.reject(certificate, "needs the private key, too: --tls-key")
    case (nil, .some): values.reject(key, "needs the certificate, too: --tls-certificate")
    case (let chain?, let secret?):
      let files = TLSFiles(certificate: chain, key: secret)
      do throws(ProcessFailure) {
        _ = try files.load()
        return files
      } catch {
        values.reject(certificate, error.message)
      }
    }
    return nil
  }

  /// `$XDG_DATA_HOME/tutti`, otherwise `~/.local/share/tutti`, or `/var/lib/tutti` without a home.
  public static func defaultDataDirectory(_ environment: [String: String]) -> String {
    if let base = environment["XDG_DATA_HOME"], base.hasPrefix("/") { return base + "/tutti" }
    // Without a home, as in a bare container, use the system's directory for service state.
    guard let home = environment["HOME"], home.hasPrefix("/") else { return "/var/lib/tutti" }
    return (home == "/" ? "" : home) + "/.local/share/tutti"
  }
}

extension [UInt8] {
  /// - Returns: `nil` if the text is not pairs of hexadecimal digits.
  init?(hexadecimal text: String) {
    let digits = text.utf8.map { Character(UnicodeScalar($0)).hexDigitValue }
    guard digits.count.isMultiple(of: 2) else { return nil }
    self = []
    for index in stride(from: 0, to: digits.count, by: 2) {
      guard let high = digits[index], let low = digits[index + 1] else { return nil }
      append(UInt8(high << 4 | low))
    }
  }
}

extension String {
  /// Replaces characters that are not allowed in a bus name with dashes; at most 64 characters.
  fileprivate var nameOnly: String {
    String(
      map { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) ? $0 : "-" }
        .prefix(64))
  }
}
