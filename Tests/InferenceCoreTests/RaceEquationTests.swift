import ClusterModel
import InferenceCore
import InferenceSimulation
import Testing

/// Compares equations 1–6 of LLooMA v1.1 with the production race core, on virtual time.
///
/// 60,000 samples per case keep the suite quick. The tolerances follow from that number: the
/// standard error of a p99 of 60,000 samples is about 1.1 % for sigma 0.7. `make bench` takes a
/// million samples, within 2 %.
@Suite("The race against the equations")
struct RaceEquationTests {
  static let samples = 60_000
  /// Cases of table I, with a median of 700 ms and a deadline of 1 s.
  static let cases:
    [(sigma: Double, hosts: Int, p50: Double, p95: Double, p99: Double, missed: Double)] =
      [
        (0.35, 1, 700, 1_245, 1_580, 0.1541), (0.35, 2, 578, 913, 1_096, 0.02374),
        (0.35, 3, 525, 787, 922, 0.00366), (0.70, 1, 700, 2_214, 3_567, 0.3052),
        (0.70, 2, 478, 1_192, 1_717, 0.0931), (0.70, 3, 394, 886, 1_215, 0.0284),
      ]

  @Test("the closed forms give table I", arguments: 0..<6)
  func table(index: Int) {
    let line = Self.cases[index]
    let model = LatencyModel.logNormal(median: 700, sigma: line.sigma)
    for (p, expected) in [(0.5, line.p50), (0.95, line.p95), (0.99, line.p99)] {
      #expect(abs(model.quantile(p, hosts: line.hosts) - expected) <= 1, "p\(p)")
    }
    #expect(abs(model.missShare(deadline: 1_000, hosts: line.hosts) - line.missed) < 0.0002)
    let median = model.quantile(0.5, hosts: line.hosts)
    #expect(abs(model.cumulative(median, hosts: line.hosts) - 0.5) < 1e-9)
    #expect(
      abs(model.gain(0.95, hosts: line.hosts) * model.quantile(0.95, hosts: 1) - line.p95) <= 1)
  }

  @Test(
    "simulated races have the quantiles and the missed share of equations 1 to 4", arguments: 0..<6)
  func logNormal(index: Int) {
    let line = Self.cases[index]
    let model = LatencyModel.logNormal(median: 700, sigma: line.sigma)
    let seen = RaceSimulation(model, hosts: line.hosts, deadline: 1_000)
      .run(samples: Self.samples, seed: 7)
    for (p, tolerance) in [(0.5, 0.02), (0.95, 0.02), (0.99, 0.05)] {
      let expected = model.quantile(p, hosts: line.hosts)
      #expect(abs(seen.quantile(p) / expected - 1) < tolerance, "p\(p): \(seen.quantile(p))")
    }
    #expect(abs(seen.missShare - line.missed) < 0.006)
    #expect(seen.asked == Self.samples * line.hosts)
  }

  @Test("latencies that no clock holds are cut, not a crash", arguments: [RaceMode.dual, .hedged])
  func beyond(mode: RaceMode) {
    let model = LatencyModel.logNormal(median: 1e300, sigma: 30)
    let seen = RaceSimulation(model, mode: mode, hosts: 2, deadline: 1_000)
      .run(samples: 100, seed: 1)
    #expect(seen.missShare == 1 && seen.quantile(0.5).isFinite)
  }

  @Test("simulated races of heavy-tailed hosts follow equations 5 and 6", arguments: 1...3)
  func pareto(hosts: Int) throws {
    let model = LatencyModel.pareto(minimum: 250, alpha: 1.5)
    let seen = RaceSimulation(model, hosts: hosts, deadline: 1_000)
      .run(samples: Self.samples, seed: 11)
    for (p, tolerance) in [(0.5, 0.02), (0.95, 0.04), (0.99, 0.08)] {
      let expected = model.quantile(p, hosts: hosts)
      #expect(abs(seen.quantile(p) / expected - 1) < tolerance, "p\(p): \(seen.quantile(p))")
    }
    // With alpha · k ≤ 2 the variance of the mean is infinite, so the means are not comparable.
    if 1.5 * Double(hosts) > 2 {
      #expect(abs(seen.mean / (try #require(model.mean(hosts: hosts))) - 1) < 0.02)
    }
  }

  @Test("a Pareto race has no mean where alpha · k is at most 1")
  func noMean() {
    #expect(LatencyModel.pareto(minimum: 250, alpha: 0.5).mean(hosts: 2) == nil)
    #expect(LatencyModel.pareto(minimum: 250, alpha: 0.5).mean(hosts: 3) != nil)
  }

  @Test("hedging at one host's p95 costs some 5 % more load and keeps most of the tail's gain")
  func hedged() {
    let model = LatencyModel.logNormal(median: 700, sigma: 0.7)
    let dual = RaceSimulation(model, mode: .dual, hosts: 2, deadline: 1_000)
      .run(samples: Self.samples, seed: 3)
    let hedged = RaceSimulation(model, mode: .hedged, hosts: 2, deadline: 1_000)
      .run(samples: Self.samples, seed: 3)
    #expect(dual.extraLoad == 1)
    #expect(abs(hedged.extraLoad - 0.05) < 0.005)
    #expect(hedged.quantile(0.99) < model.quantile(0.99, hosts: 1))
    #expect(hedged.quantile(0.99) > dual.quantile(0.99))
  }

  @Test("the same seed gives the same simulation")
  func deterministic() {
    let simulation = RaceSimulation(
      .pareto(minimum: 250, alpha: 1.5), mode: .hedged, hosts: 3, deadline: 1_000)
    #expect(
      simulation.run(samples: 1_000, seed: 5).latencies
        == simulation.run(samples: 1_000, seed: 5).latencies)
  }
}
