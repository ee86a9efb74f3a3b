import BusCore
import ClusterModel
import Testing

@Suite("A simulated cluster", .timeLimit(.minutes(5)))
struct SimulationTests {
  static let seconds = 15

  static func run(_ seed: UInt64, _ faults: Simulation.Faults) -> Simulation {
    var simulation = Simulation(seed: seed, faults: faults)
    simulation.run(milliseconds: seconds * 1_000, asking: true)
    simulation.run(milliseconds: 6_000, asking: false)
    #expect(
      simulation.violations == [], "seed \(seed), \(simulation.time) ms: \(faults)")
    let open = simulation.asked.filter { $0.value.outcome == nil }
    #expect(open.isEmpty, "seed \(seed): \(open.keys) never had an outcome")
    return simulation
  }

  static func succeeded(_ simulation: Simulation) -> Int {
    simulation.asked.values.count {
      if case .success? = $0.outcome { true } else { false }
    }
  }

  @Test("on a good network nothing is lost but what was not answered in time", arguments: 0..<4)
  func perfect(seed: UInt64) {
    var faults = Simulation.Faults()
    faults.maximumDelay = 1
    let simulation = Self.run(seed, faults)
    let failures = simulation.asked.values.compactMap { request -> Failure? in
      if case .failure(let failure)? = request.outcome { failure } else { nil }
    }
    // Before all processes have sent a hello, a service may have no peer.
    #expect(failures.allSatisfy { [.deadlineExceeded, .noPeer].contains($0.code) })
    #expect(Self.succeeded(simulation) > simulation.asked.count / 2)
  }

  @Test(
    "a call has one outcome by its deadline, a stream is whole or broken, nothing runs twice",
    arguments: 0..<24)
  func lossy(seed: UInt64) {
    var faults = Simulation.Faults()
    faults.lossPerMille = 20
    faults.duplicatePerMille = 50
    faults.maximumDelay = 40
    faults.crashPerMille = 2
    faults.silentDeathPerMille = 300
    let simulation = Self.run(seed, faults)
    #expect(Self.succeeded(simulation) > 20)
  }

  @Test("the same seed gives the same run")
  func deterministic() {
    var faults = Simulation.Faults()
    faults.lossPerMille = 50
    faults.duplicatePerMille = 50
    faults.crashPerMille = 2
    let runs = (0..<2).map { _ in Self.run(99, faults) }
    #expect(runs[0].executed == runs[1].executed)
    #expect(runs[0].asked.mapValues(\.items) == runs[1].asked.mapValues(\.items))
    #expect(runs[0].incarnations == runs[1].incarnations)
  }

  @Test("the death of the registry ends nothing between the others")
  func registryDies() {
    var simulation = Simulation(seed: 5, faults: Simulation.Faults())
    simulation.run(milliseconds: 2_000, asking: false)
    for _ in 0..<6 {
      simulation.crash("registry-1")
      simulation.run(milliseconds: 3_000, asking: true)
    }
    simulation.run(milliseconds: 4_000, asking: false)
    #expect(simulation.violations == [])
    let lost = simulation.asked.values.filter { request in
      if case .failure(let failure)? = request.outcome {
        failure.code == .peerLost || failure.code == .noPeer
      } else {
        false
      }
    }
    #expect(lost.isEmpty, "\(lost)")
    #expect(simulation.asked.count > 500)
  }
}
