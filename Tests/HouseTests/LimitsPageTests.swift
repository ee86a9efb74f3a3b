import Foundation
import Limits
import Testing

@Suite struct LimitsPageTests {
  @Test("docs/limits.md is what the table of limits generates")
  func page() throws {
    let file = SourceTree.root.appending(path: "docs/limits.md")
    if ProcessInfo.processInfo.environment["TUTTI_WRITE_LIMITS"] != nil {
      try Limits.markdown.write(to: file, atomically: true, encoding: .utf8)
    }
    #expect(try String(contentsOf: file, encoding: .utf8) == Limits.markdown, "run: make limits")
  }

  @Test("no two limits share a name, and each gives its reason")
  func names() {
    let all = Limits.sections.flatMap(\.limits)
    #expect(Set(all.map(\.name)).count == all.count)
    #expect(all.allSatisfy { $0.value > 0 && $0.reason.hasSuffix(".") })
  }
}
