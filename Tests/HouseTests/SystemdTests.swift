import Foundation
import Testing

/// Checks the unit files of `deploy/systemd`.
@Suite("systemd units")
struct SystemdTests {
  private static let folder = "deploy/systemd"
  private static let services = [
    "gateway", "registry", "planner", "dispatcher", "monitor", "agent@",
  ].map { "tutti-\($0).service" }

  /// The values of an option, one for each line that sets it.
  private func values(_ option: String, in file: String) throws -> [Substring] {
    try SourceTree.text("\(Self.folder)/\(file)").split(separator: "\n")
      .filter { $0.hasPrefix("\(option)=") }.map { $0.dropFirst(option.count + 1) }
  }

  @Test("each service has a unit that starts its executable", arguments: services)
  func executables(unit: String) throws {
    let name = unit.dropLast(".service".count).replacing("@", with: "-%i")
    #expect(try values("ExecStart", in: unit) == ["/usr/local/bin/\(name)"])
    #expect(try values("PartOf", in: unit) == ["tutti-cluster.target"])
  }

  @Test("the target starts every executable of a cluster")
  func target() throws {
    let manifest = try SourceTree.text("Package.swift")
    let products = manifest.matches(of: /executable\(name: "(tutti-[a-z]+)"/).map { "\($0.1)" }
      .filter { $0 != "tutti-simulate" }
    let roles = try #require(manifest.firstMatch(of: /let roles = \[([^\]]*)\]/)).1
      .matches(of: /"(\w+)"/).map { "tutti-agent@\($0.1.lowercased())" }
    let wanted = (products + roles).map { "\($0).service" }
    let started = try values("Wants", in: "tutti-cluster.target")
      .flatMap { $0.split(separator: " ") }.map(String.init)
    #expect(started.count == 11)
    #expect(Set(started) == Set(wanted))
  }

  @Test("a unit can write only its own directories and gains no rights")
  func hardening() throws {
    for (option, value) in [
      ("NoNewPrivileges", "yes"), ("ProtectSystem", "strict"), ("ProtectHome", "yes"),
      ("CapabilityBoundingSet", ""), ("StateDirectory", "tutti"), ("User", "tutti"),
      ("RuntimeDirectoryPreserve", "yes"), ("RestartPreventExitStatus", "64"),
    ] {
      #expect(try values(option, in: "hardening.conf") == [value[...]], "\(option)")
    }
  }

  @Test(
    "executables accept the example of the configuration",
    arguments: [["tutti", "up"], ["tutti-registry"], ["tutti-gateway"], ["tutti-agent-code"]])
  func example(command: [String]) throws {
    let output = try Command.run(
      Command.buildDirectory.appending(path: command[0]).path,
      command.dropFirst() + ["--check-config"],
      environment: [
        "TUTTI_CONFIG": SourceTree.root.appending(path: "\(Self.folder)/tutti.yaml").path
      ], directory: SourceTree.root)
    #expect(output.status == 0, "\(output.text)")
  }

  private static let analyzer = "/usr/bin/systemd-analyze"

  @Test(
    "systemd accepts the units",
    .enabled(if: FileManager.default.isExecutableFile(atPath: analyzer)))
  func accepted() throws {
    let manager = FileManager.default
    let staged = manager.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? manager.removeItem(at: staged) }
    for folder in ["tutti.service.d", "tutti-.service.d"] {
      try manager.createDirectory(
        at: staged.appending(path: folder), withIntermediateDirectories: true)
      try SourceTree.text("\(Self.folder)/hardening.conf").write(
        to: staged.appending(path: "\(folder)/10-hardening.conf"), atomically: true,
        encoding: .utf8)
    }
    // The executables need not be installed for this test.
    let binaries = Command.buildDirectory.path
    for unit in Self.services + ["tutti.service", "tutti-cluster.target"] {
      // A template is checked as its instance `code`.
      let name = unit.replacing("@", with: "@code")
      try SourceTree.text("\(Self.folder)/\(unit)").replacing("/usr/local/bin", with: binaries)
        .write(to: staged.appending(path: name), atomically: true, encoding: .utf8)
    }
    let units = try manager.contentsOfDirectory(atPath: staged.path).filter {
      $0.hasSuffix(".service") || $0.hasSuffix(".target")
    }
    let output = try Command.run(
      Self.analyzer, ["verify", "--man=no"] + units.map { staged.appending(path: $0).path },
      environment: [:], directory: staged)
    #expect(units.count == 8)
    // Units of the machine itself may have faults, so only lines that name Tutti count.
    let faults = output.text.split(separator: "\n").filter { $0.contains("tutti") }
    #expect(faults.isEmpty, "\(output.text)")
  }
}
