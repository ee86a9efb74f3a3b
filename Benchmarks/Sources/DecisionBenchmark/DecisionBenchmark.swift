import AllocationCount
import ClusterModel
import InferenceCore

/// Cost of choosing one of a thousand hosts and of recording the outcome.
@main
enum DecisionBenchmark {
  static let hosts = 1_000
  static let decisions = 100_000

  static func main() {
    print("| \(hosts) hosts, \(decisions) times | µs each | allocations each |")
    print("|---|---|---|")
    var statistics = measuredStatistics()
    let now = at(100)
    let key = Array("conversation 1".utf8)
    let constraints = InferenceConstraints(seed: 1)
    var rng = SplitMix64(seed: 2)
    var sum = 0

    measure("choose one host") { _ in
      let view = statistics.view(now: now)
      let eligible = Eligibility(
        model: "m", constraints: constraints, view: view, promptTokens: 500)
      sum &+= HostChoice.choose(1, from: eligible, using: &rng).count
    }
    measure("choose two hosts for a race") { _ in
      let view = statistics.view(now: now)
      let eligible = Eligibility(
        model: "m", constraints: constraints, view: view, promptTokens: 500)
      sum &+= HostChoice.choose(2, from: eligible, using: &rng).count
    }
    measure("choose one host by affinity") { _ in
      let view = statistics.view(now: now)
      let eligible = Eligibility(
        model: "m", constraints: constraints, view: view, promptTokens: 500)
      sum &+= HostChoice.choose(1, from: eligible, .init(affinity: key), using: &rng).count
    }
    let all = statistics.view(now: now).table.hosts.map(\.id)
    measure("learn from one answer (three observations)") { number in
      let host = all[number % hosts]
      statistics.observe(.began(promptTokens: 500), of: host, started: now, now: now)
      statistics.observe(.firstToken, of: host, started: now, now: at(100.3))
      statistics.observe(.ended, of: host, started: now, now: at(101))
    }
    measure("choose, begin, answer: all of it") { number in
      let now = at(100 + Double(number) / 1_000)
      let view = statistics.view(now: now)
      let eligible = Eligibility(
        model: "m", constraints: constraints, view: view, promptTokens: 500)
      guard let host = HostChoice.choose(1, from: eligible, using: &rng).first?.host.id else {
        return
      }
      statistics.observe(.began(promptTokens: 500), of: host, started: now, now: now)
      statistics.observe(.firstToken, of: host, started: now, now: now)
      statistics.observe(.ended, of: host, started: now, now: now)
    }
    var table = loadTable(all)
    measure("take a merged load table", times: 1_000) { _ in
      table.revision += 1
      statistics.merge(table, now: now)
    }
    // Use the result, so that the loop is not optimised away.
    precondition(sum > 0)
  }

  static func measure(
    _ name: String, times: Int = decisions, _ body: (Int) -> Void
  ) {
    for number in 0..<min(1_000, times) { body(number) }
    let before = tutti_allocations()
    let clock = ContinuousClock()
    let time = clock.measure {
      for number in 0..<times { body(number) }
    }
    let allocations = Double(tutti_allocations() - before) / Double(times)
    let microseconds = time.inSeconds * 1e6 / Double(times)
    print("| \(name) | \(rounded(microseconds)) | \(rounded(allocations)) |")
  }

  static func rounded(_ value: Double) -> Double { (value * 100).rounded() / 100 }

  static func at(_ seconds: Double) -> Instant { Instant(sinceStart: .seconds(seconds)) }

  /// Statistics in which every host has answered some requests, in 0.1 … 2 s each.
  static func measuredStatistics() -> HostStatistics {
    var rng = SplitMix64(seed: 1)
    let table = HostTable(
      epoch: 1, revision: 1,
      hosts: (0..<hosts).map {
        Host(
          id: HostID("host-\($0)"), url: "http://10.0.0.\($0)", state: .ready,
          models: [
            ModelOffer(id: "m", contextTokens: 8_192), ModelOffer(id: ModelID("m\($0 % 10)")),
          ],
          slots: 4)
      })
    var statistics = HostStatistics(seed: 1)
    statistics.adopt(table, now: .zero)
    for host in table.hosts {
      for _ in 0..<5 {
        let start = at(Double.random(in: 80..<90, using: &rng))
        let end = start + .seconds(Double.random(in: 0.1...2, using: &rng))
        statistics.observe(.began(promptTokens: 500), of: host.id, started: start, now: start)
        statistics.observe(.firstToken, of: host.id, started: start, now: end)
        statistics.observe(.ended, of: host.id, started: start, now: end)
      }
    }
    return statistics
  }

  static func loadTable(_ hosts: [HostID]) -> LoadTable {
    LoadTable(
      epoch: 1, revision: 1,
      hosts: hosts.map {
        HostLoad(
          host: $0, inFlight: 1, firstTokenP50: .milliseconds(400),
          firstTokenP95: .milliseconds(900), samples: 5, probeAge: .seconds(1))
      }, merged: [])
  }
}
