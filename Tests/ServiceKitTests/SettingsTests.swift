import ClusterModel
import Testing

@testable import ServiceKit

/// A test configuration with settings of most kinds.
private struct SampleConfiguration: ServiceConfiguration {
  static let service = ServiceName.gateway
  static let summary = "answers in tests."
  static let settings = [
    Setting(
      "gateway.port", .port, default: "8080", help: "Where clients connect.", flag: "--port"),
    Setting(
      "gateway.max_body_bytes", .bytes(1_024...104_857_600), default: "10MiB",
      help: "Largest request."),
    Setting("gateway.workers", .integer(1...64), default: "4", help: "How many at once."),
    Setting("gateway.share", .real(0...1), default: "0.5", help: "Part of it."),
    Setting(
      "gateway.keep_alive", .duration(unit: .seconds, .milliseconds(100) ... .seconds(3_600)),
      default: "15s", help: "Time between comments."),
    Setting(
      "gateway.race", .choice(["dual", "hedged", "single"]), default: "single", help: "How."),
    Setting("gateway.open", .toggle, default: "false", help: "Without keys."),
    Setting("gateway.hosts", .list(of: .url, atMost: 3), help: "Backends."),
    Setting("gateway.upstream", .url, help: "One backend."),
    Setting("gateway.token", .text, help: "A secret.", secret: true),
  ]

  enum Race: String, CaseIterable { case dual, hedged, single }

  let port: Int
  let maxBody: Int
  let keepAlive: Duration
  let race: Race
  let open: Bool
  let hosts: [String]
  let token: String?
  let upstream: String?

  init(_ values: inout SettingValues) {
    port = values.port("gateway.port")
    maxBody = values.bytes("gateway.max_body_bytes")
    keepAlive = values.duration("gateway.keep_alive")
    race = values.choice("gateway.race", as: Race.self)
    open = values.toggle("gateway.open")
    hosts = values.list("gateway.hosts")
    token = values.optionalText("gateway.token")
    upstream = values.optionalText("gateway.upstream")
    if open, token != nil { values.reject("gateway.token", "makes no sense with --open") }
  }
}

private func settings(
  _ arguments: [String] = [], environment: [String: String] = [:], files: [String: String] = [:]
) -> ServiceSettings<SampleConfiguration> {
  ServiceSettings(
    arguments: arguments, environment: environment.merging(["HOME": "/home/me"]) { a, _ in a },
    hostName: "box",
    readFile: { (path) throws(ProcessFailure) -> String in
      guard let text = files[path] else { throw ProcessFailure(.usage, "does not exist") }
      return text
    })
}

@Suite("Settings")
struct SettingsTests {
  @Test("without any source, every setting has its default and there is no mistake")
  func defaults() {
    let all = settings()
    #expect(all.mistakes.isEmpty)
    #expect(all.warnings.isEmpty)
    #expect(all.request == .run)
    #expect(all.own.port == 8080)
    #expect(all.own.maxBody == 10 * 1_048_576)
    #expect(all.own.keepAlive == .seconds(15))
    #expect(all.own.race == .single)
    #expect(all.own.hosts.isEmpty)
    #expect(all.common.dataDirectory == "/home/me/.local/share/tutti")
    #expect(all.common.name == "gateway")
    #expect(all.common.http == nil)
    #expect(all.common.drain == .seconds(10))
  }

  @Test("a flag beats a variable, a variable beats the file, the file beats the default")
  func precedence() {
    let file = ["c.yaml": "gateway:\n  port: 3\n  workers: 3\n  race: hedged\n"]
    let all = settings(
      ["--config", "c.yaml", "--port", "1"],
      environment: ["TUTTI_GATEWAY_PORT": "2", "TUTTI_GATEWAY_WORKERS": "2"], files: file)
    #expect(all.mistakes.isEmpty)
    #expect(all.own.port == 1)
    #expect(all.values.source(of: "gateway.port") == .flag("--port"))
    #expect(all.values.source(of: "gateway.workers") == .variable("TUTTI_GATEWAY_WORKERS"))
    #expect(all.own.race == .hedged)
    #expect(
      all.values.source(of: "gateway.race")
        == .file(path: "c.yaml", line: 4, key: "gateway.race"))
    #expect(all.values.source(of: "gateway.open") == .defaultValue)
  }

  @Test("all mistakes of all sources are reported at once, each naming where, what and the range")
  func allAtOnce() {
    let all = settings(
      ["--port", "80a", "--config=c.yaml", "--wrokers", "3", "stray"],
      environment: ["TUTTI_GATEWAY_RACE": "hedge", "TUTTI_GATEWAY_KEEP_ALIVE": "-3s"],
      files: ["c.yaml": "gateway:\n  share: 2\n  portt: 1\nclutser:\n  bus: ipc\n"])
    let expected = [
      "--wrokers: there is no such flag; did you mean --workers?",
      "\"stray\" is not expected: values follow their flag",
      "--port: \"80a\" is not a port (0–65535)",
      "TUTTI_GATEWAY_KEEP_ALIVE: \"-3s\" is not a duration (100ms–1h; such as 250ms, 10s, 5m, "
        + "1h; a bare number counts s)",
      "TUTTI_GATEWAY_RACE: \"hedge\" is not one of dual, hedged, single; did you mean hedged?",
      "c.yaml:4: there is no section `clutser`; did you mean `cluster`?",
      "c.yaml:2: gateway.share: \"2\" is not a number (0.0–1.0)",
      "c.yaml:3: there is no setting gateway.portt; did you mean gateway.port?",
    ]
    #expect(all.mistakes == expected)
  }

  @Test(
    "values that are not of their kind are mistakes",
    arguments: [
      ("--port", "65536"), ("--port", "-1"), ("--port", ""), ("--port", "1.5"),
      ("--workers", "0"), ("--workers", "65"), ("--workers", "four"), ("--workers", "1e1"),
      ("--share", "nan"), ("--share", "inf"), ("--share", "1.01"), ("--share", "0,5"),
      ("--keep-alive", "99ms"), ("--keep-alive", "2h"), ("--keep-alive", "1d"),
      ("--keep-alive", "s"), ("--keep-alive", "1e400s"), ("--max-body-bytes", "1023"),
      ("--max-body-bytes", "10QB"), ("--max-body-bytes", "99999999999999999999"),
      ("--max-body-bytes", "9999999999GiB"), ("--race", "DUAL"), ("--race", ""),
      ("--hosts", "ftp://x"), ("--hosts", "http://a,http://b,http://c,http://d"),
      ("--upstream", "http://"), ("--upstream", "localhost:1"), ("--upstream", "http://h:99999"),
      ("--upstream", "http://a b"), ("--upstream", "http://:80"), ("--open", "=maybe"),
      ("--http", "127.0.0.1:70000"), ("--http", "host"), ("--http", "a:b:1"), ("--http", "[]:1"),
      ("--name", "a/b"), ("--name", ""), ("--log-level", "loud"), ("--drain-seconds", "-1"),
      ("--data-dir", "a\u{0}b"),
    ])
  func wrongValues(_ flag: String, _ value: String) {
    let arguments = value.hasPrefix("=") ? [flag + value] : ["\(flag)=\(value)"]
    let all = settings(arguments)
    #expect(all.mistakes.count == 1)
    #expect(all.mistakes.first?.hasPrefix("\(flag): ") == true)
  }

  @Test(
    "values of their kind are taken",
    arguments: [
      ("--port", "0"), ("--port", "65535"), ("--share", "1"), ("--keep-alive", "250ms"),
      ("--keep-alive", "0.5"), ("--keep-alive", "1h"), ("--keep-alive", "5 m"),
      ("--max-body-bytes", "64KiB"), ("--max-body-bytes", "1MB"), ("--max-body-bytes", "2048 B"),
      ("--hosts", "http://a,https://b:8443/x"), ("--upstream", "http://[::1]:11434"),
      ("--http", ":9090"), ("--http", "9090"), ("--http", "[::1]:9090"), ("--http", "0.0.0.0:0"),
      ("--drain-seconds", "0"), ("--name", "gateway-2.eu_1"), ("--log-level", "trace"),
    ])
  func rightValues(_ flag: String, _ value: String) {
    #expect(settings([flag, value, "--insecure-listen"]).mistakes.isEmpty)
  }

  @Test("a bad value is a mistake also where a stronger source hides it")
  func hiddenMistake() {
    let all = settings(["--port", "1"], environment: ["TUTTI_GATEWAY_PORT": "x"])
    #expect(all.mistakes == ["TUTTI_GATEWAY_PORT: \"x\" is not a port (0–65535)"])
    #expect(all.own.port == 1)
  }

  @Test("lists come from a repeated flag, from commas and from a YAML list")
  func lists() {
    let repeated = settings(["--hosts", "http://a", "--hosts=http://b, http://c"])
    #expect(repeated.own.hosts == ["http://a", "http://b", "http://c"])
    let variable = settings(environment: ["TUTTI_GATEWAY_HOSTS": "http://a,http://b"])
    #expect(variable.own.hosts == ["http://a", "http://b"])
    let file = settings(
      ["--config", "c"], files: ["c": "gateway:\n  hosts:\n    - http://a\n    - http://b\n"])
    #expect(file.own.hosts == ["http://a", "http://b"])
    #expect(file.mistakes.isEmpty)
  }

  @Test("a list where one value is wanted is a mistake")
  func listForScalar() {
    let all = settings(["--config", "c"], files: ["c": "gateway:\n  workers: [1, 2]\n"])
    #expect(
      all.mistakes == ["c:2: gateway.workers: \"1,2\" is a list; one value is wanted"])
  }

  @Test("toggles stand alone, take a value after an equals sign, and can be turned off")
  func toggles() {
    #expect(settings(["--open"]).own.open)
    #expect(!settings(["--open=false"]).own.open)
    #expect(!settings(["--no-open"], environment: ["TUTTI_GATEWAY_OPEN": "yes"]).own.open)
    #expect(settings(["--open", "--no-open"]).mistakes == ["--no-open: contradicts --open"])
  }

  @Test("a flag given twice or without its value is a mistake")
  func flagSlips() {
    #expect(settings(["--port", "1", "--port", "2"]).mistakes == ["--port: is given twice"])
    #expect(settings(["--port"]).mistakes == ["--port: a value must follow"])
    #expect(settings(["--port", "--open"]).mistakes == ["--port: a value must follow"])
    #expect(settings(["--config"]).mistakes == ["--config: a value must follow"])
  }

  @Test("an empty variable is an unset one")
  func emptyVariable() {
    let all = settings(environment: ["TUTTI_GATEWAY_PORT": "", "TUTTI_CONFIG": ""])
    #expect(all.mistakes.isEmpty)
    #expect(all.own.port == 8080)
  }

  @Test("unknown variables are warnings, and mistakes under --check-config")
  func unknownVariables() {
    let environment = ["TUTTI_GATEWAY_PROT": "1", "TUTTI_DATADIR": "/x"]
    let sentences = [
      "TUTTI_DATADIR: there is no such variable; did you mean TUTTI_DATA_DIR?",
      "TUTTI_GATEWAY_PROT: there is no such variable; did you mean TUTTI_GATEWAY_PORT?",
    ]
    #expect(settings(environment: environment).warnings == sentences)
    #expect(settings(environment: environment).mistakes.isEmpty)
    #expect(settings(["--check-config"], environment: environment).mistakes == sentences)
  }

  @Test("variables of other services and of Kubernetes are not mistakes")
  func foreignVariables() {
    let all = settings(
      ["--check-config"],
      environment: [
        "TUTTI_REGISTRY_ANYTHING": "1", "TUTTI_MONGODB_URI": "mongodb://x", "TUTTI_URL": "u",
        "TUTTI_ADMIN_TOKEN": "t", "TUTTI_LIFELINE_FD": "3", "PATH": "/bin",
        "TUTTI_CREDENTIAL_OPENAI": "key", "TUTTI_CRASHES": "1 2 reason",
        "TUTTI_GATEWAY_PORT": "tcp://10.0.0.1:8080", "TUTTI_GATEWAY_SERVICE_HOST": "10.0.0.1",
        "TUTTI_GATEWAY_SERVICE_PORT": "8080", "TUTTI_GATEWAY_PORT_8080_TCP": "tcp://10.0.0.1:1",
        "TUTTI_GATEWAY_PORT_8080_TCP_ADDR": "10.0.0.1", "TUTTI_GATEWAY_PORT_8080_TCP_PROTO": "tcp",
        "TUTTI_GATEWAY_SERVICE_PORT_HTTP": "8080",
      ])
    #expect(all.mistakes.isEmpty)
    #expect(all.own.port == 8080)
  }

  @Test("secrets are read from files, lose the newline, and print as ***")
  func secrets() {
    let all = settings(
      ["--check-config"], environment: ["TUTTI_GATEWAY_TOKEN_FILE": "/run/t"],
      files: ["/run/t": "hush\n"])
    #expect(all.mistakes.isEmpty)
    #expect(all.own.token == "hush")
    let printed = all.table.effective(all.values)
    #expect(printed.contains("gateway.token: ***"))
    #expect(printed.contains("# TUTTI_GATEWAY_TOKEN_FILE"))
    #expect(!printed.contains("hush"))
    let byFlag = settings(["--token-file", "/run/t"], files: ["/run/t": "hush"])
    #expect(byFlag.own.token == "hush")
    let byFile = settings(
      ["--config", "c"], files: ["c": "gateway:\n  token_file: /run/t\n", "/run/t": "hush"])
    #expect(byFile.own.token == "hush")
  }

  @Test("a secret given twice, or in a file that is not there, is a mistake")
  func secretSlips() {
    let twice = settings(
      environment: ["TUTTI_GATEWAY_TOKEN": "a", "TUTTI_GATEWAY_TOKEN_FILE": "/run/t"])
    #expect(
      twice.mistakes
        == ["TUTTI_GATEWAY_TOKEN_FILE: contradicts TUTTI_GATEWAY_TOKEN; set one of them"])
    let missing = settings(environment: ["TUTTI_GATEWAY_TOKEN_FILE": "/run/t"])
    #expect(missing.mistakes == ["TUTTI_GATEWAY_TOKEN_FILE: /run/t does not exist"])
  }

  @Test("a mistake in a secret does not show it")
  func wrongSecret() {
    let all = settings(environment: ["TUTTI_GATEWAY_TOKEN": "hu\u{1}sh"])
    #expect(all.mistakes == ["TUTTI_GATEWAY_TOKEN: \"***\" is not valid"])
  }

  @Test("a secret given as a flag works and draws a warning")
  func secretFlag() {
    let all = settings(["--token", "hush"])
    #expect(all.own.token == "hush")
    #expect(all.warnings.count == 1)
    #expect(all.warnings.first?.contains("TUTTI_GATEWAY_TOKEN_FILE") == true)
    #expect(all.warnings.first?.contains("hush") == false)
  }

  @Test("a service's own check is reported with the rest, under the source of the value")
  func ownCheck() {
    let all = settings(["--open", "--token-file", "t", "--port", "x"], files: ["t": "hush"])
    #expect(
      all.mistakes == [
        "--port: \"x\" is not a port (0–65535)", "--token-file: makes no sense with --open",
      ])
  }

  @Test(
    "the error for an invalid configuration file has the position",
    arguments: [
      ("gateway:\n  port: 1\n  port: 2\n", "c:2: has `port` twice"),
      ("- a\n- b\n", "c:1: does not begin with sections such as `gateway:`"),
      ("gateway: 3\n", "c:1: `gateway` is not a section with members below it"),
      (
        "gateway:\n  port:\n    a: 1\n",
        "c:2: `gateway.port` has members of its own; a value is wanted"
      ),
      (
        "gateway:\n  hosts:\n    - a: 1\n",
        "c:2: `gateway.hosts` is a list of things that are not values"
      ),
    ])
  func wrongFile(_ text: String, _ mistake: String) {
    #expect(settings(["--config", "c"], files: ["c": text]).mistakes == [mistake])
  }

  @Test("a file of aliases of aliases is refused before it is read")
  func aliases() {
    var text = "a0: &a0 [x]\n"
    for depth in 1...16 {
      let aliases = Array(repeating: "*a\(depth - 1)", count: 8).joined(separator: ",")
      text += "a\(depth): &a\(depth) [\(aliases)]\n"
    }
    let all = settings(["--config", "c.yaml"], files: ["c.yaml": text + "? *a16\n: 1\n"])
    #expect(all.mistakes.first?.contains("24 aliases") == true)
    let few = settings(
      ["--config", "c.yaml"], files: ["c.yaml": "gateway:\n  port: &p 3\n  workers: *p\n"])
    #expect(few.mistakes.isEmpty)
  }

  @Test("a file that is not YAML is a mistake with its line")
  func notYAML() {
    let all = settings(["--config", "c"], files: ["c": "gateway:\n  port: [1\n"])
    #expect(all.mistakes.count == 1)
    #expect(all.mistakes.first?.hasPrefix("c:") == true)
    #expect(all.mistakes.first?.contains("is not YAML") == true)
  }

  @Test("a file that is not there, empty, or only comments")
  func absentAndEmpty() {
    #expect(settings(["--config", "c"]).mistakes == ["--config: c does not exist"])
    #expect(
      settings(environment: ["TUTTI_CONFIG": "c"]).mistakes == ["TUTTI_CONFIG: c does not exist"])
    #expect(settings(["--config", "c"], files: ["c": ""]).mistakes.isEmpty)
    #expect(settings(["--config", "c"], files: ["c": "# nothing\n"]).mistakes.isEmpty)
    #expect(settings(["--config", "c"], files: ["c": "gateway:\n  port:\n"]).own.port == 8080)
  }

  @Test("sections of other services are not looked into")
  func foreignSections() {
    let all = settings(["--config", "c"], files: ["c": "registry:\n  anything: [1]\n"])
    #expect(all.mistakes.isEmpty)
  }

  @Test("every service accepts the section of every setting that admins can change")
  func runtimeSections() {
    for setting in RuntimeSetting.allCases {
      let section = setting.id.prefix { $0 != "." }
      let all = settings(["--config", "c"], files: ["c": "\(section):\n"])
      #expect(all.mistakes.isEmpty, "\(section)")
    }
  }

  @Test("--bus tcp needs its addresses and a key, and reports all that is missing at once")
  func tcpNeeds() {
    let all = settings(["--bus", "tcp"])
    #expect(all.mistakes.count == 3)
    #expect(all.mistakes.allSatisfy { $0.hasSuffix("is needed with --bus tcp") })
    let short = settings(
      ["--bus=tcp", "--bus-registry=r:1", "--bus-listen=0.0.0.0:2"],
      environment: ["TUTTI_CLUSTER_KEY": "short"])
    #expect(short.mistakes.count == 1)
    #expect(short.mistakes.first?.contains("at least 16") == true)
    #expect(short.mistakes.first?.contains("short") == false)
  }

  @Test("the registry's key is 64 hexadecimal digits or a mistake")
  func registryKey() {
    func choice(_ key: String) -> (CommonConfiguration.BusChoice, [String]) {
      let all = settings(
        ["--bus=tcp", "--bus-registry=r:1", "--bus-listen=0.0.0.0:2", "--bus-registry-key=\(key)"],
        environment: ["TUTTI_CLUSTER_KEY": "0123456789abcdef"])
      return (all.common.bus, all.mistakes)
    }
    if case .tcp(_, _, _, _, let key) = choice(String(repeating: "0f", count: 32)).0 {
      #expect(key == [UInt8](repeating: 15, count: 32))
    } else {
      Issue.record("the bus is not tcp")
    }
    for wrong in ["0f", String(repeating: "0", count: 63), String(repeating: "xy", count: 32)] {
      #expect(choice(wrong).1.first?.contains("64 hexadecimal digits") == true, "\(wrong)")
    }
  }

  @Test("over tcp a process that listens everywhere advertises its machine and carries its name")
  func tcpAdvertises() throws {
    let all = settings(
      ["--bus=tcp", "--bus-registry=r:1", "--bus-listen=0.0.0.0:2"],
      environment: ["TUTTI_CLUSTER_KEY": "0123456789abcdef"])
    #expect(all.mistakes.isEmpty)
    #expect(all.common.name == "gateway-box")
    guard case .tcp(let listen, let advertise, let registry, let key, nil) = all.common.bus else {
      Issue.record("the bus is not tcp")
      return
    }
    #expect(listen == HostAndPort(host: "0.0.0.0", port: 2))
    #expect(advertise == HostAndPort(host: "box", port: 2))
    #expect(registry == HostAndPort(host: "r", port: 1))
    #expect(key == Array("0123456789abcdef".utf8))
  }

  @Test("the data directory follows XDG_DATA_HOME, then the home, then the system's place")
  func dataDirectory() {
    let by = CommonConfiguration.defaultDataDirectory
    #expect(by(["XDG_DATA_HOME": "/d", "HOME": "/h"]) == "/d/tutti")
    #expect(by(["XDG_DATA_HOME": "relative", "HOME": "/h"]) == "/h/.local/share/tutti")
    #expect(by(["HOME": "/"]) == "/.local/share/tutti")
    #expect(by([:]) == "/var/lib/tutti")
  }

  @Test("help shows every setting with its flag, variable, key, default and range")
  func help() {
    let table = settings().table
    let help = table.help(program: "tutti-gateway", summary: SampleConfiguration.summary)
    for setting in table.settings {
      #expect(help.contains("  \(setting.flag)"))
      #expect(help.contains(setting.variable))
      #expect(help.contains(setting.key))
    }
    #expect(help.contains("Default: 8080."))
    #expect(help.contains("--check-config"))
    #expect(help.split(separator: "\n").allSatisfy { $0.count <= 100 })
  }

  @Test("every port of a process accepts this machine's name and the listed names and pages")
  func accessOfPorts() {
    let all = settings(
      ["--allowed-hosts", "chat.example"],
      environment: ["TUTTI_ALLOWED_ORIGINS": "https://app.example"])
    #expect(all.mistakes.isEmpty)
    let access = all.common.access(at: HostAndPort(port: 8080))
    for host in ["127.0.0.1:8080", "box:8080", "chat.example"] {
      #expect(access.refusal(host: host, origin: nil) == nil, "\(host)")
    }
    #expect(access.refusal(host: "localhost", origin: "https://app.example") == nil)
    #expect(access.refusal(host: "evil.example", origin: nil) != nil)
    #expect(access.refusal(host: "localhost", origin: "https://evil.example") != nil)
    #expect(
      settings(["--allowed-hosts", "https://a", "--allowed-origins", "a"]).mistakes.count == 2)
  }

  @Test("--version names the commit if it is known")
  func commit() {
    #expect(Version.text("1.2.3", commit: "abc1234") == "1.2.3 (abc1234)")
    #expect(Version.text("1.2.3", commit: "") == "1.2.3")
  }

  @Test("--help, --version and --check-config answer on stdout with 0, mistakes on stderr with 64")
  func answers() {
    func answer(_ arguments: [String]) -> (ClusterModel.ExitStatus?, out: String, err: String) {
      var out = ""
      var err = ""
      let code = ServiceMain.answer(
        settings(arguments), program: "tutti-gateway", out: { out += $0 }, err: { err += $0 })
      return (code, out, err)
    }
    #expect(answer(["--help", "--port", "x"]).0 == .done)
    #expect(answer(["--version"]).out == "tutti-gateway \(Version.withCommit)\n")
    let fine = answer(["--check-config"])
    #expect(fine.0 == .done)
    #expect(fine.out.contains("gateway.port: 8080"))
    #expect(fine.out.contains("# default"))
    let wrong = answer(["--check-config", "--port", "x", "--workers", "y"])
    #expect(wrong.0 == .usage)
    #expect(wrong.out.isEmpty)
    #expect(wrong.err.split(separator: "\n").count == 3)
    #expect(wrong.err.contains("2 mistakes in the configuration"))
    #expect(answer(["--port", "x"]).0 == .usage)
    #expect(answer([]).0 == nil)
  }
}
