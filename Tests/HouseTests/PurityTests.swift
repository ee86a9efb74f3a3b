import Testing

/// Checks that a core depends only on its inputs: no clock, random numbers, environment, logger,
/// concurrency, file descriptor or lock. A test can then run it through a year of faults in a
/// second.
@Suite("Pure cores")
struct PurityTests {
  static let pure = [
    "Shared/Limits", "Shared/ClusterModel", "Shared/Wire", "Shared/Text", "Shared/Bus/Core",
    "Shared/Overload/Core", "Shared/Inference/Core", "Services/Gateway/Core",
    "Services/Registry/Core",
    "Services/Planner/Core", "Services/Dispatcher/Core", "Services/Agents/Core",
    "Services/Monitor/Core", "Services/CommandLine/Core",
  ]

  static let forbiddenModules: Set<String> = [
    "Foundation", "Glibc", "Darwin", "Dispatch", "Synchronization", "Logging", "Metrics",
    "NIOCore", "NIOPosix", "AsyncHTTPClient", "Hummingbird", "CNanomsg", "CMongoC", "GRDB",
  ]

  @Test("a core imports nothing that reaches outside", arguments: pure)
  func imports(folder: String) throws {
    for file in try SourceTree.swiftFiles(under: folder) {
      #expect(
        Self.forbiddenModules.isDisjoint(with: file.imports), "\(file.path): \(file.imports)")
    }
  }

  @Test("a core names no clock, chance, task or lock", arguments: pure)
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
