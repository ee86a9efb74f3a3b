/// A reason that goes to the client or an operator: a code to match, and a sentence that says what
/// to do. The codes are those of the gateway's error table.
public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
  public var code: Code
  public var message: String
  /// How long to wait before trying again, where that helps.
  public var retryAfter: Duration?
  /// The member of the client's request that it is about, for example `tutti.rounds`; nil: none of
  /// them, or the request as a whole.
  public var param: String?
  /// The status and the error of the hosts, if the client is to get them as its answer. It does not
  /// travel over the bus: there the code stands for the status.
  public var refusal: HostRefusal?

  public init(
    _ code: Code, _ message: String, retryAfter: Duration? = nil, param: String? = nil,
    refusal: HostRefusal? = nil
  ) {
    self.code = code
    self.message = message
    self.retryAfter = retryAfter
    self.param = param
    self.refusal = refusal
  }

  public var description: String { "\(code.rawValue): \(message)" }

  public struct Code: Hashable, Sendable, RawRepresentable, CustomStringConvertible {
    public let rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public var description: String { rawValue }

    // Of the gateway's table.
    public static let invalidRequest = Code(rawValue: "invalid_request_error")
    public static let invalidAPIKey = Code(rawValue: "invalid_api_key")
    /// What the client allowed for one request is spent, and there is no answer. Asking again would
    /// spend it again.
    public static let budgetExhausted = Code(rawValue: "budget_exhausted")
    public static let permissionDenied = Code(rawValue: "permission_denied")
    public static let modelNotFound = Code(rawValue: "model_not_found")
    public static let requestTooLarge = Code(rawValue: "request_too_large")
    public static let overloaded = Code(rawValue: "overloaded")
    public static let rateLimited = Code(rawValue: "rate_limited")
    public static let upstreamFailed = Code(rawValue: "upstream_failed")
    public static let noEligibleHost = Code(rawValue: "no_eligible_host")
    public static let deadlineExceeded = Code(rawValue: "deadline_exceeded")

    // Of the bus.
    /// The peer died, left, or was never there.
    public static let peerLost = Code(rawValue: "peer_lost")
    /// Nobody runs the service that was asked for.
    public static let noPeer = Code(rawValue: "no_peer")
    public static let cancelled = Code(rawValue: "cancelled")
    /// The reader was too slow and its buffer is full.
    public static let slowReader = Code(rawValue: "slow_reader")
    /// A stream's sequence numbers have a hole: an item was lost.
    public static let streamGap = Code(rawValue: "stream_gap")
    /// The outbox to that peer, or this process, is full.
    public static let outboxFull = Code(rawValue: "outbox_full")
    public static let messageTooLarge = Code(rawValue: "message_too_large")
    /// The peer does not handle this kind of message.
    public static let unhandled = Code(rawValue: "unhandled")
    /// The process is draining.
    public static let shuttingDown = Code(rawValue: "shutting_down")
    /// A bug: the reason is in the log.
    public static let internalError = Code(rawValue: "internal_error")
    /// A plan that breaks a rule of its kind.
    public static let invalidPlan = Code(rawValue: "invalid_plan")
  }
}
