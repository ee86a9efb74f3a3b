public import ClusterModel
public import HostModel
public import InferenceCore

/// Settings for choosing hosts and limiting the cost of a request. They are the same for all
/// processes that infer, so they have their own section in the file. The dispatcher, which places
/// tasks on hosts, uses only `rules`.
public struct InferenceConfiguration: Sendable {
  public var limits: InferenceLimits
  var score: HostScore
  public var rules: EligibilityRules

  private static let group = "Inference (the same for the gateway, the dispatcher and the agents)"
  private static let standard = HostScore.standard

  public static let settings = [
    Setting(.inferenceRace, group: group),
    Setting(.inferenceRaceWidth, group: group),
    Setting(.inferenceFailures, group: group),
    Setting(.inferenceRepetition, group: group),
    Setting(
      "inference.minimum_versions", .list(of: .text, atMost: 64),
      help: "Lowest versions of servers that get requests, such as vLLM=0.6.3, by the name that "
        + "`tutti hosts list --json` shows. A server that reports no version gets requests. The "
        + "dispatcher uses only this setting of the section.",
      group: group),
    real(
      "load_weight", 0...100, default: standard.weights.load,
      help: "Weight of a host's requests per slot in its score; the lowest score is the best."),
    real(
      "first_token_weight", 0...100, default: standard.weights.firstToken,
      help: "Weight of the host's time to the first token, at its 95th percentile."),
    real(
      "staleness_weight", 0...100, default: standard.weights.staleness,
      help: "Weight of the time since the host's last answered probe."),
    real(
      "error_weight", 0...100, default: standard.weights.errors,
      help: "Weight of the share of requests that failed by the host's fault."),
    real(
      "bucket_width", 0...1, default: standard.bucketWidth,
      help: "Hosts whose scores differ from the best by at most this count as equally good."),
  ]

  public init(_ values: inout SettingValues) {
    limits = InferenceLimits()
    limits.race = values.choice(.inferenceRace, as: RaceDefault.self).mode
    limits.raceWidth = values.integer(.inferenceRaceWidth)
    limits.failures = values.integer(.inferenceFailures)
    limits.repetition = values.choice(.inferenceRepetition, as: RepetitionWatch.self)
    score = .standard
    score.weights.load = values.real("inference.load_weight")
    score.weights.firstToken = values.real("inference.first_token_weight")
    score.weights.staleness = values.real("inference.staleness_weight")
    score.weights.errors = values.real("inference.error_weight")
    score.bucketWidth = values.real("inference.bucket_width")
    let lines = values.list("inference.minimum_versions")
    do throws(EligibilityRules.UnreadableVersion) {
      rules = try EligibilityRules(minimumVersions: lines)
    } catch {
      rules = EligibilityRules()
      values.reject(
        "inference.minimum_versions",
        "has a member \"\(error.line)\" that is not like vLLM=0.6.3")
    }
  }

  /// Initial statistics of a process that infers.
  /// - Parameters:
  ///   - own: this process on the bus.
  ///   - seed: seeds the breakers' jitter.
  public func statistics(own: PeerID, seed: UInt64) -> HostStatistics {
    HostStatistics(own: own, score: score, rules: rules, seed: seed)
  }

  private static func real(
    _ member: String, _ range: ClosedRange<Double>, default value: Double, help: String
  ) -> Setting {
    Setting("inference.\(member)", .real(range), default: "\(value)", help: help, group: group)
  }
}
