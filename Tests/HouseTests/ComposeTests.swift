import Foundation
import Testing
import Yams

/// No container engine runs here. What can be proven without one: the file is valid, and every
/// command and variable in it is one that the executable accepts.
@Suite("docker-compose.yml")
struct ComposeTests {
  static let secrets = [
    "TUTTI_CLUSTER_KEY": "00112233445566778899aabbccddeeff",
    "TUTTI_ADMIN_TOKEN": "0123456789abcdef0123456789abcdef",
  ]

  /// The services of the normalised file that run one of our executables.
  static func services() throws -> [String: [String: Any]] {
    let output = try Command.run(
      "docker-compose", ["--project-directory", SourceTree.root.path, "config"],
      environment: secrets, directory: SourceTree.root)
    try #require(
      output.status == 0, "docker-compose config failed (missing? run: make setup): \(output.text)")
    let file = try #require(try Yams.load(yaml: output.text) as? [String: Any])
    return try #require(file["services"] as? [String: [String: Any]])
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
    var checked = 0
    for (name, service) in try Self.services() {
      guard let command = service["command"] as? [String], command[0].hasPrefix("tutti") else {
        continue
      }
      let variables = try #require(service["environment"] as? [String: Any])
      let output = try Command.run(
        Command.buildDirectory.appending(path: command[0]).path,
        command.dropFirst() + ["--check-config"],
        environment: variables.mapValues { "\($0)" }, directory: SourceTree.root)
      #expect(output.status == 0, "\(name): \(output.text)")
      checked += 1
    }
    #expect(checked == 11)
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
