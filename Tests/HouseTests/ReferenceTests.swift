import Foundation
import Testing

/// Compares docs/api.md and scripts with the programs and types that they describe.
@Suite("The reference")
struct ReferenceTests {
  private static let services = [
    "gateway", "registry", "planner", "dispatcher", "monitor", "agent-research", "agent-reasoning",
    "agent-creative", "agent-code", "agent-critic", "agent-coordinator",
  ]

  private static func text(_ path: String) throws -> String {
    try String(contentsOf: SourceTree.root.appending(path: path), encoding: .utf8)
  }

  @Test("docs/api.md has every setting of every service", arguments: services)
  func settings(service: String) throws {
    let page = try Self.text("docs/api.md")
    let folder = FileManager.default.temporaryDirectory
    let output = try Command.run(
      Command.buildDirectory.appending(path: "tutti-\(service)").path, ["--check-config"],
      environment: ["TUTTI_CLUSTER_KEY": "of-a-test-0123456789"], directory: folder)
    try #require(output.status == 0, "\(output.text)")
    let section = service.replacing("-", with: "_")
    let keys = output.text.split(separator: "\n").compactMap { line in
      line.prefixMatch(of: #/([a-z_]+)\.([a-z_]+): /#).map { (String($0.1), String($0.2)) }
    }
    #expect(keys.count > 10)
    for (place, member) in keys {
      // The page describes settings that every process has under one name.
      let names = ["`\(place).\(member)`", place == section ? "`SERVICE.\(member)`" : nil]
      #expect(names.contains { $0.map(page.contains) ?? false }, "\(place).\(member)")
    }
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
    // The entry `chunk` reads OpenAI's.
    #expect(Set(fuzzed + ["openai"]) == Set(try SourceTree.dialects()))
  }
}
