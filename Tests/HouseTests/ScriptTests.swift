import Foundation
import Testing

/// Checks the shell scripts of the repository without running them.
@Suite("Scripts")
struct ScriptTests {
  private static func scripts() throws -> [String] {
    var found: [String] = []
    for folder in ["Tools", "Benchmarks"] {
      let base = SourceTree.root.appending(path: folder).path
      let names = FileManager.default.enumerator(atPath: base)?.compactMap { $0 as? String } ?? []
      found += names.filter { $0.hasSuffix(".sh") && !$0.contains(".build") }
        .map { "\(folder)/\($0)" }
    }
    return found.sorted()
  }

  @Test("bash reads every script")
  func parsed() throws {
    let scripts = try Self.scripts()
    for script in ["Tools/dist.sh", "Tools/dist_test.sh", "Benchmarks/first_day.sh"] {
      #expect(scripts.contains(script))
    }
    for script in scripts {
      let output = try Command.run(
        "bash", ["-n", script], environment: [:], directory: SourceTree.root)
      #expect(output.status == 0 && output.text.isEmpty, "\(script): \(output.text)")
      #expect(
        FileManager.default.isExecutableFile(
          atPath: SourceTree.root.appending(path: script).path), "\(script) is not executable")
    }
  }

  @Test(
    "the shell of Debian reads the scripts of the package",
    arguments: ["postinst", "prerm", "postrm"])
  func maintainerScripts(script: String) throws {
    let output = try Command.run(
      "sh", ["-n", "deploy/debian/\(script)"], environment: [:], directory: SourceTree.root)
    #expect(output.status == 0 && output.text.isEmpty, "\(output.text)")
  }

  @Test("only purge removes the data of the package")
  func purge() throws {
    let scripts = try ["postinst", "prerm", "postrm"].map { name in
      (name, try SourceTree.text("deploy/debian/\(name)"))
    }
    for (name, text) in scripts {
      let removals = text.ranges(of: "rm -rf").count
      #expect(removals == (name == "postrm" ? 1 : 0), "\(name)")
    }
    let purged = try #require(
      scripts[2].1.firstMatch(of: /(?s)= purge \]; then\n(.*?)\nfi\n/)
    ).1
    #expect(purged.contains("rm -rf \"$DPKG_ROOT/var/lib/tutti\""))
  }
}
