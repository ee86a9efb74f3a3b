import Foundation
import Testing

/// Compares documents and scripts with the programs and types that they describe.
@Suite("The reference")
struct ReferenceTests {
  private static let services = [
    "gateway", "registry", "planner", "dispatcher", "monitor", "agent-research", "agent-reasoning",
    "agent-creative", "agent-code", "agent-critic", "agent-coordinator",
  ]

  private static func text(_ path: String) throws -> String {
    try String(contentsOf: SourceTree.root.appending(path: path), encoding: .utf8)
  }

  /// The settings of a service, as `--check-config` lists them. A setting that the manual lists
  /// once for all services is named `SERVICE.member`, as there.
  private static func settings(of service: String, documented: Set<String>) throws -> Set<String> {
    let output = try Command.run(
      Command.buildDirectory.appending(path: "tutti-\(service)").path, ["--check-config"],
      environment: ["TUTTI_CLUSTER_KEY": "of-a-test-0123456789"],
      directory: FileManager.default.temporaryDirectory)
    try #require(output.status == 0, "\(output.text)")
    let section = service.replacing("-", with: "_")
    let keys = output.text.split(separator: "\n").compactMap { line in
      line.prefixMatch(of: #/([a-z_]+)\.([a-z_]+): /#).map { match in
        let shared = "SERVICE.\(match.2)"
        return match.1 == section && documented.contains(shared)
          ? shared : "\(match.1).\(match.2)"
      }
    }
    try #require(keys.count > 10)
    return Set(keys)
  }

  /// The settings of `tutti up`, read from the source, because `--check-config` of `tutti up` also
  /// lists the settings of all services.
  private static func settingsOfUp() throws -> Set<String> {
    let source = try text("Services/CommandLine/Shell/CommandLineConfiguration.swift")
    let keys = Set(source.matches(of: /"(up\.[a-z_]+)"/).map { String($0.1) })
    try #require(keys.count > 3)
    return keys
  }

  /// The keys at the beginning of the rows of docs/manual/settings.md.
  private static func documentedSettings() throws -> Set<String> {
    let keys = try text("docs/manual/settings.md").split(separator: "\n").compactMap { line in
      line.prefixMatch(of: #/\| `([a-zA-Z_]+\.[a-z_]+)`/#).map { String($0.1) }
    }
    try #require(keys.count > 50)
    return Set(keys)
  }

  @Test("the manual has every setting of every service", arguments: services)
  func settings(service: String) throws {
    let documented = try Self.documentedSettings()
    let missing = try Self.settings(of: service, documented: documented).subtracting(documented)
    #expect(missing.isEmpty, "\(missing.sorted())")
  }

  @Test("the manual has every setting of tutti up, and none that does not exist")
  func noOtherSettings() throws {
    let documented = try Self.documentedSettings()
    let known = try Self.services.reduce(into: Self.settingsOfUp()) { known, service in
      known.formUnion(try Self.settings(of: service, documented: documented))
    }
    let unknown = documented.subtracting(known)
    #expect(unknown.isEmpty, "\(unknown.sorted())")
    let missing = try Self.settingsOfUp().subtracting(documented)
    #expect(missing.isEmpty, "\(missing.sorted())")
  }

  @Test("docs/api.md has every pattern, with the name that a client sends")
  func patterns() throws {
    let page = try Self.text("docs/api.md")
    let source = try Self.text("Shared/ClusterModel/Plans/PatternName.swift")
    let names = source.matches(of: /= "(tutti\/[a-z]+)"/).map { String($0.1) }
    #expect(names.count >= 5)
    for name in names { #expect(page.contains("| `\(name)` |"), "\(name)") }
  }

  @Test("docs/api.md has every dialect of a host")
  func dialects() throws {
    let names = try SourceTree.dialects()
    let row = try #require(
      try Self.text("docs/api.md").split(separator: "\n").first { $0.hasPrefix("| `dialect` |") })
    for name in names { #expect(row.contains("`\(name)`"), "\(name)") }
  }

  @Test("the fuzzing script runs every entry")
  func fuzzEntries() throws {
    let script = try Self.text("Tools/fuzz.sh")
    let list = try #require(script.firstMatch(of: /entries=\(([^)]*)\)/)).1
    let source = try Self.text("Shared/ClusterTesting/FuzzEntries/FuzzEntry.swift")
    let cases = source.matches(of: /\n  case ([a-z]+)(?=\n)/).map { String($0.1) }
    #expect(cases.count > 10)
    #expect(
      Set(list.split(whereSeparator: \.isWhitespace).map(String.init)) == Set(cases + ["settings"]))
  }

  @Test("the answers of every dialect are fuzzed")
  func fuzzedDialects() throws {
    let source = try Self.text("Shared/ClusterTesting/FuzzEntries/FuzzEntry.swift")
    let fuzzed = source.matches(of: /ReaderEntries\.upstream\(bytes, \.([a-z]+)\)/).map {
      String($0.1)
    }
    // The entry `chunk` reads answers of the dialect `openai`.
    #expect(Set(fuzzed + ["openai"]) == Set(try SourceTree.dialects()))
  }
}
