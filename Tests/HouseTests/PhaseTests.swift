import Testing

/// Checks that all services name the phases of a trace alike.
@Suite("Phases of a request")
struct PhaseTests {
  /// The cases that `LifecyclePhase` declares.
  private static func phases() throws -> Set<String> {
    let text = try SourceTree.text("Shared/ClusterModel/Cluster/LifecyclePhase.swift")
    return Set(text.matches(of: /\n  case (\w+)/).map { String($0.1) })
  }

  @Test("every span that a service opens is named after a phase")
  func names() throws {
    let phases = try Self.phases()
    #expect(phases.contains("ingress") && phases.contains("accounting"))
    var opened = 0
    for file in try SourceTree.swiftFiles(under: "Services")
      + SourceTree.swiftFiles(under: "Shared")
    where file.path != "Shared/Telemetry/TelemetryRecorder.swift" {
      let text = file.lines.joined(separator: "\n")
      for match in text.matches(of: /[rR]ecorder\s*\.span\(\s*([^,\s)]+)/) {
        opened += 1
        let name = match.1.hasPrefix(".") ? String(match.1.dropFirst()) : nil
        let isPhase = name.map { phases.contains($0) } ?? (match.1 == "phase")
        #expect(isPhase, "\(file.path) opens a span named \(match.1)")
      }
    }
    #expect(opened >= 5, "the pattern of this test finds no spans any more")
  }

  @Test("every phase is in the glossary")
  func glossary() throws {
    let glossary = try SourceTree.text("docs/GLOSSARY.md")
    let line = glossary.split(separator: "\n").first { $0.hasPrefix("| **phase**") } ?? ""
    for phase in try Self.phases() {
      #expect(line.contains("`\(phase)`"), "the entry for “phase” does not name \(phase)")
    }
  }
}
