import Testing

/// Checks that `tutti` shows sentences and no texts of libraries.
@Suite("Errors of the command line")
struct TerminalWordsTests {
  @Test("no message of tutti has the description of an error or a text of the C library")
  func sentences() throws {
    let pattern = try Regex(#"\\\(error\)|localizedDescription|strerror"#)
    for file in try SourceTree.swiftFiles(under: "Services/CommandLine/Shell") {
      for (number, line) in file.lines.enumerated() where line.firstMatch(of: pattern) != nil {
        Issue.record("\(file.path):\(number + 1): use ErrorSentence: \(line)")
      }
    }
  }

  @Test("every request that a service's message recommends becomes a command at a terminal")
  func requests() throws {
    let table = try SourceTree.text("Services/CommandLine/Core/ServerWords.swift")
    for file in try SourceTree.swiftFiles(under: "Services")
      + SourceTree.swiftFiles(under: "Shared")
    where !file.path.hasPrefix("Services/CommandLine/") && !file.path.contains("/OpenAPI") {
      for (number, line) in file.lines.enumerated() {
        guard !line.drop(while: { $0 == " " }).hasPrefix("//") else { continue }
        for match in line.matches(of: /GET (\/[a-z0-9\/]+) lists/)
        where !table.contains("GET \(match.1)\"") {
          Issue.record("\(file.path):\(number + 1): add GET \(match.1) to ServerWords")
        }
      }
    }
  }
}
