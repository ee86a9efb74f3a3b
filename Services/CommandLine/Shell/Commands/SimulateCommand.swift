import ArgumentParser
import ClusterModel
import CommandLineCore
import InferenceSimulation

struct SimulateCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "simulate",
    abstract: "Simulate clusters with the code that runs real ones.",
    subcommands: [Race.self])

  struct Race: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "race",
      abstract: "Simulate how racing hosts changes first-token latency.",
      discussion: """
        Draws random first-token latencies, runs each request through the race code of the \
        gateway in virtual time, and prints the results next to the values of the equations \
        (LLooMA v1.1, section III). Without options: its table I (log-normal, median 700 ms, \
        deadline 1 s).

          tutti simulate race
          tutti simulate race --mode hedged
          tutti simulate race --pareto 250 --alpha 1.5 --hosts 1,2,3
          tutti simulate race --median 900 --sigma 0.35,1.2 --hosts 2 --deadline 1500

        Times are in milliseconds. "missed" is the share of requests that no host answered before \
        the deadline; "load" how many hosts a request asked, on average. For a hedged race there \
        is no closed form: the columns "eq." then have the values of one host without a race.
        """)

    @Option(help: "Median of the log-normal latency.")
    var median = 700.0
    @Option(help: "Sigmas of the log-normal latency, separated by commas.")
    var sigma: Numbers = Numbers([0.35, 0.7])
    @Option(help: "Draw from a Pareto distribution with this smallest latency instead.")
    var pareto: Double?
    @Option(help: "The Pareto distribution's alpha: the smaller, the heavier the tail.")
    var alpha: Numbers = Numbers([1.5])
    @Option(help: "How many hosts race (k), separated by commas, 1 to 16 each.")
    var hosts: Numbers = Numbers([1, 2, 3])
    @Option(help: "dual: all at once. hedged: the next one when --hedge-after has passed.")
    var mode: String = RaceMode.dual.rawValue
    @Option(help: "When a hedged race asks the next host. Default: the p95 of one host.")
    var hedgeAfter: Double?
    @Option(help: "First-token deadline (δ).")
    var deadline = 1_000.0
    @Option(help: "Requests for each row, 1,000 to 10,000,000.")
    var samples = 1_000_000
    @Option(help: "The same seed gives the same table.")
    var seed: UInt64 = 1

    func validate() throws {
      func positive(_ values: [Double], _ name: String) throws {
        guard values.allSatisfy({ $0 > 0 && $0.isFinite }) else {
          throw ValidationError("--\(name) must be above 0")
        }
      }
      try positive([median], "median")
      try positive(sigma.values, "sigma")
      try positive(alpha.values, "alpha")
      try positive([deadline], "deadline")
      if let pareto { try positive([pareto], "pareto") }
      if let hedgeAfter { try positive([hedgeAfter], "hedge-after") }
      guard hosts.values.allSatisfy({ (1...16).contains($0) && $0 == $0.rounded() }) else {
        throw ValidationError("--hosts: each must be an integer from 1 to 16")
      }
      guard (1_000...10_000_000).contains(samples) else {
        throw ValidationError("--samples must be from 1,000 to 10,000,000")
      }
      guard RaceMode(rawValue: mode) == .dual || RaceMode(rawValue: mode) == .hedged else {
        throw ValidationError("--mode: “\(mode)” is not dual or hedged")
      }
    }

    func run() async throws {
      let mode = RaceMode(rawValue: mode) ?? .dual
      let models =
        pareto.map { minimum in
          alpha.values.map { ("α \($0)", LatencyModel.pareto(minimum: minimum, alpha: $0)) }
        } ?? sigma.values.map { ("σ \($0)", LatencyModel.logNormal(median: median, sigma: $0)) }
      var table = TextTable(
        [("", .left), ("k", .right)]
          + ["p50", "p95", "p99", "missed", "mean", "load"].map { ($0, .right) }
          + ["p50", "p95", "p99", "missed", "mean"].map { ("\($0) eq.", .right) })
      for (name, model) in models {
        for count in hosts.values.map({ Int($0) }) {
          Terminal.progress("\(samples) requests: \(name), k = \(count)")
          let simulation = RaceSimulation(
            model, mode: mode, hosts: count, deadline: deadline, hedgeAfter: hedgeAfter)
          let seen = simulation.run(samples: samples, seed: seed)
          // The equations describe only races without a delay. For a hedged race, the table shows
          // their values for one host.
          let known = mode == .dual ? count : 1
          table.append(
            [name, "\(count)"] + [0.5, 0.95, 0.99].map { Self.whole(seen.quantile($0)) }
              + [
                Self.percent(seen.missShare), Self.whole(seen.mean),
                Self.twoDecimals(1 + seen.extraLoad),
              ]
              + [0.5, 0.95, 0.99].map { Self.whole(model.quantile($0, hosts: known)) }
              + [
                Self.percent(model.missShare(deadline: deadline, hosts: known)),
                model.mean(hosts: known).map(Self.whole) ?? "–",
              ])
        }
      }
      for line in table.lines { Terminal.line(line) }
    }

    /// Above 10¹⁵ ms (30,000 years), a power of ten is easier to read than digits.
    private static func whole(_ value: Double) -> String {
      value.magnitude < 1e15 ? "\(Int(value.rounded()))" : "\(value)"
    }

    private static func twoDecimals(_ value: Double) -> String {
      let hundredths = Int((value * 100).rounded())
      let rest = hundredths % 100
      return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }

    private static func percent(_ share: Double) -> String { twoDecimals(share * 100) + " %" }
  }
}

/// Numbers separated by commas.
struct Numbers: ExpressibleByArgument, CustomStringConvertible {
  let values: [Double]

  init(_ values: [Double]) { self.values = values }

  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    values = parts.compactMap { Double($0) }
    guard !values.isEmpty, values.count == parts.count, values.count <= 16 else { return nil }
  }

  var description: String {
    values.map { $0 == $0.rounded() ? "\(Int($0))" : "\($0)" }.joined(separator: ",")
  }
}
