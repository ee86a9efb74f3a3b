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
  /// Bytes that were sent as a hostile host.
  public var hostileBytes = 0

  public init() {}

  /// Paths that tell about the host and ask it nothing.
  static let tellingPaths: Set<String> = ["/v1/models", "/api/tags", "/api/version"]

  /// All requests that want something of a model.
  public var inferences: Int {
    requests.reduce(0) { $0 + (Self.tellingPaths.contains($1.key) ? 0 : $1.value) }
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
    /// Which request it was, counted from one.
    public var number: Int
    /// When it was seen, in nanoseconds of the machine's monotonic clock.
    public var at: UInt64

    enum CodingKeys: String, CodingKey {
      case phase, path, tokens, number
      case afterMilliseconds = "after_ms"
      case at = "at_ns"
    }
  }

  enum CodingKeys: String, CodingKey {
    case requests, completed, cancels, active, connections
    case maximumActive = "max_active"
    case hostileBytes = "hostile_bytes"
  }
}

/// How one request went.
public struct FaultyHostRecord: Codable, Hashable, Sendable {
  public enum Outcome: String, Codable, Sendable {
    /// The answer, or the status, went out whole.
    case completed
    /// The client left before.
    case cancelled
    /// A fault ended it.
    case broken
  }

  /// Counted from one, in the order in which the requests came.
  public var number: Int
  public var path: String
  public var model: String
  public var streams: Bool
  /// Bytes of the prefix after which it was asked to go on; nil: the answer began anew.
  public var prefixBytes: Int?
  public var fault: FaultyHostFaults.Kind?
  /// Tokens sent.
  public var tokens = 0
  public var outcome = Outcome.completed
  public var cancelPhase: FaultyHostCounts.Cancel.Phase?
  /// When the request had come whole, and when it was over: nanoseconds of the machine's monotonic
  /// clock, which other processes of the machine read too.
  public var began: UInt64
  public var ended: UInt64 = 0

  enum CodingKeys: String, CodingKey {
    case number, path, model, streams, fault, tokens, outcome
    case prefixBytes = "prefix_bytes"
    case cancelPhase = "cancel_phase"
    case began = "began_ns"
    case ended = "ended_ns"
  }
}

/// Where a request can be held.
public enum FaultyHostPoint: Hashable, Sendable {
  /// The request has come; nothing was sent. Also for answers that are not streamed.
  case beforeFirstToken
  /// That many tokens of a stream were sent.
  case afterToken(Int)
}
