import ClusterModel

/// Counters of a faulty host since its creation.
public struct FaultyHostCounts: Codable, Hashable, Sendable {
  /// Requests by path.
  public var requests: [String: Int] = [:]
  /// Answers whose end was sent, also if a fault caused the end.
  public var completed = 0
  /// Clients that disconnected before the end of their answers.
  public var cancels: [Cancel] = []
  /// Requests being answered now, and the maximum at any time.
  public var active = 0
  var maximumActive = 0
  /// Accepted connections.
  public var connections = 0
  /// Bytes sent for answers that play a `HostileRow`.
  public var hostileBytes = 0

  /// Number of requests that need a model.
  public var inferences: Int {
    requests.reduce(0) { $0 + (HostDialect.runsModel($1.key) ? $1.value : 0) }
  }

  public struct Cancel: Codable, Hashable, Sendable {
    public enum Phase: String, Codable, Sendable {
      case beforeFirstToken = "before_first_token"
      case midStream = "mid_stream"
      case nonStreaming = "non_streaming"
    }

    public var phase: Phase
    var path: String
    /// Tokens sent before the cancel.
    public var tokens: Int
    /// Milliseconds since the request was received completely.
    var afterMilliseconds: Double
    /// Number of the request, counted from one.
    public var number: Int
    /// Time of the cancel, in nanoseconds of the machine's monotonic clock.
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

/// Record of one request.
public struct FaultyHostRecord: Codable, Hashable, Sendable {
  public enum Outcome: String, Codable, Sendable {
    /// The end of the response was sent, also after `endAtToken`, `errorAtToken` or `garbage`.
    case completed
    /// The client disconnected first.
    case cancelled
    /// A fault of a `kind` ended the stream, or the host closed the connection.
    case broken
  }

  /// Number of the request, counted from one in order of arrival.
  public var number: Int
  var path: String
  public var model: String
  public var streams: Bool
  /// Bytes of the prefix to resume after; `nil` means that the answer started from the beginning.
  public var prefixBytes: Int?
  public var fault: FaultyHostFaults.Kind?
  /// Tokens sent.
  public var tokens = 0
  public var outcome = Outcome.completed
  public var cancelPhase: FaultyHostCounts.Cancel.Phase?
  /// Time at which the last byte of the request arrived, in nanoseconds of the machine's monotonic
  /// clock. Other processes on the machine can compare it with their own times. `ended` is on the
  /// same clock.
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

/// A point at which a request can be held.
public enum FaultyHostPoint: Hashable, Sendable {
  /// The request was received and nothing was sent. Applies to unstreamed answers too.
  case beforeFirstToken
  /// That many tokens of a stream have been sent.
  case afterToken(Int)
}
