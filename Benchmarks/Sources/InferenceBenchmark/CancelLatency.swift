import ClusterModel
import ClusterTesting
import Inference
import InferenceCore

/// Time from a client's disconnect, or from the end of a race, until a host sees the cancel.
enum CancelLatency {
  static let rounds = 200

  static func run() async throws {
    print("Cancel latency, \(rounds) requests a line: the client leaves, the host sees it")
    Table.line("", ["client", "p50 ms", "p99 ms", "worst ms"])
    for phase in [FaultyHostPoint.beforeFirstToken, .afterToken(3)] {
      for stream in [true, false] {
        let latencies = try await measure(phase, stream)
        Table.line(
          phase == .beforeFirstToken ? "before the token" : "in mid-answer",
          [stream ? "streams" : "does not stream"]
            + [0.5, 0.99, 1].map { Table.twoDecimals(latencies.quantile($0)) })
      }
    }
    let beaten = try await losers()
    Table.line(
      "beaten in a race",
      ["either"] + [0.5, 0.99, 1].map { Table.twoDecimals(beaten.quantile($0)) })
  }

  private static func measure(_ point: FaultyHostPoint, _ stream: Bool) async throws -> Latencies {
    try await Workbench.with([FaultyHostConfiguration()]) { bench in
      let host = bench.hosts[0]
      var times: [Double] = []
      for number in 0..<rounds {
        let gate = host.hold(point)
        let client = bench.client
        let task = Task {
          let answer = try await client.infer(
            Workbench.request(stream: stream, number: number),
            constraints: InferenceConstraints(race: .single, seed: 1))
          for try await _ in answer {}
        }
        await gate.reached()
        let left = ContinuousClock.now
        task.cancel()
        _ = await host.wait { $0.cancels.count == number + 1 }
        times.append(Table.milliseconds(left.duration(to: .now)))
        gate.open()
        _ = try? await task.value
      }
      return Latencies(times)
    }
  }

  /// Time from the arrival of the winner's first token until the loser's host sees the cancel.
  private static func losers() async throws -> Latencies {
    try await Workbench.with([FaultyHostConfiguration(), FaultyHostConfiguration()]) { bench in
      var times: [Double] = []
      for number in 0..<rounds {
        let winner = bench.hosts[0].hold(.beforeFirstToken)
        let loser = bench.hosts[1].hold(.beforeFirstToken)
        let pending = bench.client.start(
          Workbench.request(number: number),
          constraints: InferenceConstraints(race: .dual, seed: UInt64(number)))
        // Wait, because cancelling a request that has not reached its host yet is invisible to that
        // host.
        await loser.reached()
        winner.open()
        let answer = try await pending.inference()
        let won = ContinuousClock.now
        _ = await bench.hosts[1].wait { $0.cancels.count == number + 1 }
        times.append(Table.milliseconds(won.duration(to: .now)))
        loser.open()
        if let answer { for try await _ in answer {} }
      }
      return Latencies(times)
    }
  }
}
