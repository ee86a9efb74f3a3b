import Foundation

/// What goes wrong at a faulty host. Everything unset is a host that works. As JSON, names are in
/// snake case: `{"status":503,"retry_after":2}`, `{"stall_at_token":3}`.
public struct FaultyHostFaults: Codable, Hashable, Sendable, CustomStringConvertible {
  /// Answer with this status instead of an answer.
  public var status: Int?
  /// Body that goes with `status`; unset: an OpenAI error object.
  public var statusBody: String?
  /// `Retry-After` in seconds that goes with `status`.
  public var retryAfter: Int?
  /// Drop the connection after that many bytes of the answer's body.
  public var dropAtByte: Int?
  /// Say nothing more after that many tokens; 0: not even the head.
  public var stallAtToken: Int?
  /// End the stream properly after that many tokens, without `finish_reason` and `[DONE]`.
  public var endAtToken: Int?
  /// Send an error event after that many tokens, then end.
  public var errorAtToken: Int?
  /// Milliseconds between tokens instead of the configured delay.
  public var crawlMilliseconds: Double?
  /// Bytes that are no JSON where the answer should be.
  public var garbage: Bool?
  /// The token of this index holds the first half of a UTF-8 character and not the second.
  public var halfCharacterAtToken: Int?
  /// Send that many bytes in one line without an end.
  public var hugeBodyBytes: Int?
  /// Drop the connection when a request has come, before any answer.
  public var refuse: Bool?
  /// Chance that a request meets the faults; unset: every one.
  public var probability: Double?
  /// How many requests meet the faults before the host works again; unset: all.
  public var remaining: Int?

  public static let none = FaultyHostFaults()

  public init(
    status: Int? = nil, statusBody: String? = nil, retryAfter: Int? = nil,
    dropAtByte: Int? = nil, stallAtToken: Int? = nil, endAtToken: Int? = nil,
    errorAtToken: Int? = nil, crawlMilliseconds: Double? = nil, garbage: Bool? = nil,
    halfCharacterAtToken: Int? = nil, hugeBodyBytes: Int? = nil, refuse: Bool? = nil,
    probability: Double? = nil, remaining: Int? = nil
  ) {
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
    self.probability = probability
    self.remaining = remaining
  }

  /// Its JSON: a test's arguments are printed.
  public var description: String {
    let json = try? JSONEncoder().encode(self)
    return String(decoding: json ?? Data(), as: UTF8.self)
  }

  enum CodingKeys: String, CodingKey, CaseIterable {
    case status, garbage, refuse, probability, remaining
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

  /// Names that the JSON form knows.
  public static let names = CodingKeys.allCases.map(\.rawValue)
}
