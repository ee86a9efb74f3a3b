public import ClusterModel

/// One element of an answer. Ends with `finished`, or the sequence throws.
public enum InferenceEvent: Hashable, Sendable {
  /// Streamed: one chunk.
  case chunk(InferenceChunk)
  /// Not streamed: the host's whole body, byte for byte.
  case body([UInt8])
  case finished(InferenceSummary)
}

/// One event of a host's stream: its bytes, and what they say.
public struct InferenceChunk: Hashable, Sendable {
  /// What stood after `data: `, byte for byte.
  public var data: [UInt8]
  public var facts: ChunkFacts

  public init(data: [UInt8], facts: ChunkFacts) {
    self.data = data
    self.facts = facts
  }
}

/// How an answer began.
public struct InferenceOpening: Hashable, Sendable {
  public var host: HostID
  public var model: ModelID
  /// HTTP status of the host's answer.
  public var status: Int
  /// From the request to the first valid token, or to the whole body, over all hosts tried.
  public var firstToken: Duration
  public var attempt: Int

  public init(
    host: HostID, model: ModelID, status: Int, firstToken: Duration, attempt: Int
  ) {
    self.host = host
    self.model = model
    self.status = status
    self.firstToken = firstToken
    self.attempt = attempt
  }
}

/// What one inference was, told at its end.
public struct InferenceSummary: Hashable, Sendable {
  public var host: HostID
  public var model: ModelID
  /// The client's prompt once, and the completion tokens that the client got, over all hosts.
  /// Estimated when a host did not report it or several hosts answered: a token a chunk, or four
  /// bytes where chunks are longer than tokens; four bytes a prompt token.
  public var usage: Usage
  /// Empty when there is none: embeddings.
  public var finishReason: String
  public var firstToken: Duration
  public var total: Duration
  /// Every host that was asked, in the order in which they were done.
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

/// Why a host was asked.
public enum AttemptRole: String, CaseIterable, Sendable {
  case first
  /// Beside another one: a race's second leg.
  case speculative
  /// After a failure before the first token.
  case retry
  /// To go on with an answer that another began.
  case resumption
}

/// How it ended for a host that was asked.
public enum AttemptOutcome: Hashable, Sendable {
  /// It said the answer's last word.
  case answered
  /// Another was faster: it was cancelled and is no host's fault.
  case beaten
  case failed(AttemptFailure)
}

/// One host that was asked, and how it went: what a ledger pays by.
public struct AttemptRecord: Hashable, Sendable {
  public var host: HostID
  public var model: ModelID
  public var role: AttemptRole
  public var tier: HostTier
  /// From the request to the attempt's start, and to its end.
  public var started: Duration
  public var ended: Duration
  /// Tokens it made for this request, whoever got them: by its own count where it told one, else
  /// estimated by its chunks.
  public var tokens: Int
  /// Additions of Tutti's that were left out because hosts had refused them.
  public var form: RequestForm
  public var outcome: AttemptOutcome
  /// The host was asked although a breaker was open for it, because no other host was left.
  public var isPanic: Bool

  public init(
    host: HostID, model: ModelID, role: AttemptRole = .first, tier: HostTier = .community,
    started: Duration, ended: Duration, tokens: Int = 0, form: RequestForm = [],
    outcome: AttemptOutcome, isPanic: Bool = false
  ) {
    self.host = host
    self.model = model
    self.role = role
    self.tier = tier
    self.started = started
    self.ended = ended
    self.tokens = tokens
    self.form = form
    self.outcome = outcome
    self.isPanic = isPanic
  }

  public var failure: AttemptFailure? {
    guard case .failed(let failure) = outcome else { return nil }
    return failure
  }

  /// Whether tokens of it reached the client.
  public var isInAnswer: Bool { tokens > 0 && outcome != .beaten }
}

/// Why a host did not answer, or not to the end.
public struct AttemptFailure: Error, Hashable, Sendable {
  public enum Kind: String, CaseIterable, Sendable {
    /// No connection.
    case connect
    /// The connection went before the answer's head: it may have been an idle one closed just then.
    case lostBeforeHead = "lost_before_head"
    /// The connection went in mid-answer.
    case lost
    /// 429 or 503: it has too much to do.
    case busy
    /// Any other status that another host may not give.
    case status
    /// It finds fault with the request: every host of its kind would.
    case rejected
    /// It finds fault with what Tutti added to the request: it is asked again without that.
    case formRefused = "form_refused"
    /// The request is longer than what it can read at once: another host may have a larger context.
    case contextTooSmall = "context_too_small"
    case firstTokenDeadline = "first_token_deadline"
    case stall
    /// It sent tokens, but fewer in a second than the request allows.
    case crawl
    case totalDeadline = "total_deadline"
    /// The stream ended without `finish_reason`.
    case cut
    /// Its bytes are not what the dialect says.
    case garbage
    /// What it says does not join what the client already has.
    case badJoint = "bad_joint"
    /// It sent an error in place of a chunk.
    case errorEvent = "error_event"
    /// Its dialect has no words for the request.
    case unsuited
    /// It was not asked: the secret that it needs is not where this process looks for it.
    case noSecret = "no_secret"
    /// Larger than the limits allow.
    case tooLarge = "too_large"
    /// Whoever asked has left.
    case consumerLeft = "consumer_left"
  }

  public var kind: Kind
  /// What happened, with the host's own words where it said any.
  public var message: String
  public var status: Int?
  public var retryAfter: Duration?
  /// The host's error; `nil` means that no error of a host is the reason.
  public var refusal: UpstreamRefusal?
  /// For a bad joint: it is unknown which words are new. The host may be asked to repeat more.
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
