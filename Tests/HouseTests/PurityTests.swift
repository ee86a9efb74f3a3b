import Testing

/// Checks that a core depends only on its inputs: no clock, random numbers, environment, logger,
/// concurrency, file descriptor or lock. A test can then run it through a year of faults in a
/// second.
@Suite("Pure cores")
struct PurityTests {
  /// The folders of the targets that the manifest declares pure, and the table of limits, which
  /// they all read.
  private static func folders() throws -> [String] {
    try PackageManifest().targets.filter { $0.isPure || $0.name == "Limits" }.map(\.path)
  }

  static let forbiddenModules: Set<String> = [
    "Foundation", "Glibc", "Darwin", "Dispatch", "Synchronization", "Logging", "Metrics",
    "NIOCore", "NIOPosix", "AsyncHTTPClient", "Hummingbird", "CNanomsg", "CMongoC", "GRDB",
  ]

  @Test("a core imports nothing that reaches outside", arguments: try folders())
  func imports(folder: String) throws {
    for file in try SourceTree.swiftFiles(under: folder) {
      #expect(
        Self.forbiddenModules.isDisjoint(with: file.imports), "\(file.path): \(file.imports)")
    }
  }

  @Test("a core names no clock, chance, task or lock", arguments: try folders())
  func words(folder: String) throws {
    let forbidden = [
      #/\bDate\(/#, #/ContinuousClock/#, #/SuspendingClock/#, #/\.now\b(?!:)/#,
      #/SystemRandomNumberGenerator/#, #/\.random\(in:(?!.*using:)/#, #/\bTask\s*\{/#,
      #/\basync\b/#,
      #/\bawait\b/#, #/\bMutex</#, #/\bactor\b /#, #/ProcessInfo/#, #/getenv/#,
    ]
    for file in try SourceTree.swiftFiles(under: folder) {
      for (number, line) in file.lines.enumerated() {
        let comment = line.firstRange(of: "//").map { line[..<$0.lowerBound] } ?? line
        let code = comment.replacing(#/"[^"]*"/#, with: "")
        for word in forbidden where code.firstMatch(of: word) != nil {
          Issue.record("\(file.path):\(number + 1): \(line)")
        }
      }
    }
  }
}
