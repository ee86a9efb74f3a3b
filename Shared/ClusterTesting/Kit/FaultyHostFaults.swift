import ClusterModel
import Foundation

/// What goes wrong at a faulty host. Everything unset is a host that works. As JSON, names are in
/// snake case: `{"status":503,"retry_after":2}`, `{"stall_at_token":3}`.
public struct FaultyHostFaults: Codable, Hashable, Sendable, CustomStringConvertible {
  /// One thing that goes wrong, and for most of them where: at `atByte`.
  public enum Kind: String, Codable, CaseIterable, Hashable, Sendable {
    /// The connection ends.
    case drop
    /// Nothing more comes.
    case stall
    /// From there on a token every `crawlMilliseconds`, a second if unset.
    case crawl
    /// An event that is no JSON, and the end.
    case garbage
    /// An error event, and the end.
    case error
    /// The stream ends properly, without a finish reason.
    case end
    /// An event with half a UTF-8 character in it; the answer goes on after it.
    case halfCharacter = "half_character"
    /// Status 500 instead of an answer.
    case status
    /// Status 429 with `Retry-After` instead of an answer.
    case busy
    /// The connection ends before any answer.
    case refuse
  }

  /// What goes wrong at `atByte`.
  public var kind: Kind?
  /// Bytes of the answer's text and tool arguments that go out before; unset: 0. Within a character
  /// `drop` and `stall` leave its first bytes in an unfinished event.
  public var atByte: Int?
  /// One of these, at some byte of the answer, both by seed.
  public var random: [Kind]?
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
  /// Name of the `HostileRow` to play for every request that it aims at.
  public var hostile: String?
  /// Whether to play the part of the second host of that row.
  public var hostileSecond: Bool?
  /// Plays the row with every repetition cut to that share; unset: as it is.
  public var hostileDivisor: Int?
  /// Chance that a request meets the faults; unset: every one.
  public var probability: Double?
  /// How many requests meet the faults before the host works again; unset: all.
  public var remaining: Int?

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

  /// Its JSON: a test's arguments are printed.
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

  /// With the random choices made, for an answer of that many bytes, and the kinds that come before
  /// any answer put into the terms of the others.
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

  /// Names that the JSON form knows.
  public static let names = CodingKeys.allCases.map(\.rawValue)
}
