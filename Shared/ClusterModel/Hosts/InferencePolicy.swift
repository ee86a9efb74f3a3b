/// How many hosts work on one request at the same time.
public enum RaceMode: String, Codable, CaseIterable, Sendable {
  /// Two hosts, or more if `inference.race_width` is larger, start at the same time. The first
  /// valid token wins.
  case dual
  /// A further host starts if the first takes longer than usual.
  case hedged
  /// One host at a time.
  case single
}

/// Time limits of an answer. If a host misses one of its limits, the answer fails over.
public struct Deadlines: Hashable, Sendable {
  /// Maximum time between sending a request to a host and its first valid token. `nil` means a
  /// limit from the host's history.
  public var firstToken: Duration?
  /// Maximum time between two chunks. `nil` means a limit from the host's history.
  public var interToken: Duration?
  /// Maximum time from the start of the inference to the end of the answer, over all attempts.
  public var total: Duration
  /// Minimum tokens per second of a host. `nil` means a limit from the host's history.
  public var minimumRate: Double?

  public static let standard = Deadlines()

  public init(
    firstToken: Duration? = nil, interToken: Duration? = nil, total: Duration = .seconds(600),
    minimumRate: Double? = nil
  ) {
    self.firstToken = firstToken
    self.interToken = interToken
    self.total = total
    self.minimumRate = minimumRate
  }
}

/// A request's settings for every inference made for it, by the gateway or by an agent.
///
/// Settings that are `nil` follow from the configuration or from the host's price and history.
public struct InferenceTerms: Hashable, Sendable {
  public var race: RaceMode?
  public var firstToken: Duration?
  public var interToken: Duration?
  /// Tokens per second.
  public var minimumRate: Double?

  public init(
    race: RaceMode? = nil, firstToken: Duration? = nil, interToken: Duration? = nil,
    minimumRate: Double? = nil
  ) {
    self.race = race
    self.firstToken = firstToken
    self.interToken = interToken
    self.minimumRate = minimumRate
  }

  public func deadlines(total: Duration) -> Deadlines {
    Deadlines(
      firstToken: firstToken, interToken: interToken, total: total, minimumRate: minimumRate)
  }
}

extension ModelID {
  /// Prefix of the gateway's own model names: `tutti/fast` and one per pattern.
  public static let ownPrefix = "tutti/"
}
