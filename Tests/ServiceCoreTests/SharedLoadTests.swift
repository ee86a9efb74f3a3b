import ClusterModel
import ClusterTesting
import InferenceCore
import RegistryCore
import Testing

private func peer(_ number: Int, incarnation: UInt64 = 1) -> PeerID {
  PeerID(name: "p\(number)", incarnation: incarnation)
}

@Suite("Merged load")
struct LoadAggregatorTests {
  private let hosts: [(host: HostID, age: Duration?)] = [("h0", .seconds(1)), ("h1", nil)]

  /// This is a function, because macros cannot call mutating methods.
  private func table(_ loads: inout LoadAggregator, _ now: Double) throws -> LoadTable {
    let table = loads.makeTableIfDue(probeAges: hosts, now: at(now))
    return try #require(table)
  }

  private func report(_ sequence: UInt64, _ lines: HostLoadReport...) -> LoadReport {
    LoadReport(sequence: sequence, hosts: lines)
  }

  @Test("running requests are summed over processes and replaced by the next report")
  func sums() throws {
    var loads = LoadAggregator(epoch: 3)
    loads.report(report(1, HostLoadReport(host: "h0", inFlight: 2)), from: peer(1), now: at(0))
    loads.report(report(4, HostLoadReport(host: "h0", inFlight: 3)), from: peer(2), now: at(0))
    let first = try table(&loads, 0)
    #expect(first.epoch == 3 && first.revision == 1)
    #expect(first.hosts.map(\.inFlight) == [5, 0])
    #expect(first.hosts.map(\.probeAge) == [.seconds(1), nil])
    #expect(
      first.merged == [.init(peer: peer(1), sequence: 1), .init(peer: peer(2), sequence: 4)])
    loads.report(report(5), from: peer(2), now: at(0.1))
    loads.report(report(3, HostLoadReport(host: "h0", inFlight: 9)), from: peer(2), now: at(0.1))
    let tooSoon = loads.makeTableIfDue(probeAges: hosts, now: at(0.2))
    #expect(tooSoon == nil)
    let second = try table(&loads, 0.25)
    #expect(second.hosts.map(\.inFlight) == [2, 0])
    let nothingNew = loads.makeTableIfDue(probeAges: hosts, now: at(2))
    #expect(nothingNew == nil)
    _ = try table(&loads, 2.25)
  }

  @Test("how answers slow each other down is learned from what all processes saw together")
  func slowdown() throws {
    var loads = LoadAggregator(epoch: 3)
    func line(_ flow: TokenFlow) -> HostLoadReport { HostLoadReport(host: "h0", flow: flow) }
    // Answers of the first process had the host to themselves. Answers of the second process ran at
    // the same time as two others.
    loads.report(
      report(1, line(TokenFlow(tokens: 300, over: .seconds(6)))), from: peer(1), now: at(0))
    let alone = try table(&loads, 0)
    #expect(alone.hosts[0].slowdown == nil)
    loads.report(
      report(1, line(TokenFlow(tokens: 300, over: .seconds(12), concurrency: 2))), from: peer(2),
      now: at(1))
    let both = try table(&loads, 1)
    #expect(abs(try #require(both.hosts[0].slowdown) - 0.5) < 1e-3)
    #expect(both.hosts[1].slowdown == nil)
  }

  @Test("a dead process's share goes with its lease, a silent one's later, its samples stay")
  func shares() throws {
    var loads = LoadAggregator(epoch: 3)
    let bucket = LatencyHistogram.bucket(of: .seconds(1))
    loads.report(
      report(
        1,
        HostLoadReport(
          host: "h0", inFlight: 2, firstTokens: [.init(bucket: bucket, count: 4)], answered: 3,
          failed: 1, flow: TokenFlow(tokens: 100, over: .seconds(10)), trips: 1, isOpen: true)),
      from: peer(1), now: at(0))
    loads.report(report(1, HostLoadReport(host: "h0", inFlight: 1)), from: peer(2), now: at(0))
    let both = try table(&loads, 0)
    #expect(both.hosts[0].inFlight == 3 && both.hosts[0].openBreakers == 1)
    #expect(abs(both.hosts[0].samples - 4) < 1e-6 && both.hosts[0].tokensPerSecond == 10)
    #expect(abs(both.hosts[0].errorRate - 1.0 / 6) < 1e-6 && loads.trips == 1)
    loads.retainPeers([
      Peer(id: peer(2), service: .gateway, mailbox: "ipc:///x", ttl: .seconds(2))
    ])
    let one = try table(&loads, 1)
    #expect(one.hosts[0].inFlight == 1 && one.hosts[0].openBreakers == 0)
    #expect(one.hosts[0].firstTokenP95 != nil)
    let silent = try table(&loads, 10)
    #expect(silent.hosts[0].inFlight == 0)
    let nobody = loads.makeTableIfDue(probeAges: [], now: at(20))
    #expect(nobody?.hosts.isEmpty == true)
  }

  @Test("a restarted process replaces itself")
  func restart() throws {
    var loads = LoadAggregator(epoch: 3)
    loads.report(report(9, HostLoadReport(host: "h0", inFlight: 2)), from: peer(1), now: at(0))
    loads.report(
      report(1, HostLoadReport(host: "h0", inFlight: 1)), from: peer(1, incarnation: 2),
      now: at(0.1))
    loads.report(report(10, HostLoadReport(host: "h0", inFlight: 7)), from: peer(1), now: at(0.2))
    let last = try table(&loads, 0.3)
    #expect(last.hosts[0].inFlight == 1 && last.merged.map(\.peer.incarnation) == [2])
  }
}

/// A simulated cluster in virtual time: seven processes that choose hosts independently, a registry
/// that merges their reports, ten equal hosts, and a slow bus.
private struct Herd {
  let processes = 7
  let hosts: Int
  let slots = 4
  /// Requests per second of the whole cluster; each takes one second on average.
  let rate: Double
  var isRegistryDeadFrom = Double.infinity
  var restartsAt = Double.infinity
  /// Whether processes exchange reports. Otherwise each process knows only its own requests.
  var shares = true

  struct Outcome {
    var total: [HostID: Int] = [:]
    var peak = 0
    var meanPeak = 0.0

    var busiest: Double {
      Double(total.values.max() ?? 0) * Double(total.count)
        / Double(total.values.reduce(0, +))
    }
  }

  func run(seed: UInt64, seconds: Double = 40) -> Outcome {
    var rng = SplitMix64(seed: seed)
    let table = HostTable(
      epoch: 1, revision: 1,
      hosts: (0..<hosts).map {
        Host(
          id: HostID("h\($0)"), url: "http://h\($0)", state: .ready, models: [.init(id: "m")],
          slots: slots)
      })
    var all = (0..<processes).map {
      HostStatistics(own: peer($0), seed: seed &+ UInt64($0))
    }
    for index in all.indices { all[index].adopt(table, now: .zero) }
    var loads = LoadAggregator(epoch: 1)
    var outcome = Outcome()
    for host in table.hosts { outcome.total[host.id] = 0 }
    var truth: [HostID: Int] = [:]
    var ends: [(time: Double, process: Int, host: HostID, started: Double)] = []
    var onTheWay: [(time: Double, table: LoadTable)] = []
    var nextReport = (0..<processes).map { Double($0) * 0.036 }
    var nextTable = 0.0
    var nextArrival = 0.0
    var peaks: [Int] = []
    var now = 0.0
    func exponential(_ mean: Double) -> Double {
      -mean * 0.693_147 * BinaryLogarithm.of(Double.random(in: 1e-12..<1, using: &rng))
    }
    while now < seconds {
      now += 0.01
      for end in ends where end.time <= now {
        all[end.process].observe(.firstToken, of: end.host, started: at(end.started), now: at(now))
        all[end.process].observe(.ended, of: end.host, started: at(end.started), now: at(now))
        truth[end.host, default: 0] -= 1
      }
      ends.removeAll { $0.time <= now }
      if shares {
        let lives = now < isRegistryDeadFrom || now > restartsAt
        if now > restartsAt, nextTable < restartsAt {
          loads = LoadAggregator(epoch: 2)
          nextTable = restartsAt
        }
        for index in all.indices where nextReport[index] <= now {
          nextReport[index] += 0.25
          guard let report = all[index].report(now: at(now)), lives else { continue }
          loads.report(report, from: peer(index), now: at(now))
        }
        if lives, nextTable <= now {
          nextTable = max(now, nextTable + 0.05)
          if let load = loads.makeTableIfDue(
            probeAges: table.hosts.map { ($0.id, .seconds(1)) }, now: at(now))
          {
            onTheWay.append((now + 0.01, load))
          }
        }
        for load in onTheWay where load.time <= now {
          for index in all.indices { all[index].merge(load.table, now: at(now)) }
        }
        onTheWay.removeAll { $0.time <= now }
      }
      while nextArrival <= now {
        nextArrival += exponential(1 / rate)
        let process = Int.random(in: 0..<processes, using: &rng)
        let view = all[process].view(now: at(now))
        let eligible = Eligibility(
          model: "m", constraints: InferenceConstraints(seed: 0), view: view)
        guard let host = HostChoice.choose(1, from: eligible, using: &rng).first?.host.id else {
          continue
        }
        all[process].observe(.began(promptTokens: 50), of: host, started: at(now), now: at(now))
        outcome.total[host, default: 0] += 1
        truth[host, default: 0] += 1
        // If a host has more requests than slots, each of them takes longer.
        let crowd = max(1, Double(truth[host] ?? 0) / Double(slots))
        ends.append((now + exponential(1) * crowd, process, host, now))
      }
      let peak = truth.values.max() ?? 0
      outcome.peak = max(outcome.peak, peak)
      peaks.append(peak)
    }
    outcome.meanPeak = Double(peaks.reduce(0, +)) / Double(peaks.count)
    return outcome
  }
}

@Suite("Seven processes do not herd")
struct HerdTests {
  @Test(
    "of ten equal hosts the busiest gets at most one and a half times the mean",
    arguments: 0..<3 as Range<UInt64>, [8.0, 28])
  func spread(seed: UInt64, rate: Double) {
    let outcome = Herd(hosts: 10, rate: rate).run(seed: seed)
    #expect(outcome.busiest <= 1.5, "\(outcome)")
  }

  @Test("the shared view keeps the fullest host emptier than seven views of one's own")
  func better() {
    var shared = 0.0
    var alone = 0.0
    for seed in 0..<3 as Range<UInt64> {
      shared += Herd(hosts: 10, rate: 28).run(seed: seed).meanPeak
      alone += Herd(hosts: 10, rate: 28, shares: false).run(seed: seed).meanPeak
    }
    #expect(shared < alone * 0.95, "\(shared / 3) against \(alone / 3)")
    #expect(shared / 3 < 7, "2.8 under way at a host on average")
  }

  @Test("a registry that dies, or starts anew, starts no herd", arguments: 0..<2 as Range<UInt64>)
  func registryDies(seed: UInt64) {
    let dead = Herd(hosts: 10, rate: 28, isRegistryDeadFrom: 20).run(seed: seed)
    #expect(dead.busiest <= 1.5, "\(dead)")
    let anew = Herd(hosts: 10, rate: 28, isRegistryDeadFrom: 20, restartsAt: 25).run(seed: seed)
    #expect(anew.busiest <= 1.5 && anew.peak < 20, "\(anew)")
  }
}
