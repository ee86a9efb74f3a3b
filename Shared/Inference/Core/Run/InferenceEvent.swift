public import ClusterModel

/// One element of an answer. The sequence of elements ends with `finished`, or it throws.
public enum InferenceEvent: Hashable, Sendable {
  /// One chunk of a streamed answer.
  case chunk(InferenceChunk)
  /// The whole body if the client does not stream: the host's own body, or one that is assembled
  /// from the chunks of a stream.
  case body([UInt8])
  /// Another host resumes the answer. The next chunks come from this host.
  case resumed(InferenceOpening)
  case finished(InferenceSummary)
}

/// One event of a host's stream: its bytes and the facts read from them.
public struct InferenceChunk: Hashable, Sendable {
  /// JSON of the chunk in OpenAI's dialect, without `data: `.
  public var data: [UInt8]
  public var facts: ChunkFacts

  public init(data: [UInt8], facts: ChunkFacts) {
    self.data = data
    self.facts = facts
  }
}

/// Facts known when an answer begins, or when another host resumes it.
public struct InferenceOpening: Hashable, Sendable {
  public var host: HostID
  public var model: ModelID
  /// HTTP status of the host's answer.
  public var status: Int
  /// Time from the request to the first valid token or the whole body, including failed attempts.
  public var firstToken: Duration
  public var attempt: Int
  /// The host's own name of the model (see `AttemptRecord`).
  public var hostModel: ModelID
  public var tier: HostTier

  public init(
    host: HostID, model: ModelID, status: Int, firstToken: Duration, attempt: Int,
    hostModel: ModelID? = nil, tier: HostTier = .community
  ) {
    self.host = host
    self.model = model
    self.hostModel = hostModel ?? model
    self.tier = tier
    self.status = status
    self.firstToken = firstToken
    self.attempt = attempt
  }
}

/// Summary of one inference, reported at its end.
public struct InferenceSummary: Hashable, Sendable {
  public var host: HostID
  public var model: ModelID
  /// Prompt tokens of the client's request, counted once, and completion tokens that the client got
  /// from all hosts.
  ///
  /// The counts are estimates if a host reported none or if several hosts answered. A prompt is
  /// estimated at one token per four bytes. A completion is estimated at one token per chunk, or at
  /// one per four bytes if chunks are longer than tokens.
  public var usage: Usage
  /// Why the answer ended. Empty for embeddings, which have no finish reason.
  public var finishReason: String
  public var firstToken: Duration
  public var total: Duration
  /// All attempts, in the order in which they ended.
  public var attempts: [AttemptRecord]

  public init(
    host: HostID, model: ModelID, usage: Usage, finishReason: String, firstToken: Duration,
    total: Duration, attempts: [AttemptRecord]
  ) {
    self.host = host
    self.model = model
    self.usage = usage
    self.finishReason = finishReason
    self.firstToken = firstToken
    self.total = total
    self.attempts = attempts
  }
}

/// Reason for an attempt.
public enum AttemptRole: String, CaseIterable, Sendable {
  case first
  /// A further leg of a race.
  case speculative
  /// An attempt after a failure before the first token.
  case retry
  /// Resumes an answer that another attempt or another process began.
  case resumption
}

/// How an attempt ended.
public enum AttemptOutcome: Hashable, Sendable {
  /// The host sent the last token of the answer.
  case answered
  /// Another host was faster, and this attempt was cancelled. This is not a failure.
  case beaten
  case failed(AttemptFailure)
}

/// Why Tutti ended an answer that its host would have continued. The host did not fail.
public enum AttemptEnding: String, CaseIterable, Sendable {
  /// The host repeated one phrase without end.
  case repetition
}

/// Record of one attempt, for traces and for the payout of its host.
public struct AttemptRecord: Hashable, Sendable {
  public var host: HostID
  public var model: ModelID
  /// The host's own name of the model, which differs from `model` for an alias. The host's pay
  /// depends on it.
  public var hostModel: ModelID
  public var role: AttemptRole
  public var tier: HostTier
  /// Times from the start of the request to the start and the end of the attempt.
  public var started: Duration
  public var ended: Duration
  /// Tokens that the host generated for this request, including tokens that the client did not get.
  /// If the host reported no count, its chunks give an estimate.
  public var tokens: Int
  /// Changes that undo additions by Tutti in this attempt, because hosts had refused the additions.
  public var form: RequestForm
  public var outcome: AttemptOutcome
  /// Whether the host was asked although its breaker admitted no request, or although the host was
  /// closed to the client. Usually no other host was left.
  public var isPanic: Bool
  /// Why Tutti ended the host's answer. `nil` means that it did not.
  public var ending: AttemptEnding?
  /// How the price decided for the host. `nil` means that it did not decide.
  public var price: PriceChoice?

  public init(
    host: HostID, model: ModelID, role: AttemptRole = .first, tier: HostTier = .community,
    started: Duration, ended: Duration, tokens: Int = 0, form: RequestForm = [],
    outcome: AttemptOutcome, isPanic: Bool = false, hostModel: ModelID? = nil,
    ending: AttemptEnding? = nil, price: PriceChoice? = nil
  ) {
    self.host = host
    self.model = model
    self.hostModel = hostModel ?? model
    self.role = role
    self.tier = tier
    self.started = started
    self.ended = ended
    self.tokens = tokens
    self.form = form
    self.outcome = outcome
    self.isPanic = isPanic
    self.ending = ending
    self.price = price
  }

  public var failure: AttemptFailure? {
    guard case .failed(let failure) = outcome else { return nil }
    return failure
  }

  /// Whether the attempt counts as part of the answer: it has tokens and was not beaten.
  public var isInAnswer: Bool { tokens > 0 && outcome != .beaten }

  /// Whether the host began an answer and broke it off by a fault of its own.
  public var isBrokenOff: Bool {
    guard tokens > 0, let failure else { return false }
    return switch failure.kind {
    case .connect, .lostBeforeHead, .lost, .busy, .status, .stall, .crawl, .cut, .garbage,
      .errorEvent:
      true
    // The client or a limit ended the answer, or the hosts' texts do not join.
    case .rejected, .formRefused, .contextTooSmall, .firstTokenDeadline, .totalDeadline, .badJoint,
      .unsuited, .noSecret, .tooLarge, .consumerLeft:
      false
    }
  }
}

/// Why an attempt failed, before or during its answer.
public struct AttemptFailure: Error, Hashable, Sendable {
  public enum Kind: String, CaseIterable, Sendable {
    /// No connection could be opened.
    case connect
    /// The connection closed before the response head. Perhaps it was an idle connection that the
    /// host closed while Tutti sent the request.
    case lostBeforeHead = "lost_before_head"
    /// The connection closed during the answer, or the host counts as dead.
    case lost
    /// The host is overloaded: status 429 or 503, or Anthropic's 529 or `overloaded_error`.
    case busy
    /// Any other error status. Another host may succeed.
    case status
    /// The host rejects the request. Every host with the same software would reject it too.
    case rejected
    /// The host rejects an addition by Tutti, and is asked again without this addition.
    case formRefused = "form_refused"
    /// The request exceeds the host's context. Another host may have a larger context.
    case contextTooSmall = "context_too_small"
    case firstTokenDeadline = "first_token_deadline"
    case stall
    /// The host sent tokens, but at a lower rate than the client or the host's history allows.
    case crawl
    case totalDeadline = "total_deadline"
    /// The stream ended without a token or without `finish_reason`.
    case cut
    /// The bytes that the host sent do not follow its dialect.
    case garbage
    /// The host's text does not join the text that the client already has.
    case badJoint = "bad_joint"
    /// The host sent an error in place of a chunk or as its `finish_reason`.
    case errorEvent = "error_event"
    /// The request cannot be expressed in the host's dialect.
    case unsuited
    /// The host was not asked, because this process cannot find the secret that the host needs.
    case noSecret = "no_secret"
    /// The answer exceeds a size limit.
    case tooLarge = "too_large"
    /// The client has left or does not read.
    case consumerLeft = "consumer_left"
  }

  public var kind: Kind
  /// The cause, including the host's own error message if it sent one.
  public var message: String
  public var status: Int?
  var retryAfter: Duration?
  /// The host's error response. `nil` means that the failure has another source.
  public var refusal: UpstreamRefusal?
  /// For `badJoint`: whether it is unclear which of the host's words are new. The host may then be
  /// asked to repeat more text.
  public var isUnclear = false

  public init(
    _ kind: Kind, _ message: String, status: Int? = nil, retryAfter: Duration? = nil,
    refusal: UpstreamRefusal? = nil
  ) {
    self.kind = kind
    self.message = message
    self.status = status
    self.retryAfter = retryAfter
    self.refusal = refusal
  }
}
