/// An error for the client or an operator: a code to match and a message that says what to do.
///
/// `ErrorLine.table` maps codes to the HTTP statuses and the codes that clients receive.
public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
  public var code: Code
  public var message: String
  /// Time to wait before a retry. `nil` means that no retry time is given.
  public var retryAfter: Duration?
  /// Member of the client's request that caused the failure, for example `tutti.rounds`. `nil`
  /// means no single member.
  public var param: String?
  /// A host's status and error, if the client is to receive them. They are not sent over the bus;
  /// the receiver derives the status from the code.
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

    // Codes of the gateway's error table.
    public static let invalidRequest = Code(rawValue: "invalid_request_error")
    public static let invalidAPIKey = Code(rawValue: "invalid_api_key")
    /// A token budget of the request, or a money budget above the client's key, does not pay for an
    /// answer.
    public static let budgetExhausted = Code(rawValue: "budget_exhausted")
    /// Running requests hold credits of a budget or balance that the request needs. A retry may
    /// succeed.
    public static let budgetHeld = Code(rawValue: "budget_held")
    /// The organisation's prepaid balance does not pay for the request.
    public static let insufficientBalance = Code(rawValue: "insufficient_balance")
    public static let permissionDenied = Code(rawValue: "permission_denied")
    public static let modelNotFound = Code(rawValue: "model_not_found")
    public static let requestTooLarge = Code(rawValue: "request_too_large")
    public static let overloaded = Code(rawValue: "overloaded")
    public static let rateLimited = Code(rawValue: "rate_limited")
    /// Every host that was asked is busy. The gateway sends clients `overloaded` instead. A
    /// dispatcher does not blame the agent that reports it.
    public static let hostsBusy = Code(rawValue: "hosts_busy")
    public static let upstreamFailed = Code(rawValue: "upstream_failed")
    public static let noEligibleHost = Code(rawValue: "no_eligible_host")
    public static let deadlineExceeded = Code(rawValue: "deadline_exceeded")

    // Codes of the bus.
    /// The peer died, left, or never existed.
    public static let peerLost = Code(rawValue: "peer_lost")
    /// No peer runs the requested service.
    public static let noPeer = Code(rawValue: "no_peer")
    public static let cancelled = Code(rawValue: "cancelled")
    /// The reader was too slow and its buffer is full.
    public static let slowReader = Code(rawValue: "slow_reader")
    /// An item of a stream was lost. The sequence numbers of the stream have a gap.
    public static let streamGap = Code(rawValue: "stream_gap")
    /// The outbox of the peer, or of this process, is full.
    public static let outboxFull = Code(rawValue: "outbox_full")
    public static let messageTooLarge = Code(rawValue: "message_too_large")
    /// The peer does not handle this kind of message.
    public static let unhandled = Code(rawValue: "unhandled")
    /// The process is draining.
    public static let shuttingDown = Code(rawValue: "shutting_down")
    /// A bug. The log has the reason.
    public static let internalError = Code(rawValue: "internal_error")
    /// The plan breaks a validation rule.
    public static let invalidPlan = Code(rawValue: "invalid_plan")

    /// Whether the peer that was called is gone or leaving, or an item of its stream was lost. If
    /// so, another peer may take over.
    public var isLostPeer: Bool {
      [.peerLost, .noPeer, .streamGap, .shuttingDown].contains(self)
    }
  }
}
