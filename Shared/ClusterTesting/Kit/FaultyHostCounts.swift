/// What a faulty host saw since it started.
public struct FaultyHostCounts: Codable, Hashable, Sendable {
  /// Requests by path.
  public var requests: [String: Int] = [:]
  /// Answers that went out whole.
  public var completed = 0
  /// Clients that left before their answer was whole.
  public var cancels: [Cancel] = []
  /// Requests being answered now, and the most there ever were at once.
  public var active = 0
  public var maximumActive = 0
  /// Connections that were made.
  public var connections = 0

  public init() {}

  /// All requests to /v1.
  public var inferences: Int {
    requests.reduce(0) { $0 + ($1.key.hasSuffix("/models") ? 0 : $1.value) }
  }

  public struct Cancel: Codable, Hashable, Sendable {
    public enum Phase: String, Codable, Sendable {
      case beforeFirstToken = "before_first_token"
      case midStream = "mid_stream"
      case nonStreaming = "non_streaming"
    }

    public var phase: Phase
    public var path: String
    /// Tokens sent before.
    public var tokens: Int
    /// Since the request had come whole.
    public var afterMilliseconds: Double

    enum CodingKeys: String, CodingKey {
      case phase, path, tokens
      case afterMilliseconds = "after_ms"
    }
  }

  enum CodingKeys: String, CodingKey {
    case requests, completed, cancels, active, connections
    case maximumActive = "max_active"
  }
}

/// A request as a faulty host received it.
public struct FaultyHostRequest: Hashable, Sendable {
  public var method: String
  public var path: String
  /// Names in lower case; the last of equal names.
  public var headers: [String: String]
  public var body: [UInt8]
}

/// Where a request can be held.
public enum FaultyHostPoint: Hashable, Sendable {
  /// The request has come; nothing was sent. Also for answers that are not streamed.
  case beforeFirstToken
  /// That many tokens of a stream were sent.
  case afterToken(Int)
}
