import Testing

@testable import ClusterSimulation

/// Runs whole clusters on virtual time. `tutti-simulate SEED` prints the events of a seed that fails.
@Suite("A simulated cluster", .timeLimit(.minutes(5)))
struct SimulationTests {
  @Test("keeps its promises under seeded faults", arguments: 0..<200 as Range<UInt64>)
  func promises(seed: UInt64) {
    let report = SimulatedCluster(Scenario(seed: seed)).run()
    #expect(report.violations == [], "tutti-simulate \(seed): \(report.summary)")
    // At least the requests after the faults are answered.
    #expect(report.answered >= 3, "tutti-simulate \(seed): \(report.summary)")
  }

  @Test("replays every event and every byte from its seed", arguments: [1, 3] as [UInt64])
  func replay(seed: UInt64) {
    let first = SimulatedCluster(Scenario(seed: seed)).run()
    let second = SimulatedCluster(Scenario(seed: seed)).run()
    #expect(first.log == second.log)
    #expect(first.digest == second.digest)
  }

  @Test("finds a planted bug within a few seeds", arguments: Scenario.PlantedBug.allCases)
  func plantedBug(bug: Scenario.PlantedBug) {
    let isFound = (12..<44 as Range<UInt64>).contains { seed in
      !SimulatedCluster(Scenario(seed: seed, planted: bug)).run().violations.isEmpty
    }
    #expect(isFound)
  }

  @Test("meets every kind of fault in its first seeds")
  func faults() {
    let scenarios = (0..<64 as Range<UInt64>).map { Scenario(seed: $0) }
    #expect(Set(scenarios.map(\.kind)).count == Scenario.Kind.allCases.count)
    #expect(scenarios.contains { $0.lossPerTenThousand > 0 && $0.deaths > 0 })
    #expect(scenarios.contains { $0.partitions > 0 })
    #expect(scenarios.contains { $0.oldHost != nil && $0.kind == .storm })
    #expect(scenarios.contains { $0.silentDeathPerMille > 0 })
    #expect(scenarios.contains { $0.keepsAddresses && $0.deaths > 0 })
  }
}

@Suite("Text of the simulated model")
struct ModelTextTests {
  @Test("a word shows its text and its position")
  func words() {
    for number: UInt32 in [0, 1, 4_711, 0x3FFFF] {
      let tag = ModelText.Tag(number: number)
      for position in 0..<tag.wordCount {
        let found = ModelText.position(of: ModelText.word(tag, position))
        #expect(found?.tag == tag && found?.position == position)
      }
    }
    #expect(ModelText.position(of: "continuing") == nil)
  }

  @Test("a lost, repeated, foreign or missing word is a mistake")
  func mistakes() {
    let text = ModelText.full(ModelText.Tag(number: 17))
    #expect(ModelText.mistake(in: text) == nil)
    #expect(ModelText.mistake(in: text + "\n\n" + text) == nil)
    let words = text.split(separator: " ").map(String.init)
    for index in words.indices {
      var lost = words
      lost.remove(at: index)
      #expect(ModelText.mistake(in: lost.joined(separator: " ")) != nil, "without word \(index)")
      var repeated = words
      repeated.insert(words[index], at: index)
      #expect(ModelText.mistake(in: repeated.joined(separator: " ")) != nil, "word \(index) twice")
    }
    #expect(ModelText.mistake(in: text + " indeed") != nil)
    #expect(ModelText.mistake(in: "") != nil)
  }
}
