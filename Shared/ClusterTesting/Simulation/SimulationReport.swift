/// Result of one run.
public struct SimulationReport: Sendable {
  let scenario: Scenario
  /// Broken invariants; empty if the run is correct.
  public let violations: [String]
  public let log: [String]
  /// The digest of the log (`EventLog`). Runs with different digests differ.
  let digest: UInt64
  let answered: Int
  let failed: Int
  let deaths: Int
  let frames: Int
  let lostFrames: Int
  /// Frames that reached a restarted process and were meant for its predecessor.
  let misdirected: Int

  init(_ cluster: SimulatedCluster) {
    scenario = cluster.scenario
    violations = cluster.violations
    log = cluster.log.lines
    digest = cluster.log.digest
    answered = cluster.requests.count { if case .answered? = $0.outcome { true } else { false } }
    failed = cluster.requests.count - answered
    deaths = cluster.deaths.count
    frames = cluster.network.frames
    lostFrames = cluster.network.lost
    misdirected = cluster.misdirected
  }

  /// One line for a list of runs.
  public var summary: String {
    "\(scenario.description); \(answered) answered, \(failed) not, \(frames) frames, "
      + "\(lostFrames) lost, \(misdirected) misdirected, digest \(String(digest, radix: 16)): "
      + (violations.isEmpty ? "ok" : "\(violations.count) VIOLATIONS")
  }
}
