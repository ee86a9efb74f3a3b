import ClusterModel
import Foundation
import PlannerCore
import SettingsFuzzEntry
import Testing

@testable import FuzzEntries

/// Replays a fuzzer's seed inputs and findings.
///
/// A trap ends the whole test process. The last line of the log before it names the file.
@Suite("Inputs of the fuzzer", .timeLimit(.minutes(5)))
struct FuzzReplayTests {
  private static let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().appending(path: "Fuzz")

  private static func files(_ entry: String) -> [URL] {
    ["Corpus", "Findings"].flatMap { kind in
      let folder = folder.appending(path: "\(kind)/\(entry)")
      return
        ((try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil))
        ?? []).sorted { $0.path < $1.path }
    }
  }

  @Test("every seed and finding of an entry is read to its end", arguments: FuzzEntry.allCases)
  func replay(entry: FuzzEntry) throws {
    let files = Self.files(entry.rawValue)
    #expect(!files.isEmpty, "Fuzz/Corpus/\(entry) has no seed")
    for file in files { entry.run(Array(try Data(contentsOf: file))) }
  }

  @Test("an entry takes an empty input and every single byte", arguments: FuzzEntry.allCases)
  func small(entry: FuzzEntry) {
    entry.run([])
    for byte in UInt8.min...UInt8.max { entry.run([byte]) }
  }

  @Test("the seeds of plans reach every pattern")
  func patterns() throws {
    let chosen = try Self.files("plan").compactMap { try Data(contentsOf: $0).first }
      .map(PlanEntries.chosen)
    #expect(Set(chosen) == Set(PatternName.allCases))
  }

  @Test("the seeds of expansions reach every kind of expansion")
  func expansions() throws {
    let kinds = try Self.files("expand").map {
      PlanEntries.expand(Array(try Data(contentsOf: $0)))
    }
    #expect(Set(kinds.joined()) == Set(Expansion.allCases.map(\.rawValue)))
  }

  @Test("a byte keeps its pattern when a pattern is added")
  func numbers() {
    let first: [PatternName] = [.auto, .ensemble, .debate, .maestro, .decompose]
    let own = PatternName.allCases.count
    for byte in UInt8.min...UInt8.max where byte < 5 || byte >= own {
      #expect(PlanEntries.chosen(byte) == first[Int(byte) % 5])
    }
  }

  @Test("every seed and finding of the settings file is read to its end")
  func settings() throws {
    let files = Self.files("settings")
    #expect(!files.isEmpty, "Fuzz/Corpus/settings has no seed")
    for file in files { SettingsFuzzEntry.run(Array(try Data(contentsOf: file))) }
  }
}
