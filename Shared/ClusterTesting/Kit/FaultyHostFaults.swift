import ClusterModel
import Foundation

/// Faults of a faulty host; with none set, the host works. JSON names are in snake case:
/// `{"status":503,"retry_after":2}`, `{"stall_at_token":3}`.
public struct FaultyHostFaults: Codable, Hashable, Sendable, CustomStringConvertible {
  /// A kind of fault; most kinds occur at `atByte`.
  public enum Kind: String, Codable, CaseIterable, Hashable, Sendable {
    /// The connection closes.
    case drop
    /// The host sends nothing more.
    case stall
    /// From `atByte` on, the host sends a token every `crawlMilliseconds`, or every second if that
    /// is unset.
    case crawl
    /// An event that is not JSON; then the stream ends.
    case garbage
    /// An error event; then the stream ends.
    case error
    /// The stream ends properly, but without a finish reason.
    case end
    /// An event with half a UTF-8 character; the answer continues after it.
    case halfCharacter = "half_character"
    /// A response with `status`, by default 500, instead of an answer.
    case status
    /// A response with `status`, by default 429, and `Retry-After` instead of an answer.
    case busy
    /// The connection closes before any answer.
    case refuse
  }

  /// Kind of the fault, unless `random` chooses it.
  public var kind: Kind?
  /// Bytes of text and tool arguments that a stream has before the fault; unset means 0. If the
  /// byte lies within a character, `drop` and `stall` send the character's first bytes in an
  /// unfinished event.
  public var atByte: Int?
  /// The seed chooses one of these kinds, and the byte of the answer at which it occurs.
  public var random: [Kind]?
  /// Status of the response that replaces the answer.
  public var status: Int?
  /// Body of the `status` response; unset means an error object of the dialect.
  var statusBody: String?
  /// `Retry-After` of the `status` response, in seconds.
  var retryAfter: Int?
  /// Number of bytes of the answer's body after which the connection is dropped.
  var dropAtByte: Int?
  /// Number of tokens after which the host sends nothing more. 0 means that it sends no response
  /// head either.
  public var stallAtToken: Int?
  /// Number of tokens after which the stream ends properly, but without `finish_reason` and
  /// `[DONE]`.
  var endAtToken: Int?
  /// Number of tokens after which the host sends an error event and ends the stream.
  var errorAtToken: Int?
  /// Milliseconds between tokens instead of the configured delay.
  var crawlMilliseconds: Double?
  /// Whether bytes that are not JSON replace the answer.
  public var garbage: Bool?
  /// Index of the token to which the first half of a UTF-8 character is added.
  var halfCharacterAtToken: Int?
  /// Number of bytes that replace the answer: one line without a line break.
  var hugeBodyBytes: Int?
  /// Whether the connection is dropped after a request was received, before any answer.
  var refuse: Bool?
  /// Name of the `HostileRow` to play for each request that the row targets.
  var hostile: String?
  /// Whether to play the second host of the row that `hostile` names.
  public var hostileSecond: Bool?
  /// Divisor of every repetition count in the row that `hostile` names; unset means 1.
  var hostileDivisor: Int?
  /// Probability that the faults apply to a request; unset means 1.
  public var probability: Double?
  /// Number of requests that the faults apply to before the host works again; unset means all.
  var remaining: Int?

  public static let none = FaultyHostFaults()

  public init(
    kind: Kind? = nil, atByte: Int? = nil, random: [Kind]? = nil, status: Int? = nil,
    statusBody: String? = nil, retryAfter: Int? = nil,
    dropAtByte: Int? = nil, stallAtToken: Int? = nil, endAtToken: Int? = nil,
    errorAtToken: Int? = nil, crawlMilliseconds: Double? = nil, garbage: Bool? = nil,
    halfCharacterAtToken: Int? = nil, hugeBodyBytes: Int? = nil, refuse: Bool? = nil,
    hostile: String? = nil, hostileSecond: Bool? = nil, hostileDivisor: Int? = nil,
    probability: Double? = nil, remaining: Int? = nil
  ) {
    self.kind = kind
    self.atByte = atByte
    self.random = random
    self.status = status
    self.statusBody = statusBody
    self.retryAfter = retryAfter
    self.dropAtByte = dropAtByte
    self.stallAtToken = stallAtToken
    self.endAtToken = endAtToken
    self.errorAtToken = errorAtToken
    self.crawlMilliseconds = crawlMilliseconds
    self.garbage = garbage
    self.halfCharacterAtToken = halfCharacterAtToken
    self.hugeBodyBytes = hugeBodyBytes
    self.refuse = refuse
    self.hostile = hostile
    self.hostileSecond = hostileSecond
    self.hostileDivisor = hostileDivisor
    self.probability = probability
    self.remaining = remaining
  }

  /// The faults as JSON, because test arguments are printed.
  public var description: String {
    let json = try? JSONEncoder().encode(self)
    return String(decoding: json ?? Data(), as: UTF8.self)
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case kind, random, status, garbage, refuse, hostile, probability, remaining
    case hostileSecond = "hostile_second"
    case hostileDivisor = "hostile_divisor"
    case atByte = "at_byte"
    case statusBody = "status_body"
    case retryAfter = "retry_after"
    case dropAtByte = "drop_at_byte"
    case stallAtToken = "stall_at_token"
    case endAtToken = "end_at_token"
    case errorAtToken = "error_at_token"
    case crawlMilliseconds = "crawl_ms"
    case halfCharacterAtToken = "half_character_at_token"
    case hugeBodyBytes = "huge_body_bytes"
  }

  /// Chooses the random kind and byte, for an answer of `bytes` bytes.
  ///
  /// The kinds that replace the whole answer are translated into the properties `status`,
  /// `retryAfter` and `refuse`.
  func resolved(bytes: Int, using rng: inout SplitMix64) -> FaultyHostFaults {
    var faults = self
    if let kinds = random, !kinds.isEmpty {
      faults.kind = kinds[Int.random(in: 0..<kinds.count, using: &rng)]
      faults.atByte = bytes > 0 ? Int.random(in: 0..<bytes, using: &rng) : 0
    }
    switch faults.kind {
    case .status: faults.status = status ?? 500
    case .busy:
      faults.status = status ?? 429
      faults.retryAfter = retryAfter ?? 1
    case .refuse: faults.refuse = true
    default: break
    }
    return faults
  }

  /// All member names of the JSON form.
  public static let names = CodingKeys.allCases.map(\.rawValue)
}
