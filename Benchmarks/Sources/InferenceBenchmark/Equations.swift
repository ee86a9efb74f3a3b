import ClusterModel
import InferenceCore
import InferenceSimulation

/// Compares equations 1–6 of LLooMA v1.1 with a million simulated races per case. The race core
/// runs them on virtual time.
enum Equations {
  static let samples = 1_000_000

  static func run() {
    print("Equations 1-6, \(samples) simulated requests a line; seen (equation)")
    Table.line("", ["k", "p50 ms", "p95 ms", "p99 ms", "missed 1 s", "mean ms"])
    var worst = 0.0
    var worstMissed = 0.0
    let models: [(String, LatencyModel)] = [
      ("log-normal 0.35", .logNormal(median: 700, sigma: 0.35)),
      ("log-normal 0.70", .logNormal(median: 700, sigma: 0.70)),
      ("Pareto 1.5", .pareto(minimum: 250, alpha: 1.5)),
    ]
    for (name, model) in models {
      for hosts in 1...3 {
        let seen = RaceSimulation(model, hosts: hosts, deadline: 1_000).run(
          samples: samples, seed: UInt64(hosts))
        var cells = ["\(hosts)"]
        for p in [0.5, 0.95, 0.99] {
          let expected = model.quantile(p, hosts: hosts)
          worst = max(worst, abs(seen.quantile(p) / expected - 1))
          cells.append("\(Table.whole(seen.quantile(p))) (\(Table.whole(expected)))")
        }
        let missed = model.missShare(deadline: 1_000, hosts: hosts)
        worstMissed = max(worstMissed, abs(seen.missShare - missed))
        cells.append("\(Table.percent(seen.missShare)) (\(Table.percent(missed)))")
        if case .pareto(_, let alpha) = model, alpha * Double(hosts) > 2,
          let mean = model.mean(hosts: hosts)
        {
          worst = max(worst, abs(seen.mean / mean - 1))
          cells.append("\(Table.whole(seen.mean)) (\(Table.whole(mean)))")
        } else {
          cells.append(Table.whole(seen.mean))
        }
        Table.line(name, cells)
      }
    }
    print(
      "largest deviation: \(Table.percent(worst)) of a quantile or mean, "
        + "\(Table.percent(worstMissed)) points of the missed share")

    print("\nHedged at the first host's p95, simulated")
    Table.line("", ["mode", "p50 ms", "p95 ms", "p99 ms", "load"])
    for (name, model) in models {
      for mode in [RaceMode.single, .hedged, .dual] {
        let seen = RaceSimulation(model, mode: mode, hosts: 2, deadline: 1_000).run(
          samples: samples, seed: 9)
        Table.line(
          name,
          [mode.rawValue] + [0.5, 0.95, 0.99].map { Table.whole(seen.quantile($0)) }
            + [Table.twoDecimals(1 + seen.extraLoad)])
      }
    }
  }
}
