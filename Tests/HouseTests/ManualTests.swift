import Foundation
import Testing

/// Checks the pages that `make install` generates.
@Suite("Manual pages")
struct ManualTests {
  @Test("there is a page for each executable, and it lists every option of the executable")
  func complete() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: folder) }
    let made = try Command.run(
      SourceTree.root.appending(path: "Tools/man.py").path,
      [Command.buildDirectory.path, folder.path], environment: [:], directory: SourceTree.root)
    try #require(made.status == 0, "\(made.text)")

    let commands = try String(
      contentsOf: folder.appending(path: "man1/tutti.1"), encoding: .utf8)
    for name in ["tutti up", "tutti hosts add", "tutti keys create", "tutti audit"] {
      #expect(commands.contains(".SS \"\(name) "), "\(name)")
    }
    let pages = try FileManager.default.contentsOfDirectory(
      atPath: folder.appending(path: "man8").path)
    #expect(pages.count == 11)
    for name in pages {
      let page = try String(contentsOf: folder.appending(path: "man8/\(name)"), encoding: .utf8)
      let program = Command.buildDirectory.appending(path: String(name.dropLast(2))).path
      let help = try Command.run(program, ["--help"], environment: [:], directory: folder)
      for match in help.text.matches(of: /\n  (--[a-z-]+)/) {
        let flag = match.1.replacing("-", with: #"\-"#)
        #expect(page.contains("\\fB\(flag)"), "\(name) lacks \(match.1)")
      }
    }
  }
}
