import Foundation
import Testing

/// Runs `Tools/install.sh` with executables that are already built.
@Suite("make install")
struct InstallTests {
  private let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)

  private func script(_ name: String, _ text: String) throws {
    let url = folder.appending(path: name)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try "#!/bin/bash\n\(text)\n".write(to: url, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: url.path)
  }

  private func run(_ arguments: String...) throws -> Command.Output {
    try Command.run(
      SourceTree.root.appending(path: "Tools/install.sh").path, arguments, environment: [:],
      directory: folder)
  }

  /// Makes a folder with an executable that is already built, and a `swift` that names this folder.
  /// - Returns: the path of `swift`.
  private func fakeBuild() throws -> String {
    let program = Command.buildDirectory.appending(path: "all-of-tutti").path
    try script("built/all-of-tutti", "exec -a \"$0\" '\(program)' \"$@\"")
    let built = folder.appending(path: "built").path
    try script(
      "swift", "case \"$*\" in *--show-bin-path*) echo '\(built)' ;; *) echo built ;; esac")
    return folder.appending(path: "swift").path
  }

  /// Paths of files and links below the folder of the package, each with its contents or target.
  private func installed() throws -> [String: String] {
    let manager = FileManager.default
    let root = folder.appending(path: "package")
    var found: [String: String] = [:]
    for name in manager.enumerator(atPath: root.path)?.compactMap({ $0 as? String }) ?? [] {
      let path = root.appending(path: name).path
      let type = try manager.attributesOfItem(atPath: path)[.type] as? FileAttributeType
      if type == .typeSymbolicLink {
        let target = try manager.destinationOfSymbolicLink(atPath: path)
        found[name] = "link to \(target)"
      } else if type == .typeRegular {
        found[name] = try String(contentsOfFile: path, encoding: .utf8)
      }
    }
    return found
  }

  @Test("uninstall removes what install wrote, and no other file")
  func roundTrip() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let swift = try fakeBuild()
    let package = folder.appending(path: "package").path

    let made = try run("install", swift, "/usr", package)
    try #require(made.status == 0, "\(made.text)")
    let files = try installed()
    for file in [
      "bin/tutti", "bin/tutti-gateway", "share/tutti/alerts.yml", "share/man/man1/tutti.1",
      "share/man/man8/tutti-planner.8",
      "share/bash-completion/completions/tutti", "share/zsh/site-functions/_tutti",
      "share/fish/vendor_completions.d/tutti.fish", "share/doc/tutti/LICENSE",
      "share/doc/tutti/manual/settings.md",
    ] {
      #expect(files["usr/\(file)"] != nil, "\(file)")
    }
    #expect(files["usr/bin/tutti-agent-code"] == "link to tutti")
    #if os(Linux)
      let unit = try String(
        contentsOfFile: package + "/usr/lib/systemd/system/tutti.service", encoding: .utf8)
      #expect(unit.contains("ExecStart=/usr/bin/tutti up"))
    #endif

    try script("package/usr/share/tutti/other", "")
    let removed = try run("uninstall", "/usr", package)
    #expect(removed.status == 0, "\(removed.text)")
    #expect(try installed().keys.sorted() == ["usr/share/tutti/other"])
  }

  @Test("a second installation gives the same files, also over those of another version")
  func twice() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let swift = try fakeBuild()
    let package = folder.appending(path: "package").path
    let first = try run("install", swift, "/usr", package)
    try #require(first.status == 0, "\(first.text)")
    let files = try installed()
    let second = try run("install", swift, "/usr", package)
    try #require(second.status == 0, "\(second.text)")
    #expect(try installed() == files)

    // The other version has separate executables, and one that is gone now.
    try FileManager.default.removeItem(
      at: folder.appending(path: "package/usr/bin/tutti-gateway"))
    for name in ["tutti-gateway", "tutti-old"] { try script("package/usr/bin/\(name)", "") }
    let list = folder.appending(path: "package/usr/share/tutti/installed-files")
    let names = try String(contentsOf: list, encoding: .utf8)
    try "bin/tutti-old\n\(names)".write(to: list, atomically: true, encoding: .utf8)
    let third = try run("install", swift, "/usr", package)
    try #require(third.status == 0, "\(third.text)")
    #expect(try installed() == files)
  }

  @Test("a list of files that leads out of PREFIX is refused")
  func traversal() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    try script("kept", "")
    try script("package/usr/share/tutti/installed-files", "../../kept")
    let removed = try run("uninstall", "/usr", folder.appending(path: "package").path)
    #expect(removed.status == 69, "\(removed.text)")
    #expect(FileManager.default.fileExists(atPath: folder.appending(path: "kept").path))
  }
}
