import AllInOneService
import Foundation
import Testing

/// Checks the executable that has the programs of all services.
@Suite("The executable of a distribution")
struct AllInOneTests {
  private static let names = Program.allCases.map(\.rawValue)
  private static var executable: URL { Command.buildDirectory.appending(path: "all-of-tutti") }
  /// Products that no distribution has.
  private static let tools: Set = ["all-of-tutti", "tutti-faulty-host", "tutti-simulate"]

  private static func roles() throws -> [String] {
    let manifest = try SourceTree.text("Package.swift")
    return try #require(manifest.firstMatch(of: /let roles = \[([^\]]*)\]/)).1
      .matches(of: /"(\w+)"/).map { $0.1.lowercased() }
  }

  @Test("it has the programs of all products of a cluster, and no others")
  func products() throws {
    let manifest = try SourceTree.text("Package.swift")
    let services = manifest.matches(of: /\.executable\(name: "([a-z-]+)"/).map { "\($0.1)" }
    let agents = try Self.roles().map { "tutti-agent-\($0)" }
    #expect(agents.count == 6)
    #expect(Set(Self.names) == Set(services).subtracting(Self.tools).union(agents))
  }

  @Test("the units start exactly its programs")
  func units() throws {
    let folder = "deploy/systemd"
    let files = try FileManager.default.contentsOfDirectory(
      atPath: SourceTree.root.appending(path: folder).path)
    var started: Set<String> = []
    for file in files where file.hasSuffix(".service") {
      let unit = try SourceTree.text("\(folder)/\(file)")
      let path = try #require(unit.firstMatch(of: /ExecStart=(\S+)/), "\(file)").1
      let name = String(try #require(path.split(separator: "/").last))
      let instances = name.contains("%i") ? try Self.roles() : [""]
      for instance in instances { started.insert(name.replacing("%i", with: instance)) }
    }
    #expect(started == Set(Self.names))
  }

  @Test("a link runs the program that it names", arguments: names)
  func links(name: String) throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let link = folder.appending(path: name)
    try FileManager.default.createSymbolicLink(at: link, withDestinationURL: Self.executable)
    let version = try Command.run(link.path, ["--version"], environment: [:], directory: folder)
    #expect(version.status == 0 && version.text.hasPrefix("\(name) "), "\(version.text)")
    let alone = try Command.run(
      Command.buildDirectory.appending(path: name).path, ["--help"], environment: [:],
      directory: folder)
    let help = try Command.run(link.path, ["--help"], environment: [:], directory: folder)
    #expect(help.status == 0 && help.text == alone.text, "\(help.text)")
  }

  @Test("under its own name it prints the names of its programs, and runs none")
  func ownName() throws {
    let listed = try Command.run(
      Self.executable.path, ["--names"], environment: [:], directory: SourceTree.root)
    #expect(listed.status == 0)
    #expect(listed.text.split(separator: "\n").map(String.init) == Self.names)
    let refused = try Command.run(
      Self.executable.path, ["up"], environment: [:], directory: SourceTree.root)
    #expect(refused.status == 64)
    #expect(refused.text.contains("tutti-gateway"), "\(refused.text)")
  }
}
