import Foundation
import Testing

/// Rules for recurring review findings.
@Suite("Tidy")
struct TidyTests {
  static let sources = ["Shared", "Services", "Tests", "Benchmarks"]

  @Test("every task that is started has an owner", arguments: ["Shared", "Services"])
  func looseTasks(folder: String) throws {
    for file in try SourceTree.swiftFiles(under: folder) {
      for (number, line) in file.lines.enumerated()
      where line.firstMatch(of: /^[^\/]*\bTask(\.detached)?\s*\{/) != nil {
        Issue.record("\(file.path):\(number + 1) starts a loose task")
      }
    }
  }

  @Test("tests wait for events, never for a time")
  func sleeps() throws {
    for file in try SourceTree.swiftFiles(under: "Tests")
    where !file.path.hasPrefix("Tests/HouseTests/") {
      for (number, line) in file.lines.enumerated()
      where line.firstMatch(of: /\bTask\.sleep|\busleep\(|\bThread\.sleep/) != nil {
        Issue.record("\(file.path):\(number + 1) sleeps")
      }
    }
  }

  @Test("the README's make targets exist")
  func makeTargets() throws {
    let makefile = try SourceTree.text("Makefile")
    let readme = try SourceTree.text("README.md")
    let named = readme.matches(of: /\bmake ([a-z]+)\b/).map { String($0.1) }
    #expect(named.contains("demo") && named.contains("test"))
    for target in Set(named) {
      #expect(makefile.contains("\n\(target):"), "README names make \(target)")
    }
  }

  @Test("links between documents lead somewhere")
  func links() throws {
    let documents =
      ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
      + (FileManager.default.enumerator(atPath: SourceTree.root.appending(path: "docs").path)?
        .compactMap { $0 as? String }.filter { $0.hasSuffix(".md") }.map { "docs/\($0)" } ?? [])
    for document in documents {
      let folder = SourceTree.root.appending(path: document).deletingLastPathComponent()
      for match in try SourceTree.text(document).matches(of: /\]\(([^)#:\s]+)(#[^)]*)?\)/) {
        let target = folder.appending(path: String(match.1)).path
        #expect(
          FileManager.default.fileExists(atPath: target), "\(document) links to \(match.1)")
      }
    }
  }

  @Test("files that documents name in backticks exist")
  func namedFiles() throws {
    for document in ["README.md", "docs/ARCHITECTURE.md", "CONTRIBUTING.md"] {
      let text = try SourceTree.text(document)
      for match in text.matches(of: /`((Shared|Services|Proto|Tests|Tools|Benchmarks)\/[^`*<{…]+)`/)
      {
        let path = SourceTree.root.appending(path: String(match.1)).path
        #expect(FileManager.default.fileExists(atPath: path), "\(document) names \(match.1)")
      }
    }
  }
}
