import ClusterModel
import Money
import Testing

/// Leases under load and faults, in virtual time.
struct LeaseSimulationTests {
  private static let org = CeilingID("org/acme")
  private static let key = AccountID("key/one")

  private static func faults(of seed: UInt64) -> LeaseSimulation.Faults {
    var rng = SplitMix64(seed: seed &* 7_919)
    var faults = LeaseSimulation.Faults()
    guard seed % 4 != 0 else { return faults }
    faults.lost = Int.random(in: 0...15, using: &rng)
    faults.repeated = Int.random(in: 0...15, using: &rng)
    faults.slow = Int.random(in: 0...15, using: &rng)
    if seed % 4 >= 2 { faults.kills = Int.random(in: 0...3, using: &rng) }
    if seed % 4 == 3 {
      faults.registryRestarts = Int.random(in: 0...3, using: &rng)
      // The registry is sometimes away for longer than the leases are valid.
      faults.registryAway = .seconds(seed % 8 == 3 ? 15 : 120)
    }
    return faults
  }

  /// Some keys in two teams of one organisation. Budgets are often too small for all requests.
  private static func simulation(seed: UInt64) -> LeaseSimulation {
    var rng = SplitMix64(seed: seed)
    let teams = (0..<2).map { CeilingID("team/\($0)") }
    var limits: [CeilingID: MicroCredits] = [
      org: MicroCredits(Int64.random(in: 500...12_000, using: &rng))
    ]
    for team in teams { limits[team] = MicroCredits(Int64.random(in: 300...8_000, using: &rng)) }
    var paths: [AccountID: [CeilingID]] = [:]
    for number in 0..<Int.random(in: 1...5, using: &rng) {
      let key = AccountID("key/\(number)")
      paths[key] = [teams[number % 2], org]
      if Bool.random(using: &rng) {
        let own = CeilingID("key/\(number)")
        limits[own] = MicroCredits(Int64.random(in: 100...4_000, using: &rng))
        paths[key]?.insert(own, at: 0)
      }
    }
    let count = Int.random(in: 1...8, using: &rng)
    var simulation = LeaseSimulation(
      seed: seed, gateways: count, paths: paths, limits: limits, faults: faults(of: seed))
    for _ in 0..<Int.random(in: 20...150, using: &rng) {
      let minimum = Int.random(in: 1...40, using: &rng)
      let worst = minimum + Int.random(in: 0...300, using: &rng)
      simulation.add(
        key: AccountID("key/\(Int.random(in: 0..<paths.count, using: &rng))"),
        gateway: Int.random(in: 0..<count, using: &rng), minimum: minimum, worst: worst,
        actual: Int.random(in: minimum...worst, using: &rng),
        at: .milliseconds(Int.random(in: 0...30_000, using: &rng)),
        duration: .milliseconds(Int.random(in: 10...20_000, using: &rng)))
    }
    return simulation
  }

  @Test("no ceiling is overspent and no request is refused while the real sum fits")
  func randomClusters() {
    var rare = RareEvents()
    for seed in UInt64(1)...240 {
      var simulation = Self.simulation(seed: seed)
      simulation.run()
      #expect(simulation.problems.isEmpty, "seed \(seed): \(simulation.problems.prefix(3))")
      #expect(simulation.issuer.totalLeased == .zero, "seed \(seed)")
      #expect(simulation.issuer.waitingCount == 0, "seed \(seed)")
      for (id, limit) in simulation.limits {
        #expect(
          simulation.issuer.left(below: id).count == limit.count - (simulation.spent[id] ?? 0),
          "seed \(seed): \(id)")
      }
      rare.count(simulation)
      for request in simulation.requests.values {
        if case .refused(let refusal) = request.outcome {
          if case .exhausted = refusal { continue }
          Issue.record("seed \(seed): \(refusal)")
        }
        if case .billed = request.outcome, !request.isRecorded {
          Issue.record("seed \(seed): a settlement is missing")
        }
      }
    }
    #expect(rare.refusals > 100 && rare.cutHolds > 10)
    #expect(rare.expiredLeases > 10)
  }

  /// Counts rare events, to check that the seeds reach the cases that the design is about.
  private struct RareEvents {
    var refusals = 0
    /// Requests admitted with less than their worst case.
    var cutHolds = 0
    var expiredLeases = 0

    mutating func count(_ simulation: LeaseSimulation) {
      for request in simulation.requests.values {
        if case .refused = request.outcome { refusals += 1 }
        if let hold = request.hold, hold < request.cost.worst { cutHolds += 1 }
      }
      for posting in simulation.log {
        if case .expire = posting.change { expiredLeases += 1 }
      }
    }
  }

  @Test("of 200 concurrent requests with money for 20, exactly 20 succeed")
  func moneyForTwenty() {
    for seed in UInt64(1)...20 {
      var simulation = LeaseSimulation(
        seed: seed, gateways: 4, paths: [Self.key: [Self.org]],
        limits: [Self.org: MicroCredits(20 * 137)])
      for index in 0..<200 {
        simulation.add(
          key: Self.key, gateway: index % 4, minimum: 137, worst: 137, actual: 137, at: .zero,
          duration: .seconds(2))
      }
      simulation.run()
      #expect(simulation.problems.isEmpty, "seed \(seed): \(simulation.problems.prefix(3))")
      #expect(simulation.spent[Self.org] == Int64(20 * 137))
      let outcomes = simulation.requests.values.map(\.outcome)
      #expect(outcomes.count { $0 == .billed(MicroCredits(137)) } == 20, "seed \(seed)")
      let exhausted = outcomes.count {
        if case .refused(.exhausted) = $0 { true } else { false }
      }
      #expect(exhausted == 180, "seed \(seed)")
    }
  }

  @Test("over a slow network, 180 refusals take a few round trips and not 180")
  func slowRefusals() {
    for seed in UInt64(1)...5 {
      // A message takes two seconds on average, so 180 round trips exceed the patience.
      var faults = LeaseSimulation.Faults()
      faults.slow = 100
      var simulation = LeaseSimulation(
        seed: seed, gateways: 1, paths: [Self.key: [Self.org]],
        limits: [Self.org: MicroCredits(20 * 137)], faults: faults, patience: .seconds(300))
      for _ in 0..<200 {
        simulation.add(
          key: Self.key, gateway: 0, minimum: 137, worst: 137, actual: 137, at: .zero,
          duration: .seconds(2))
      }
      simulation.run()
      #expect(simulation.problems.isEmpty, "seed \(seed): \(simulation.problems.prefix(3))")
      let outcomes = simulation.requests.values.map(\.outcome)
      #expect(outcomes.count { $0 == .billed(MicroCredits(137)) } == 20, "seed \(seed)")
      let exhausted = outcomes.count {
        if case .refused(.exhausted) = $0 { true } else { false }
      }
      #expect(exhausted == 180, "seed \(seed)")
    }
  }

  @Test("requests that cost less than their holds are all admitted if the real sum fits")
  func holdsAreTooHigh() {
    for seed in UInt64(1)...20 {
      var simulation = LeaseSimulation(
        seed: seed, gateways: 4, paths: [Self.key: [Self.org]],
        limits: [Self.org: MicroCredits(1_000)])
      for index in 0..<100 {
        simulation.add(
          key: Self.key, gateway: index % 4, minimum: 5, worst: 900, actual: 10, at: .zero,
          duration: .milliseconds(200))
      }
      simulation.run()
      #expect(simulation.problems.isEmpty, "seed \(seed): \(simulation.problems.prefix(3))")
      #expect(simulation.spent[Self.org] == Int64(1_000), "seed \(seed)")
    }
  }

  @Test("64 gateways on one account with enough money need few messages and refuse nothing")
  func manyGateways() {
    var simulation = LeaseSimulation(
      seed: 1, gateways: 64, paths: [Self.key: [Self.org]],
      limits: [Self.org: MicroCredits(1_000_000_000)])
    let count = 64 * 200
    for index in 0..<count {
      simulation.add(
        key: Self.key, gateway: index % 64, minimum: 10, worst: 1_000, actual: 300,
        at: .milliseconds(index % 20_000), duration: .seconds(1))
    }
    simulation.run()
    #expect(simulation.problems.isEmpty, "\(simulation.problems.prefix(3))")
    #expect(simulation.spent[Self.org] == Int64(count) * 300)
    // These are asks, grants, renewals and returns in both directions. Settlements, one per
    // request, are not counted.
    #expect(simulation.messages * 5 <= count, "\(simulation.messages) messages")
  }
}
