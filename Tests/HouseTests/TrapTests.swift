import Testing

/// Finds code that may trap, take quadratic time, or cut text by characters.
///
/// The rules apply to `Services` and to `Shared` without `Shared/ClusterTesting`.
///
/// A Swift `Character` has no maximum length: one letter may carry a million combining marks.
@Suite("Known traps for values of outsiders")
struct TrapTests {
  struct Rule: Sendable, CustomTestStringConvertible {
    let name: String
    let pattern: String
    let remedy: String
    /// Whether the rule also searches string literals.
    var readsStrings = false
    /// Exceptions, as `path` or `path: part of the line`, each with the reason why it is safe.
    var exceptions: [String: String] = [:]

    var testDescription: String { name }
  }

  static let rules = [
    Rule(
      name: "text is cut by bytes",
      pattern: #"String\([\w.$]+\.(prefix|suffix)\(|\\\([^()]*\.(prefix|suffix)\(|"#
        + #"\.(prefix|suffix)\([^()]*\) \+ ""#,
      remedy: "use cut(toBytes:)", readsStrings: true,
      exceptions: [
        "Services/Monitor/Core/OverviewPage.swift": "hexadecimal digits",
        "Services/Planner/Core/Splitting/SplitSignals.swift":
          "one character as a key, of a bounded query",
      ]),
    Rule(
      name: "nothing traps on purpose", pattern: #"\btry!|\bfatalError\("#,
      remedy: "throw, or return a directive"),
    Rule(
      name: "a Double is checked before it becomes an integer",
      pattern: #"\bU?Int(8|16|32|64)?\((?!clamping:|exactly:|bitPattern:|truncatingIfNeeded:)"#
        + #"[^{}]*(\.rounded\(|\binSeconds\b|\bDouble\()"#,
      remedy: "use Int(clamping:) of Limits",
      exceptions: [
        "Services/CommandLine/Shell/Commands/SimulateCommand.swift":
          "numbers of the operator's own simulation",
        "Shared/Inference/Simulation/RaceSimulation.swift":
          "numbers of the operator's own simulation",
      ]),
    Rule(
      name: "queues do not move all they hold for each element", pattern: #"\.removeFirst\(\)"#,
      remedy: "keep an index, or remove many at once",
      exceptions: [
        "Services/CommandLine/Core/Supervisor.swift": "a handful of crashes",
        "Services/CommandLine/Shell/Cluster/ClusterShell.swift":
          "a handful of our own directives",
        "Shared/Overload/Core/FairQueue.swift": "a queue of our own with this method",
        "Shared/Bus/Core/BusMachine+Receiving.swift": "at most as many as may be newcomers",
        "Shared/Inference/Core/Answer/AnswerStream.swift": "a queue of our own with this method",
        "Shared/Inference/Core/Answer/AnswerStream+Interrupt.swift":
          "a queue of our own with this method",
        "Shared/Inference/Core/Hosts/HostStatistics+Load.swift": "at most 64 reports",
        "Shared/Inference/Core/Hosts/TimeWeightedMean.swift": "at most as many as it remembers",
        "Shared/ServiceKit/Settings/ArgumentReader.swift": "the operator's own command line",
        "Shared/Text/Comparing/Normalisation.swift": "at most as many bytes as an end mark has",
        "Shared/Text/Comparing/ShortAnswer.swift": "the words of a short answer",
      ]),
    Rule(
      name: "nothing is unwrapped by force",
      pattern: #"[\w\])]!(?=[.,;)\]}\s?]|$)"#, remedy: "use guard let",
      exceptions: [
        "Services/CommandLine/Shell/Cluster/ChildProcess.swift: baseAddress!":
          "of a buffer that is not empty",
        "Services/Gateway/Shell/GatewayShell.swift: HTTPField.Name(": "a constant",
        "Services/Gateway/Shell/Response+Gateway.swift: HTTPField.Name(": "a constant",
        "Shared/ServiceKit/HTTP/HTTPErrors.swift: HTTPField.Name(": "a constant",
        "Shared/ServiceKit/HTTP/ServiceRouter.swift: -private-network\")!": "a constant",
        "Shared/Files/PrivateFile.swift: baseAddress!": "of a buffer that is not empty",
        "Shared/Store/MongoHandles.swift: client!": "the pool's contract",
        "Shared/Text/JSON/JSONElision.swift: init(validating: bytes)!":
          "an initialiser's own overload",
        "Shared/Wire/Arena.swift: baseAddress!": "of a buffer that is not empty",
      ]),
  ]

  /// The line without its comment and the contents of strings. If `readsStrings` is true, the
  /// line as it is, or an empty text for a comment line.
  private static func code(_ line: Substring, readsStrings: Bool) -> String {
    let bare = line.replacing(#/"(\\.|[^"\\])*"/#, with: "\"\"")
    let comment = bare.firstRange(of: "//")
    if !readsStrings { return String(comment.map { bare[..<$0.lowerBound] } ?? bare[...]) }
    let isComment = line.drop { $0 == " " }.hasPrefix("//")
    return isComment ? "" : String(line)
  }

  @Test("is written otherwise, or argued", arguments: rules)
  func lines(_ rule: Rule) throws {
    let pattern = try Regex(rule.pattern)
    for folder in ["Services", "Shared"] {
      for file in try SourceTree.swiftFiles(under: folder)
      where !file.path.hasPrefix("Shared/ClusterTesting/") {
        for (number, line) in file.lines.enumerated() {
          let code = Self.code(line, readsStrings: rule.readsStrings)
          guard code.firstMatch(of: pattern) != nil else { continue }
          let isArgued = rule.exceptions.keys.contains { key in
            let parts = key.split(separator: ": ", maxSplits: 1)
            return parts[0] == file.path && (parts.count == 1 || line.contains(parts[1]))
          }
          if !isArgued {
            Issue.record("\(file.path):\(number + 1): \(rule.remedy): \(line)")
          }
        }
      }
    }
  }

  @Test("there is one helper that cuts text by bytes")
  func oneHelper() throws {
    var found: Set<String> = []
    for folder in ["Services", "Shared"] {
      for file in try SourceTree.swiftFiles(under: folder) {
        for line in file.lines where line.firstMatch(of: /func cut\(to/) != nil {
          found.insert(file.path)
        }
      }
    }
    #expect(found == ["Shared/ClusterModel/Identifiers/TextCut.swift"])
  }
}
