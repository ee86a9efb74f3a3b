public import ClusterModel
import InferenceCore

/// Runs many requests one after another through the real `Race`, in virtual time. Only the
/// latencies of the hosts are simulated.
public struct RaceSimulation: Sendable {
  public var model: LatencyModel
  public var mode: RaceMode
  /// Maximum hosts that are asked at once.
  public var hosts: Int
  /// First-token deadline in milliseconds.
  public var deadline: Double
  /// Delay in milliseconds before `hedged` asks the next host.
  var hedgeAfter: Double

  /// Maximum latency in milliseconds. 30 years are as good as never, and the simulated clock can
  /// represent them.
  static let longest = 1e12

  /// - Parameter hedgeAfter: delay in milliseconds. `nil` means the p95 of one host.
  public init(
    _ model: LatencyModel, mode: RaceMode = .dual, hosts: Int, deadline: Double,
    hedgeAfter: Double? = nil
  ) {
    self.model = model
    self.mode = mode
    self.hosts = hosts
    self.deadline = deadline
    self.hedgeAfter = min(hedgeAfter ?? model.quantile(0.95, hosts: 1), Self.longest)
  }

  /// - Returns: the sorted first-token latencies, and the numbers of hosts asked and deadlines
  ///   missed.
  public func run(samples: Int, seed: UInt64) -> RaceSample {
    var rng = SplitMix64(seed: seed)
    var latencies: [Double] = []
    latencies.reserveCapacity(samples)
    var asked = 0
    for _ in 0..<samples {
      let (latency, legs) = request(&rng)
      latencies.append(latency)
      asked += legs
    }
    let missed = latencies.count { $0 > deadline }
    latencies.sort()
    return RaceSample(latencies: latencies, asked: asked, missed: missed)
  }

  /// Simulates one request. The next event is either a leg's first token or the race's own timer.
  private func request(_ rng: inout SplitMix64) -> (latency: Double, legs: Int) {
    var race = Race(
      mode: mode, width: hosts, hedgeAfter: .microseconds(Int64((hedgeAfter * 1_000).rounded())))
    var arrivals: [Double] = []
    var now = 0.0
    var directives = race.begin()
    while true {
      for directive in directives {
        guard case .ask = directive else { continue }
        race.asked(AttemptID(arrivals.count), now: Self.instant(now))
        arrivals.append(now + min(model.sample(using: &rng), Self.longest))
      }
      var first = 0
      for index in arrivals.indices where arrivals[index] < arrivals[first] { first = index }
      if let wake = race.nextWake, Self.milliseconds(wake) < arrivals[first] {
        now = Self.milliseconds(wake)
        directives = race.tick(now: wake)
      } else {
        _ = race.spoke(AttemptID(first))
        return (arrivals[first], arrivals.count)
      }
    }
  }

  private static func instant(_ milliseconds: Double) -> Instant {
    Instant(sinceStart: .microseconds(Int64((milliseconds * 1_000).rounded())))
  }

  private static func milliseconds(_ instant: Instant) -> Double {
    instant.sinceStart.inSeconds * 1_000
  }
}

/// Result of a simulation.
public struct RaceSample: Sendable {
  /// First-token latencies in milliseconds, ascending.
  public let latencies: [Double]
  /// Number of hosts that were asked for all requests together.
  public let asked: Int
  /// Number of requests without an answer before the deadline.
  public let missed: Int

  /// The smallest latency that at least a share p of the requests does not exceed.
  public func quantile(_ p: Double) -> Double {
    let rank = Int((p * Double(latencies.count)).rounded(.up))
    return latencies[min(max(rank, 1), latencies.count) - 1]
  }

  public var mean: Double { latencies.reduce(0, +) / Double(latencies.count) }
  public var missShare: Double { Double(missed) / Double(latencies.count) }
  /// Hosts asked in addition to one per request, as a share of the requests.
  public var extraLoad: Double { Double(asked) / Double(latencies.count) - 1 }
}
