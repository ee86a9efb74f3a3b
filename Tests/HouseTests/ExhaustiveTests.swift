import Testing

/// Checks that the compiler names every place that a new dialect or format concerns.
///
/// A comparison decides silently for a case that does not exist yet. A switch without `default` does
/// not compile until the new case has its own answer.
@Suite("Decisions by dialect and by format")
struct ExhaustiveTests {
  /// Finds comparisons such as `dialect == .ollama` and `if case .ollama = dialect`.
  private static func comparisons(with names: [String], under folders: [String]) throws -> [String]
  {
    let names = names.joined(separator: "|")
    let pattern = try Regex(#"[!=~]= *\.(\#(names))\b|\bcase \.(\#(names))\b[^:]*="#)
    var found: [String] = []
    for file in try folders.flatMap({ try SourceTree.swiftFiles(under: $0) }) {
      for (number, line) in file.lines.enumerated() where line.firstMatch(of: pattern) != nil {
        found.append("\(file.path):\(number + 1): \(line)")
      }
    }
    return found
  }

  @Test("code switches over all dialects and compares none")
  func dialects() throws {
    let found = try Self.comparisons(
      with: SourceTree.dialects(), under: ["Shared", "Services"])
    #expect(found.isEmpty, "ask for a property of the dialect:\n\(found.joined(separator: "\n"))")
  }

  @Test("code that joins answers switches over all formats and compares none")
  func formats() throws {
    let source = try SourceTree.text("Shared/Text/Joining/AnswerFormat.swift")
    let names = source.matches(of: /\n  case ([a-z]+)(?=\n)/).map { String($0.1) }
    try #require(names.count >= 3)
    let found = try Self.comparisons(with: names, under: ["Shared/Text", "Shared/Inference"])
    #expect(found.isEmpty, "ask for a rule of the format:\n\(found.joined(separator: "\n"))")
  }
}
