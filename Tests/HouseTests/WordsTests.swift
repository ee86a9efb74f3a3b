import Testing

/// Counts words that make comments and documents hard to read (docs/writing.md).
///
/// The limits are a ratchet: a count may fall and never rise. Lower a limit when its count falls.
@Suite("Words of comments and documents")
struct WordsTests {
  struct Rule: Sendable, CustomTestStringConvertible {
    let testDescription: String
    /// Matched as whole words, in lower case.
    var words: [String] = []
    /// First words of a sentence that is no question.
    var openings: [String] = []
    /// Matched as they are.
    var parts: [String] = []
    let remedy: String
    /// Highest allowed number of lines.
    var comments = 0
    var documents = 0

    func matches(_ line: String) -> Bool {
      if parts.contains(where: line.contains) { return true }
      if !openings.isEmpty, !line.contains("?"),
        openings.contains(where: { line.hasPrefix("\($0) ") || line.contains(". \($0) ") })
      {
        return true
      }
      guard !words.isEmpty else { return false }
      let spaced = " " + line.lowercased().map { $0.isLetter ? $0 : " " } + " "
      return words.contains { spaced.contains(" \($0) ") }
    }
  }

  static let rules = [
    Rule(
      testDescription: "actors have names",
      words: ["nobody", "somebody", "whoever", "anybody"],
      remedy: "name the client, host, agent or caller"),
    Rule(
      testDescription: "data is sent, reported, recorded or returned",
      words: ["told", "tells", "tell", "heard", "hears", "hear"],
      remedy: "say who sends, reports or records the data", comments: 3, documents: 0),
    Rule(
      testDescription: "messages and hosts do not speak", words: ["said", "says", "say"],
      remedy: "write reports, returns, states or shows", comments: 8, documents: 5),
    Rule(
      testDescription: "one event comes after another", words: ["behind", "beside"],
      remedy: "write after, next to or at the same time", comments: 1, documents: 0),
    Rule(
      testDescription: "sentences begin with a noun",
      openings: ["What", "Whoever", "Those", "That it"],
      remedy: "name the noun", comments: 2, documents: 0),
    Rule(
      testDescription: "no sentence begins with a fronted genitive",
      openings: ["Of a", "Of an", "Of the", "Of all", "Of each", "Of one"],
      remedy: "begin with the subject"),
    Rule(
      testDescription: "nil has a sentence", parts: [" nil: ", "`nil`: "],
      remedy: "write: `nil` means …"),
    Rule(
      testDescription: "work is resumed or continues",
      words: ["goes on", "go on", "went on", "for ever"],
      remedy: "write resumes, continues or without end"),
  ]

  /// The text of a comment line; `nil` if the line has no comment of its own.
  private static func comment(_ line: Substring) -> String? {
    let line = line.drop { $0 == " " }
    guard line.hasPrefix("//") else { return nil }
    return String(line.drop { $0 == "/" || $0 == " " })
  }

  private static func lines(of rule: Rule, in files: [(path: String, lines: [String])]) -> [String]
  {
    files.flatMap { file in
      file.lines.filter(rule.matches).map { "\(file.path): \($0)" }
    }
  }

  @Test("comments stay plain", arguments: rules)
  func comments(rule: Rule) throws {
    let files = try ["Shared", "Services", "Tests", "Benchmarks/Sources", "Fuzz/Sources"]
      .flatMap { try SourceTree.swiftFiles(under: $0) }
      .filter { $0.path != "Tests/HouseTests/WordsTests.swift" }
      .map { (path: $0.path, lines: $0.lines.compactMap(Self.comment)) }
    let found = Self.lines(of: rule, in: files)
    #expect(
      found.count <= rule.comments, "\(rule.remedy):\n\(found.prefix(50).joined(separator: "\n"))")
  }

  @Test("documents stay plain", arguments: rules)
  func documents(rule: Rule) throws {
    let names = [
      "README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/ARCHITECTURE.md", "docs/GLOSSARY.md",
      "docs/api.md",
    ]
    let files = try names.map { name in
      (path: name, lines: try SourceTree.text(name).split(separator: "\n").map(String.init))
    }
    let found = Self.lines(of: rule, in: files)
    #expect(
      found.count <= rule.documents, "\(rule.remedy):\n\(found.prefix(50).joined(separator: "\n"))")
  }
}
