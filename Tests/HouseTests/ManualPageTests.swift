import Foundation
import Testing

/// Compares the generated pages of the manual with the code.
@Suite("Generated pages of the manual")
struct ManualPageTests {
  enum Page: String, CaseIterable {
    case settings, metrics, failures
    case logEvents = "log-events"

    var markdown: String {
      switch self {
      case .settings: SettingsPage.markdown
      case .metrics: MetricsPage.markdown
      case .failures: FailuresPage.markdown
      case .logEvents: LogEventsPage.markdown
      }
    }
  }

  @Test("the page is what the code generates", arguments: Page.allCases)
  func page(page: Page) throws {
    let file = SourceTree.root.appending(path: "docs/manual/\(page.rawValue).md")
    let text = page.markdown
    if ProcessInfo.processInfo.environment["TUTTI_WRITE_MANUAL"] != nil {
      try text.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(try String(contentsOf: file, encoding: .utf8) == text, "run: make manual")
    // The list of settings is searched, not read, so it may be longer.
    #expect(page == .settings || text.count(where: \.isNewline) <= 150, "split the page")
  }

  @Test("tests prove each row of the page of failures")
  func proofs() throws {
    for row in FailuresPage.sections.flatMap(\.rows) {
      #expect(!row.proofs.isEmpty, "\(row.failure)")
      for proof in row.proofs {
        let source = try SourceTree.text("Tests/\(proof.suite).swift")
        #expect(source.contains("\"\(proof.test)\""), "\(proof.suite) has no test \(proof.test)")
      }
    }
  }

  @Test("the page of failures has each test that kills a process")
  func complete() throws {
    let source = try SourceTree.text("Tests/ClusterTests/KillTests.swift")
    let tests = source.matches(of: /@Test\(\s*"([^"]+)"/).map { String($0.1) }
    #expect(tests.count > 5, "the pattern of this test finds no tests any more")
    let proofs = Set(FailuresPage.sections.flatMap(\.rows).flatMap(\.proofs).map(\.test))
    #expect(Set(tests).subtracting(proofs) == [])
  }
}
