import Testing

/// Compares the metric catalogue with the metrics that the code records.
@Suite("Names of metrics")
struct MetricNameTests {
  private static let catalogue = "Shared/Telemetry/MetricCatalogue.swift"

  private static func listed() throws -> Set<String> {
    let text = try SourceTree.text(catalogue)
    return Set(text.matches(of: /MetricDescription\(\s*"(\w+)"/).map { String($0.1) })
  }

  /// The files that record each metric, by the metric's name.
  private static func recorded() throws -> [String: [String]] {
    var files: [String: [String]] = [:]
    for file in try SourceTree.swiftFiles(under: "Services")
      + SourceTree.swiftFiles(under: "Shared") where file.path != catalogue
    {
      let text = file.lines.joined(separator: "\n")
      for match in text.matches(of: /"((?:tutti|process)_[a-z0-9_]+)"/) {
        files[String(match.1), default: []].append(file.path)
      }
    }
    return files
  }

  @Test("every metric that the code records is in the catalogue")
  func isInCatalogue() throws {
    let listed = try Self.listed()
    let recorded = try Self.recorded()
    #expect(recorded.count > 40, "the pattern of this test finds no metrics any more")
    for (name, files) in recorded.sorted(by: { $0.key < $1.key })
    where !listed.contains(name) {
      Issue.record("\(files.joined(separator: ", ")) records \(name) without a help text")
    }
  }

  @Test("every metric of the catalogue is recorded")
  func isRecorded() throws {
    let missing = try Self.listed().subtracting(Self.recorded().keys)
    #expect(missing.isEmpty, "no code records these; record or remove them")
  }
}
