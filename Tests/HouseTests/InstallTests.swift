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
    try "#!/bin/sh\n\(text)\n".write(to: url, atomically: true, encoding: .utf8)
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: url.path)
  }

  private func run(_ arguments: String...) throws -> Command.Output {
    try Command.run(
      SourceTree.root.appending(path: "Tools/install.sh").path, arguments, environment: [:],
      directory: folder)
  }

  /// Paths below the folder of the package.
  private func installed() throws -> Set<String> {
    let root = folder.appending(path: "package")
    let names = FileManager.default.enumerator(atPath: root.path)?.compactMap { $0 as? String }
    return Set(
      try (names ?? []).filter {
        try root.appending(path: $0).resourceValues(forKeys: [.isRegularFileKey]).isRegularFile
          == true
      })
  }

  @Test("uninstall removes what install wrote, and no other file")
  func roundTrip() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    for name in ["tutti", "tutti-gateway", "tutti-planner"] {
      let program = Command.buildDirectory.appending(path: name).path
      try script("built/\(name)", "exec '\(program)' \"$@\"")
    }
    let built = folder.appending(path: "built").path
    try script(
      "swift", "case \"$*\" in *--show-bin-path*) echo '\(built)' ;; *) echo built ;; esac")
    let swift = folder.appending(path: "swift").path
    let package = folder.appending(path: "package").path

    let made = try run("install", swift, "/usr", package)
    try #require(made.status == 0, "\(made.text)")
    let files = try installed()
    for file in [
      "bin/tutti", "bin/tutti-gateway", "share/man/man1/tutti.1", "share/man/man8/tutti-planner.8",
      "share/bash-completion/completions/tutti", "share/zsh/site-functions/_tutti",
      "share/fish/vendor_completions.d/tutti.fish", "share/doc/tutti/LICENSE",
      "share/doc/tutti/manual/settings.md",
    ] {
      #expect(files.contains("usr/\(file)"), "\(file)")
    }
    #if os(Linux)
      let unit = try String(
        contentsOfFile: package + "/usr/lib/systemd/system/tutti.service", encoding: .utf8)
      #expect(unit.contains("ExecStart=/usr/bin/tutti up"))
    #endif

    try script("package/usr/share/tutti/other", "")
    let removed = try run("uninstall", "/usr", package)
    #expect(removed.status == 0, "\(removed.text)")
    #expect(try installed() == ["usr/share/tutti/other"])
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
