import Foundation
import Testing

/// The repository's sources, for tests that read them as text.
enum SourceTree {
  /// The package's folder, derived from the path of this file at compile time.
  static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  struct File {
    /// Path relative to the root, for example `Shared/Bus/Core/Envelope.swift`.
    let path: String
    let lines: [Substring]

    var imports: [String] {
      lines.compactMap { line in
        let words = line.split(separator: " ")
        guard let keyword = words.firstIndex(of: "import"), keyword + 1 < words.count,
          words[..<keyword].allSatisfy({
            $0.hasPrefix("@") || ["public", "internal", "package", "private"].contains($0)
          })
        else { return nil }
        // `import struct Foundation.URL` has the module after the kind.
        let name = words.last { !$0.hasPrefix("//") } ?? words[keyword + 1]
        return String(name.split(separator: ".")[0])
      }
    }
  }

  static func swiftFiles(under directory: String) throws -> [File] {
    let base = root.appending(path: directory)
    guard let walker = FileManager.default.enumerator(atPath: base.path) else { return [] }
    return try walker.compactMap { $0 as? String }
      .filter { $0.hasSuffix(".swift") }
      .sorted()
      .map { name in
        let text = try String(contentsOf: base.appending(path: name), encoding: .utf8)
        return File(
          path: "\(directory)/\(name)",
          lines: text.split(separator: "\n", omittingEmptySubsequences: false))
      }
  }

  static func text(_ path: String) throws -> String {
    try String(contentsOf: root.appending(path: path), encoding: .utf8)
  }

  /// The cases of `HostDialect`.
  static func dialects() throws -> [String] {
    let source = try text("Shared/ClusterModel/Hosts/Host.swift")
    let body = try #require(source.firstMatch(of: /enum HostDialect[^{]*\{([^}]*)\}/)).1
    let names = body.matches(of: /case ([a-zA-Z]+)/).map { String($0.1) }
    try #require(names.count >= 3)
    return names
  }
}
