import ClusterModel

/// Compares the dispatcher with the best schedule, in virtual time through its real core.
///
///     PlanBenchmark
@main
enum PlanBenchmark {
  static func main() throws {
    try tenDocuments()
    print("")
    try small()
  }

  /// Four hosts with speeds that depend on the seed. The last host joins during the plan, and
  /// another one dies.
  static func cluster(seed: UInt64) -> [SimulatedHost] {
    var rng = SplitMix64(seed: seed)
    var hosts = [1.4, 1.0, 0.8, 0.6].map {
      SimulatedHost(speed: $0 * (0.85 + 0.3 * Double.random(in: 0..<1, using: &rng)))
    }
    hosts.shuffle(using: &rng)
    hosts[3].joins = 4 + 2 * Double.random(in: 0..<1, using: &rng)
    hosts[Int(rng.next() % 3)].dies = 8 + 4 * Double.random(in: 0..<1, using: &rng)
    return hosts
  }

  static func tenDocuments() throws {
    print("Ten documents, 32 units, four hosts; one joins at about 5 s, one dies at about 10 s")
    line(
      "",
      [
        "makespan s", "best list s", "ratio", "bound s", "ratio", "× mean", "× fastest",
        "at once s", "ratio",
      ])
    for seed in UInt64(1)...5 {
      let work = DocumentWork(documents: 10, seed: seed)
      let hosts = cluster(seed: seed)
      let late = try makespan(work, hosts, dispatch: .whenFree)
      let early = try makespan(work, hosts, dispatch: .atOnce)
      let best = BestSchedule(work, hosts).byList(tries: 20_000, seed: seed)
      let bound = BestSchedule.bound(work, hosts)
      let mean = hosts.reduce(0) { $0 + $1.speed } / Double(hosts.count)
      let fastest = hosts.map(\.speed).max() ?? 1
      line(
        "seed \(seed)",
        [
          decimals(late), decimals(best), decimals(late / best), decimals(bound),
          decimals(late / bound), decimals(work.seconds / mean / late),
          decimals(work.seconds / fastest / late), decimals(early), decimals(early / best),
        ])
    }
  }

  /// Compares plans that are small enough to try every schedule. No host joins or dies.
  static func small() throws {
    print("Two documents, 8 units, three hosts: every schedule tried")
    line("", ["makespan s", "best list s", "best of all s", "ratio"])
    for seed in UInt64(1)...5 {
      let work = DocumentWork(documents: 2, seed: seed)
      let hosts = cluster(seed: seed).prefix(3).map { SimulatedHost(speed: $0.speed) }
      let late = try makespan(work, hosts, dispatch: .whenFree)
      let schedule = BestSchedule(work, hosts)
      let list = schedule.byList(tries: 20_000, seed: seed)
      let best = schedule.exhaustive()
      line("seed \(seed)", [decimals(late), decimals(list), decimals(best), decimals(late / best)])
    }
  }

  private static func makespan(
    _ work: DocumentWork, _ hosts: [SimulatedHost], dispatch: ClusterSimulation.Dispatch
  ) throws -> Double {
    var simulation = try ClusterSimulation(work, hosts, dispatch: dispatch)
    simulation.play()
    return simulation.makespan ?? .infinity
  }

  private static func line(_ name: String, _ cells: [String]) {
    print(
      name + String(repeating: " ", count: max(1, 8 - name.count))
        + cells.map { String(repeating: " ", count: max(1, 14 - $0.count)) + $0 }.joined())
  }

  private static func decimals(_ value: Double) -> String {
    let hundredths = Int((value * 100).rounded())
    return "\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100)"
  }
}
