import ClusterModel
import ClusterTesting
import InferenceCore
import InferenceSimulation
import Synchronization

/// Races over real sockets, compared with the equations.
///
/// The hosts' first-token delays follow the distribution of the equations.
enum RealRace {
  static let requests = 2_000
  static let atOnce = 40

  static func run() async throws {
    print(
      "Races over real sockets, \(requests) requests a line, three hosts of one distribution; "
        + "seen (equation)")
    Table.line("", ["mode", "p50 ms", "p95 ms", "p99 ms", "hosts asked"])
    let shapes: [(String, DelayDistribution, LatencyModel)] = [
      (
        "log-normal 0.35", .logNormal(median: 200, sigma: 0.35),
        .logNormal(median: 200, sigma: 0.35)
      ),
      (
        "log-normal 0.70", .logNormal(median: 200, sigma: 0.70),
        .logNormal(median: 200, sigma: 0.70)
      ),
      ("Pareto 1.5", .pareto(minimum: 100, alpha: 1.5), .pareto(minimum: 100, alpha: 1.5)),
    ]
    for (name, delays, model) in shapes {
      for mode in [RaceMode.single, .hedged, .dual] {
        let (latencies, asked) = try await measure(delays, mode)
        let known = mode == .hedged ? nil : mode == .dual ? 2 : 1
        Table.line(
          name,
          [mode.rawValue]
            + [0.5, 0.95, 0.99].map { p in
              Table.whole(latencies.quantile(p))
                + (known.map { " (\(Table.whole(model.quantile(p, hosts: $0))))" } ?? "")
            } + [Table.twoDecimals(asked)])
      }
    }
  }

  private static func measure(
    _ delays: DelayDistribution, _ mode: RaceMode
  ) async throws -> (Latencies, Double) {
    let configurations = (0..<3).map {
      FaultyHostConfiguration(answer: .text("Yes."), firstToken: delays, seed: UInt64($0) + 1)
    }
    return try await Workbench.with(configurations) { bench in
      let seen = Mutex((first: [Double](), asked: 0))
      let client = bench.client
      @Sendable func ask(_ number: Int, counts: Bool) async {
        do {
          let answer = try await client.infer(
            Workbench.request(number: number),
            constraints: InferenceConstraints(race: mode, seed: UInt64(number)))
          var hosts = 0
          for try await event in answer {
            if case .finished(let summary) = event { hosts = summary.attempts.count }
          }
          guard counts else { return }
          seen.withLock {
            $0.first.append(Table.milliseconds(answer.firstToken))
            $0.asked += hosts
          }
        } catch {
          print("request \(number): \(error)")
        }
      }
      // Warm up, because a hedge waits for the measured p95 of its host.
      await bench.each(300, atOnce: atOnce) { await ask($0, counts: false) }
      await bench.each(requests, atOnce: atOnce) { await ask($0 + 300, counts: true) }
      let (first, asked) = seen.withLock { $0 }
      return (Latencies(first), Double(asked) / Double(max(first.count, 1)))
    }
  }
}
