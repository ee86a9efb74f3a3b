/// How many hosts work on one request at once.
public enum RaceMode: String, Codable, CaseIterable, Sendable {
  /// Two at once; the first valid token wins.
  case dual
  /// A second one when the first takes longer than it usually does.
  case hedged
  /// One at a time.
  case single
}

/// How long an answer may take. A host that misses one of them is abandoned.
public struct Deadlines: Hashable, Sendable {
  /// From sending the request to one host to its first valid token. For an answer that is not
  /// streamed only `total` counts: nothing is seen before its end.
  public var firstToken: Duration
  /// Between two chunks.
  public var interToken: Duration
  /// From the client's request to the end of the answer, over all hosts that were tried.
  public var total: Duration

  /// Long enough for 4,000 prompt tokens on a laptop's processor (some 100 tokens a second), short
  /// enough that a person is still there.
  public static let standard = Deadlines(
    firstToken: .seconds(60), interToken: .seconds(30), total: .seconds(600))

  public init(firstToken: Duration, interToken: Duration, total: Duration) {
    self.firstToken = firstToken
    self.interToken = interToken
    self.total = total
  }
}

extension ModelID {
  /// Whether it can be asked to chat, as far as its name tells: the OpenAI model list says nothing
  /// about what a model can do, and embedding models stand in it beside chat models.
  public var looksLikeChat: Bool {
    let name = name.lowercased()
    return !["embed", "rerank", "whisper", "tts-", "bge-", "clip-"].contains { name.contains($0) }
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
