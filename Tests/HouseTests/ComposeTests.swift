import Foundation
import Testing
import Yams

/// Checks the compose file without a container engine.
///
/// The file must be valid, and the executables must accept every command and variable in it.
@Suite("docker-compose.yml")
struct ComposeTests {
  /// All services of the file as `docker-compose config` normalises it.
  static func services() throws -> [String: [String: Any]] {
    try #require(try file()["services"] as? [String: [String: Any]])
  }

  private static func file() throws -> [String: Any] {
    let output = try Command.run(
      "docker-compose", ["--project-directory", SourceTree.root.path, "config"],
      environment: [:], directory: SourceTree.root)
    try #require(
      output.status == 0, "docker-compose config failed (missing? run: make setup): \(output.text)")
    return try #require(try Yams.load(yaml: output.text) as? [String: Any])
  }

  @Test("every service of the cluster has a container, and health is checked")
  func complete() throws {
    let services = try Self.services()
    let roles = ["research", "reasoning", "creative", "code", "critic", "coordinator"]
    let wanted =
      ["gateway", "registry", "planner", "dispatcher", "monitor", "mongodb", "prometheus", "model"]
      + roles.map { "agent-\($0)" }
    #expect(Set(services.keys) == Set(wanted))
    for (name, service) in services where name != "prometheus" {
      #expect(service["healthcheck"] != nil, "\(name) has no health check")
    }
  }

  @Test("executables accept the commands and variables that the file gives them")
  func accepted() throws {
    let secretFile = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try "00112233445566778899aabbccddeeff\n".write(
      to: secretFile, atomically: true, encoding: .utf8)
    defer { try? FileManager.default.removeItem(at: secretFile) }
    var checked = 0
    for (name, service) in try Self.services() {
      guard let command = service["command"] as? [String], command[0].hasPrefix("tutti") else {
        continue
      }
      var variables = try #require(service["environment"] as? [String: Any])
      for secret in ["TUTTI_CLUSTER_KEY_FILE", "TUTTI_ADMIN_TOKEN_FILE"]
      where variables[secret] != nil {
        variables[secret] = secretFile.path
      }
      let output = try Command.run(
        Command.buildDirectory.appending(path: command[0]).path,
        command.dropFirst() + ["--check-config"],
        environment: variables.mapValues { "\($0)" }, directory: SourceTree.root)
      #expect(output.status == 0, "\(name): \(output.text)")
      checked += 1
    }
    #expect(checked == 11)
  }

  @Test("only the gateway publishes a port, and only on this machine")
  func ports() throws {
    for (name, service) in try Self.services() {
      let ports = service["ports"] as? [Any] ?? []
      #expect(ports.count == (name == "gateway" ? 1 : 0), "\(name): \(ports)")
      // Compose writes a port as a string or a mapping, depending on its version.
      for port in ports {
        let address = (port as? [String: Any])?["host_ip"] as? String ?? "\(port)"
        #expect(address == "127.0.0.1" || address.hasPrefix("127.0.0.1:"))
      }
    }
  }

  @Test("every container has limits, and a network that it needs")
  func confined() throws {
    let networks = [
      "gateway": ["bus", "clients", "models"], "registry": ["bus", "models"],
      "monitor": ["bus", "store"], "planner": ["bus"], "dispatcher": ["bus"],
      "mongodb": ["store"], "model": ["models"], "prometheus": ["bus"],
    ]
    for (name, service) in try Self.services() {
      for limit in ["mem_limit", "pids_limit", "cpus"] {
        #expect(service[limit] != nil, "\(name) has no \(limit)")
      }
      let own = (service["networks"] as? [String: Any])?.keys.sorted()
      #expect(own == networks[name] ?? ["bus", "models"], "\(name)")
    }
    let all = try #require(try Self.file()["networks"] as? [String: [String: Any]])
    for name in ["bus", "models", "store"] { #expect(all[name]?["internal"] as? Bool == true) }
  }

  @Test("no variable contains a secret")
  func secretsAreFiles() throws {
    for (name, service) in try Self.services() {
      for variable in (service["environment"] as? [String: Any] ?? [:]).keys
      where variable.contains("KEY") || variable.contains("TOKEN") {
        #expect(variable.hasSuffix("_FILE"), "\(name): \(variable)")
      }
    }
  }

  @Test("a variable that no executable knows is a mistake")
  func unknownVariable() throws {
    let output = try Command.run(
      Command.buildDirectory.appending(path: "tutti-planner").path, ["--check-config"],
      environment: ["TUTTI_PLANER_SPEED": "9"], directory: SourceTree.root)
    #expect(output.status == 64)
    #expect(output.text.contains("TUTTI_PLANER_SPEED"))
  }

  @Test("the image holds every executable, and its libraries are named")
  func dockerfile() throws {
    let dockerfile = try SourceTree.text("Dockerfile")
    for library in ["libnanomsg5", "libprotobuf-c1", "libmongoc-1.0-0", "libsqlite3-0"] {
      #expect(dockerfile.contains(library))
    }
    #expect(dockerfile.contains("USER tutti"))
  }
}
