public import ClusterModel

/// Bounds on what one request may cost the cluster.
public struct InferenceLimits: Hashable, Sendable {
  /// Race mode of requests that choose none. `nil` means that the price decides: `dual` if a race
  /// of two hosts costs nothing, otherwise `hedged`.
  public var race: RaceMode?
  /// Maximum legs of a race at once. Two legs remove most of the latency tail; a third adds little
  /// (LLooMA v1.1, table I).
  public var raceWidth = 2
  /// Maximum failed attempts, both before and during the answer. If one attempt in five fails at
  /// random, one request in 15,000 is lost.
  public var failures = 6
  /// Hosts whose answers end if they repeat one phrase without end.
  public var repetition = RepetitionWatch.tagged
  /// Maximum attempts that ask a host again without an addition that the host refused. Equals the
  /// number of possible additions, because servers name only one at a time.
  var formChanges = 8
  /// Delay before a hedge if the first host has no measured latency yet.
  var hedgeUnmeasured = Duration.seconds(1)
  /// Maximum hosts that work on one answer at once because earlier hosts are late.
  public var hostsAtOnce = 4
  /// Interval between searches for another host while hosts are late.
  var lookAgain = Duration.seconds(5)
  /// Silence after which a host that does not answer probes counts as dead. The time is long,
  /// because a host that reads a long prompt may miss some probes.
  var deadSilence = Duration.seconds(120)
  /// Maximum chunks without a token that are held before the first token.
  var heldChunks = 1_024

  /// Silence after which an answer counts as complete if all its choices have ended. Hosts send the
  /// usage chunk and `[DONE]` within milliseconds after the last token.
  var endPatience = Duration.seconds(5)

  /// Factor that extends the patience for a host that sends comments or pings but no token. Hosts
  /// that queue requests or read long prompts send a sign about every second.
  var signPatience = 4

  public init() {}

  /// The limits with the values that admins set at run time.
  public func overridden(by overrides: RuntimeOverrides) -> InferenceLimits {
    var limits = self
    if let race = overrides.choice(.inferenceRace, as: RaceDefault.self) { limits.race = race.mode }
    if let width = overrides.integer(.inferenceRaceWidth) { limits.raceWidth = width }
    if let failures = overrides.integer(.inferenceFailures) { limits.failures = failures }
    if let watch = overrides.choice(.inferenceRepetition, as: RepetitionWatch.self) {
      limits.repetition = watch
    }
    return limits
  }
}
