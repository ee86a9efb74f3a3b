import Testing

/// Compares the catalogue of log events with the code that logs them.
@Suite("Log events")
struct LogEventTests {
  private static let catalogue = "Shared/Telemetry/LogEvents.swift"

  /// The raw values by the names of the cases.
  private static func listed() throws -> [String: String] {
    let text = try SourceTree.text(catalogue)
    let cases = text.matches(of: /\n  case (\w+) = "(\w+)"/).map {
      (String($0.1), String($0.2))
    }
    return Dictionary(uniqueKeysWithValues: cases)
  }

  private static func sources() throws -> [(path: String, text: String)] {
    try ["Services", "Shared"].flatMap { try SourceTree.swiftFiles(under: $0) }
      .filter { $0.path != catalogue && !$0.path.hasPrefix("Shared/ClusterTesting/") }
      .map { (path: $0.path, text: $0.lines.joined(separator: "\n")) }
  }

  @Test("each warning and each error is an event of the catalogue")
  func isInCatalogue() throws {
    let ids = Set(try Self.listed().values)
    #expect(ids.count > 30, "the pattern of this test finds no events any more")
    for (path, text) in try Self.sources() {
      for match in text.matches(of: /[lL]ogger\.(warning|error|critical)\(/) {
        // Modules without Telemetry name the event in the metadata.
        let call = text[match.range.upperBound...].prefix(400)
        let id = call.firstMatch(of: /"event": "(\w+)"/)?.1
        #expect(id.map { ids.contains(String($0)) } == true, "\(path): use logger.report(…)")
      }
    }
  }

  @Test("the code logs each event of the catalogue")
  func isLogged() throws {
    let text = try Self.sources().map(\.text).joined(separator: "\n")
    let cases = Set(text.matches(of: /ogger\.report\(\s*\.(\w+)/).map { String($0.1) })
    let ids = Set(text.matches(of: /"event": "(\w+)"/).map { String($0.1) })
    for (name, id) in try Self.listed().sorted(by: { $0.key < $1.key })
    where !cases.contains(name) && !ids.contains(id) {
      Issue.record("no code logs \(name); log or remove it")
    }
  }
}
