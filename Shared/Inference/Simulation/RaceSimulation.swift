public import ClusterModel
import InferenceCore

/// Puts many requests, one after the other, through the race that answers real ones, on virtual
/// time: only the hosts' latencies are made up.
public struct RaceSimulation: Sendable {
  public var model: LatencyModel
  public var mode: RaceMode
  /// Hosts that run at once, at most.
  public var hosts: Int
  /// First-token deadline in milliseconds.
  public var deadline: Double
  /// When `hedged` asks the next host, in milliseconds.
  public var hedgeAfter: Double

  /// A latency beyond this, in milliseconds, is cut: 30 years are as good as never, and clocks hold
  /// them.
  static let longest = 1e12

  /// - Parameter hedgeAfter: nil: the p95 of one host.
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

  /// - Returns: first-token latencies, sorted, with how many hosts were asked.
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

  /// One request: what happens next is either a leg's first token or the race's own timer.
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

/// What a simulation saw.
public struct RaceSample: Sendable {
  /// Milliseconds, ascending.
  public let latencies: [Double]
  /// Hosts asked, over all requests.
  public let asked: Int
  /// Requests that nobody answered before the deadline.
  public let missed: Int

  /// The smallest latency that at least a share p stays at or below.
  public func quantile(_ p: Double) -> Double {
    let rank = Int((p * Double(latencies.count)).rounded(.up))
    return latencies[min(max(rank, 1), latencies.count) - 1]
  }

  public var mean: Double { latencies.reduce(0, +) / Double(latencies.count) }
  public var missShare: Double { Double(missed) / Double(latencies.count) }
  /// Hosts asked beyond one a request, as a share of the requests.
  public var extraLoad: Double { Double(asked) / Double(latencies.count) - 1 }
}
