import Testing

/// Checks that the compiler names every place that a new case concerns.
///
/// A comparison or a default branch decides silently for a case that does not exist yet.
@Suite("Decisions by dialect")
struct ExhaustiveTests {
  @Test("code switches over all dialects and compares none")
  func dialects() throws {
    let names = try SourceTree.dialects().joined(separator: "|")
    // `dialect == .ollama`, and `case .ollama = dialect` of a condition.
    let comparison = try Regex(#"[!=~]= *\.(\#(names))\b|\bcase \.(\#(names))\b[^:]*="#)
    for folder in ["Shared", "Services"] {
      for file in try SourceTree.swiftFiles(under: folder) {
        for (number, line) in file.lines.enumerated()
        where line.firstMatch(of: comparison) != nil {
          Issue.record(
            """
            \(file.path):\(number + 1) compares dialects; ask for a property of the dialect, \
            or switch over all: \(line)
            """)
        }
      }
    }
  }
}
