/// How many hosts work on one request at once.
public enum RaceMode: String, Codable, CaseIterable, Sendable {
  /// Two at once; the first valid token wins.
  case dual
  /// A second one when the first takes longer than it usually does.
  case hedged
  /// One at a time.
  case single
}

/// How long an answer may take. A host that misses one of them is abandoned, and another goes on.
public struct Deadlines: Hashable, Sendable {
  /// From sending the request to one host to its first valid token; nil: what the host's own history
  /// makes likely.
  public var firstToken: Duration?
  /// Between two chunks; nil: from the host's own history.
  public var interToken: Duration?
  /// From the client's request to the end of the answer, over all hosts that were tried.
  public var total: Duration
  /// Tokens a second below which a host crawls; nil: from the host's own history.
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

/// What a request says of every inference that is made for it, by the gateway or by an agent. What it
/// does not say follows from the host's price and history.
public struct InferenceTerms: Hashable, Sendable {
  public var race: RaceMode?
  public var firstToken: Duration?
  public var interToken: Duration?
  /// Tokens a second.
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
  /// What the names of a gateway's own begin with: `tutti/fast`, and one for each pattern.
  public static let ownPrefix = "tutti/"

  /// Whether it can be asked to chat, as far as its name tells: the OpenAI model list says nothing
  /// about what a model can do, and embedding models stand in it beside chat models.
  public var looksLikeChat: Bool {
    let name = name.lowercased()
    return !looksLikeEmbedding
      && !["embed", "rerank", "whisper", "tts-", "bge-", "clip-"].contains { name.contains($0) }
  }

  /// Whether it turns texts into vectors, as far as its name tells: `nomic-embed-text`,
  /// `bge-m3`, `all-minilm`, `multilingual-e5-small`.
  public var looksLikeEmbedding: Bool {
    let name = name.lowercased()
    guard !name.contains("rerank") else { return false }
    // As words of their own: "gte" and "e5" are in other names by chance.
    let words = name.split { !($0.isLetter || $0.isNumber) }
    return name.contains("embed") || words.contains { ["bge", "gte", "e5", "minilm"].contains($0) }
  }
}

/// The header that names the gateways a request came through, oldest first, so that a gateway whose
/// host is, by some detour, itself refuses the request instead of asking itself for ever.
public enum HopHeader {
  public static let name = "x-tutti-hops"
  /// Longer chains of gateways are a mistake too.
  public static let maximumHops = 16

  public static func value(_ hops: [String]) -> String { hops.joined(separator: ",") }

  public static func parse(_ value: String) -> [String] {
    value.split(separator: ",").map { $0.filter { $0 != " " && $0 != "\t" } }
      .filter { !$0.isEmpty }.map { String($0) }
  }
}
