import Foundation
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
    /// Searched for anywhere in the line, case-sensitively.
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

  /// The text of a comment line; `nil` if the line is no comment line.
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
    let manual = try FileManager.default.contentsOfDirectory(
      atPath: SourceTree.root.appending(path: "docs/manual").path)
    let names =
      [
        "README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/ARCHITECTURE.md", "docs/GLOSSARY.md",
        "docs/api.md", "docs/operations.md",
      ] + manual.filter { $0.hasSuffix(".md") }.map { "docs/manual/\($0)" }
    let files = try names.map { name in
      (path: name, lines: try SourceTree.text(name).split(separator: "\n").map(String.init))
    }
    let found = Self.lines(of: rule, in: files)
    #expect(
      found.count <= rule.documents, "\(rule.remedy):\n\(found.prefix(50).joined(separator: "\n"))")
  }
}

/// Counts words that make identifiers vague (docs/writing.md), as whole camel-case parts: `lastTold`
/// counts as `told`, `sink` does not count as `ink`.
///
/// The limits are a ratchet: a count may fall and never rise. Lower a limit when its count falls.
@Suite("Words of identifiers")
struct IdentifierWordsTests {
  struct Rule: Sendable {
    /// In lower case. Parts are separated by spaces.
    let words: [String]
    let remedy: String
    /// Highest allowed number of lines.
    let lines: Int
  }

  static let rules = [
    Rule(
      words: ["told", "tell", "tells", "telling"],
      remedy: "name what is recorded, reported or described", lines: 58),
    Rule(
      words: ["said", "say", "says", "saying", "spoken"],
      remedy: "name the text or the value", lines: 67),
    Rule(
      words: ["heard", "hear", "hears", "hearing"],
      remedy: "name what is received, or when", lines: 42),
    Rule(
      words: ["beside", "behind"], remedy: "name the order, or the concurrent work", lines: 33),
    Rule(
      words: ["nobody", "somebody", "whoever", "mourners"], remedy: "name the actor",
      lines: 4),
    Rule(words: ["ink", "inked"], remedy: "write nonSpace", lines: 5),
    Rule(words: ["go on", "goes on"], remedy: "write resume or continue", lines: 15),
    Rule(
      words: ["beat", "fallen", "spare", "awaited"], remedy: "name the effect or the use",
      lines: 12),
  ]

  /// The camel-case parts of a line's identifiers in lower case, each between spaces; `|` separates
  /// identifiers. Snake-case names of C fields stay whole.
  private static func parts(_ line: Substring) -> String {
    let bare = line.replacing(#/"(\\.|[^"\\])*"/#, with: "")
    let code = bare.firstRange(of: "//").map { bare[..<$0.lowerBound] } ?? bare[...]
    var parts = " "
    var last: Character = " "
    for character in code {
      if character.isLetter || character.isNumber || character == "_" {
        if character.isUppercase, last.isLowercase { parts += " " }
        parts += character.lowercased()
      } else {
        parts += " | "
      }
      last = character
    }
    return parts + " "
  }

  /// Lines of code with their places, without the texts of multi-line strings.
  private static func code() throws -> [(place: String, parts: String)] {
    var found: [(place: String, parts: String)] = []
    for file in try ["Shared", "Services"].flatMap({ try SourceTree.swiftFiles(under: $0) }) {
      var isInText = false
      for (number, line) in file.lines.enumerated() {
        let marks = line.ranges(of: "\"\"\"").count
        if marks == 1 { isInText.toggle() }
        if isInText || marks > 0 { continue }
        found.append(("\(file.path):\(number + 1)", parts(line)))
      }
    }
    return found
  }

  @Test("names stay plain")
  func identifiers() throws {
    let code = try Self.code()
    for rule in Self.rules {
      let found = code.filter { line in rule.words.contains { line.parts.contains(" \($0) ") } }
      #expect(
        found.count <= rule.lines,
        "\(rule.remedy):\n\(found.prefix(50).map(\.place).joined(separator: "\n"))")
    }
  }
}
