import Foundation
import Testing

/// Rules for the pages of docs/manual. `Tests/ClusterTests/manual_commands.py` runs their commands.
@Suite("The manual")
struct ManualPagesTests {
  /// Pages that a generator writes. They may be longer than a person reads at once.
  private static let generated: Set = [
    "settings.md", "metrics.md", "log-events.md", "failures.md",
  ]
  /// Needs of blocks whose commands are parsed and not run.
  private static let needs: Set = ["root", "docker", "backend", "source"]
  private static let folder = "docs/manual"

  private static func pages() throws -> [String] {
    let names = try FileManager.default.contentsOfDirectory(
      atPath: SourceTree.root.appending(path: folder).path)
    return names.filter { $0.hasSuffix(".md") }.sorted()
  }

  private static func lines(of page: String) throws -> [Substring] {
    try SourceTree.text("\(folder)/\(page)").split(
      separator: "\n", omittingEmptySubsequences: false)
  }

  @Test("a page has at most 150 lines of at most 110 characters, tables aside")
  func length() throws {
    for page in try Self.pages() where !Self.generated.contains(page) {
      let lines = try Self.lines(of: page)
      // The last line end is followed by an empty part.
      #expect(lines.count - 1 <= 150, "\(page)")
      #expect(lines.first?.hasPrefix("# ") == true, "\(page)")
      var isCode = false
      for (number, line) in lines.enumerated() {
        if line.hasPrefix("```") { isCode.toggle() }
        let isFree = isCode || line.hasPrefix("|")
        #expect(isFree || line.unicodeScalars.count <= 110, "\(page):\(number + 1) is too long")
      }
      #expect(!isCode, "\(page) has a block without an end")
    }
  }

  @Test("the index links to every page, and each page can be reached from docs/operations.md")
  func index() throws {
    let index = try SourceTree.text("\(Self.folder)/README.md")
    for page in try Self.pages() where page != "README.md" {
      #expect(index.contains("](\(page))"), "\(page)")
    }
    #expect(try SourceTree.text("docs/operations.md").contains("](manual/README.md)"))
    #expect(try SourceTree.text("README.md").contains("](docs/manual/README.md)"))
  }

  @Test("commands are in blocks that a test runs, or that state what they need")
  func blocks() throws {
    for page in try Self.pages() where !Self.generated.contains(page) {
      let lines = try Self.lines(of: page)
      var isCode = false
      for (number, line) in lines.enumerated() {
        if let match = line.wholeMatch(of: #/<!-- needs: (\S+) -->/#) {
          #expect(Self.needs.contains(String(match.1)), "\(page):\(number + 1)")
        }
        // A block with spaces before it, or in another language of shells, would not be run.
        let isFence = line.drop { $0 == " " }.hasPrefix("```")
        if isFence, !isCode {
          #expect(
            line == "```" || ["console", "yaml"].contains(line.dropFirst(3)),
            "\(page):\(number + 1) begins a block that no test reads")
        }
        if isFence { isCode.toggle() }
        if isCode, line.hasPrefix("$ ") {
          Issue.record("\(page):\(number + 1) has a prompt; write the command alone")
        }
      }
    }
  }

  @Test("blocks without a language have no commands")
  func plainBlocks() throws {
    for page in try Self.pages() where !Self.generated.contains(page) {
      var language: Substring?
      for (number, line) in try Self.lines(of: page).enumerated() {
        if line.hasPrefix("```") {
          language = language == nil ? line.dropFirst(3) : nil
        } else if language == "" {
          #expect(
            line.firstMatch(of: #/^(sudo|tutti|curl|make|docker|systemctl)\b/#) == nil,
            "\(page):\(number + 1) has a command that no test runs")
        }
      }
    }
  }

  @Test("bash reads every block of commands")
  func parsed() throws {
    for page in try Self.pages() where !Self.generated.contains(page) {
      var block: [Substring]?
      for (number, line) in try Self.lines(of: page).enumerated() {
        if line == "```console" {
          block = []
        } else if line == "```", let commands = block {
          let output = try Command.run(
            "bash", ["-n", "-c", commands.joined(separator: "\n")], environment: [:],
            directory: SourceTree.root)
          #expect(output.status == 0, "\(page):\(number + 1): \(output.text)")
          block = nil
        } else {
          block?.append(line)
        }
      }
    }
  }
}
