import ClusterModel
import ClusterTesting
import Inference
import InferenceCore
import Synchronization

/// Requests to four hosts. In the second run, each attempt fails with a probability of 20 %.
enum FaultsAsTheNorm {
  static let requests = 10_000
  static let deadlines = Deadlines(
    firstToken: .milliseconds(500), interToken: .milliseconds(250), total: .seconds(30))

  static func run() async throws {
    print("Failure as the norm: \(requests) requests, four hosts, faults at random")
    Table.line("", ["completed", "wrong text", "p50 ms", "p99 ms", "attempts"])
    for chance in [0, 0.2] {
      let seen = try await measure(chance)
      Table.line(
        chance == 0 ? "healthy" : "p = \(chance)",
        [
          Table.percent(Double(seen.completed) / Double(requests)), "\(seen.wrong)",
          Table.twoDecimals(seen.latencies.quantile(0.5)),
          Table.twoDecimals(seen.latencies.quantile(0.99)), Table.twoDecimals(seen.attempts),
        ])
      for (reason, count) in seen.reasons.sorted(by: { $0.value > $1.value }).prefix(5) {
        print("  \(count) × \(reason)")
      }
    }
  }

  static let text =
    "The quick brown fox jumps over the lazy dog, and then it rests in the shade of an old oak "
    + "tree until the evening comes and the air is cool enough to go on."

  static func configuration(seed: UInt64, chance: Double) -> FaultyHostConfiguration {
    FaultyHostConfiguration(
      answer: .text(text), firstToken: .logNormal(median: 2, sigma: 0.5),
      interToken: .constant(0.2), seed: seed,
      faults: chance == 0
        ? .none
        : FaultyHostFaults(
          random: [.drop, .stall, .garbage, .error, .status], probability: chance))
  }

  private struct Seen {
    var completed = 0
    var wrong = 0
    var milliseconds: [Double] = []
    var hosts = 0
    var reasons: [String: Int] = [:]

    var latencies: Latencies { Latencies(milliseconds) }
    var attempts: Double { Double(hosts) / Double(max(completed, 1)) }
  }

  private static func measure(_ chance: Double) async throws -> Seen {
    let configurations = (0..<4).map { configuration(seed: UInt64($0) + 1, chance: chance) }
    return try await Workbench.with(configurations) { bench in
      let seen = Mutex(Seen())
      let client = bench.client
      await bench.each(requests, atOnce: 16) { number in
        let began = ContinuousClock.now
        do {
          let answer = try await client.infer(
            Workbench.request(number: number),
            constraints: InferenceConstraints(deadlines: deadlines, seed: UInt64(number)))
          var got = ""
          var hosts = 0
          for try await event in answer {
            if case .chunk(let chunk) = event { got += chunk.facts.text }
            if case .finished(let summary) = event { hosts = summary.attempts.count }
          }
          let (whole, attempts) = (got, hosts)
          seen.withLock {
            $0.completed += 1
            if whole != text { $0.wrong += 1 }
            $0.hosts += attempts
            $0.milliseconds.append(Table.milliseconds(began.duration(to: .now)))
          }
        } catch {
          seen.withLock { $0.reasons["\(error)".prefix(1_000).description, default: 0] += 1 }
        }
      }
      return seen.withLock { $0 }
    }
  }
}
