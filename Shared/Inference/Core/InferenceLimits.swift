/// Bounds on what one request may cost the cluster.
public struct InferenceLimits: Hashable, Sendable {
  /// Hosts that race at once. Two take most of a tail away, a third little more (LLooMA v1.1,
  /// table I).
  public var raceWidth = 2
  /// Attempts that may fail, in the race and in mid-answer together: where one in five fails, one
  /// request in 15,000 is lost.
  public var failures = 6
  /// Attempts after which the same host is asked again without what it refused of Tutti's additions:
  /// as many as there are additions, since servers name one at a time.
  public var formChanges = 8
  /// Before a hedge where the first host has no latency of its own yet.
  public var hedgeUnmeasured = Duration.seconds(1)
  /// Hosts that work on one answer at once because those that were asked before are late.
  public var hostsAtOnce = 4
  /// How often it is looked for another host while hosts are late.
  public var lookAgain = Duration.seconds(5)
  /// Silence after which a host that does not answer probes is dead. One that reads a long prompt may
  /// miss some probes.
  public var deadSilence = Duration.seconds(120)
  /// Chunks without a word that are kept before the first token.
  public var heldChunks = 1_024

  /// Silence after which an answer whose choices have all ended is taken as whole. The usage chunk
  /// and `[DONE]` follow the last word within milliseconds.
  public var endPatience = Duration.seconds(5)

  /// How many times as long a host is waited for that sends comments or pings and no token. Hosts that
  /// queue requests, or read long prompts, send one each second or so.
  public var signPatience = 4

  public init() {}
}
