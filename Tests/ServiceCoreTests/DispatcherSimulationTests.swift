import ClusterModel
import ClusterTesting
import DispatcherCore
import Testing

@Suite("Plans under fire")
struct DispatcherSimulationTests {
  @Test("10,000 random plans with random trouble keep every rule and end exactly once, in time")
  func randomPlans() throws {
    var finished = 0
    var expansions = 0
    var failures: [Failure.Code: Int] = [:]
    for seed in UInt64(0)..<10_000 {
      var simulation = try DispatcherSimulation(seed: seed)
      try simulation.play()
      #expect(simulation.problems.isEmpty, "\(simulation.problems.prefix(3))")
      expansions += simulation.expansions
      switch simulation.outcomes.first {
      case .finish?: finished += 1
      case .fail(let failure)?: failures[failure.code, default: 0] += 1
      default: break
      }
    }
    // Enough plans must have finished for the rules to be tested.
    #expect(finished > 2_000)
    #expect(expansions > 2_000)
    #expect(failures.count > 4, "\(failures)")
  }

  @Test("dispatchers that die at any moment cost no finished task and no word of the answer")
  func lostDispatchers() throws {
    var finishedAfterLoss = 0
    for seed in UInt64(30_000)..<32_000 {
      var rng = SeededGenerator(seed: ~seed)
      var simulation = try DispatcherSimulation(seed: seed)
      try simulation.play(
        lost: (0..<Int.random(in: 1...3, using: &rng)).map { _ in
          Instant(sinceStart: .milliseconds(Int.random(in: 0...3000, using: &rng)))
        })
      #expect(simulation.problems.isEmpty, "\(simulation.problems.prefix(3))")
      if case .finish? = simulation.outcomes.first, simulation.dispatchersLost > 0 {
        finishedAfterLoss += 1
      }
    }
    #expect(finishedAfterLoss > 300)
  }

  @Test("a client that leaves at any moment leaves nothing running")
  func cancelled() throws {
    var cancelled = 0
    for seed in UInt64(10_000)..<12_000 {
      var rng = SeededGenerator(seed: ~seed)
      var simulation = try DispatcherSimulation(seed: seed)
      try simulation.play(
        cancelled: Instant(sinceStart: .milliseconds(Int.random(in: 0...4000, using: &rng))))
      #expect(simulation.problems.isEmpty, "\(simulation.problems.prefix(3))")
      if case .fail(let failure)? = simulation.outcomes.first, failure.code == .cancelled {
        cancelled += 1
      }
    }
    #expect(cancelled > 200)
  }

  @Test("the same seed gives the same run")
  func deterministic() throws {
    for seed in UInt64(50_000)..<50_050 {
      var runs: [String] = []
      for _ in 0..<2 {
        var simulation = try DispatcherSimulation(seed: seed)
        try simulation.play()
        runs.append("\(simulation.outcomes) \(simulation.now) \(simulation.answer)")
      }
      #expect(runs[0] == runs[1])
    }
  }
}
