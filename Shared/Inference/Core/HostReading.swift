import Limits
import Text

extension Allowance {
  /// Charges work done for a host.
  mutating func charge(_ units: Int) throws(AttemptFailure) {
    do {
      try work(units)
    } catch {
      throw AttemptFailure(overdrawn: error.limit)
    }
  }

  /// Charges the change of a buffer's size; negative releases.
  mutating func charge(buffer change: Int) throws(AttemptFailure) {
    guard change > 0 else { return release(-change) }
    do {
      try keep(change)
    } catch {
      throw AttemptFailure(overdrawn: error.limit)
    }
  }
}

extension AttemptFailure {
  /// A host sent more than a limit allows.
  init(overdrawn limit: Limit) {
    self.init(
      limit.unit == .bytes ? .tooLarge : .garbage, "it sent \(Overdrawn(limit).description)")
  }

  /// A host sent JSON that its dialect does not allow.
  static func garbage(_ what: String) -> AttemptFailure {
    AttemptFailure(.garbage, "it sent \(what)")
  }

  /// A host sent an error in place of a chunk. Its members reach the client with the status of a failed
  /// host, because the host itself had answered 200.
  ///
  /// - Parameter bytes: the JSON that holds the error.
  static func errorEvent(_ words: String, in bytes: [UInt8]) -> AttemptFailure {
    let isShort = bytes.count <= Limits.errorBytes.value
    return AttemptFailure(
      .errorEvent, words, refusal: isShort ? UpstreamRefusal(status: 502, body: bytes) : nil)
  }
}

/// Checks of what a host sent, each of which fails the attempt.
struct HostJSON {
  let document: JSONDocument
  var allowance: Allowance
  /// The bytes were not UTF-8.
  private(set) var isRepaired = false

  /// What a host sent as JSON; its root is an object.
  init(_ bytes: [UInt8], _ allowance: Allowance) throws(AttemptFailure) {
    self.allowance = allowance
    try self.allowance.charge(bytes.count)
    document = try ChunkFacts.document(bytes)
  }

  /// A body in which some bytes may be no characters: each becomes U+FFFD. Some hosts cut a
  /// character in two.
  init(repairing bytes: [UInt8], _ allowance: Allowance) throws(AttemptFailure) {
    do throws(AttemptFailure) {
      try self.init(bytes, allowance)
    } catch {
      guard !UTF8Bytes.isValid(bytes) else { throw error }
      var allowance = allowance
      try allowance.charge(3 * bytes.count)
      try self.init(Array(String(decoding: bytes, as: UTF8.self).utf8), allowance)
      isRepaired = true
    }
  }

  var root: JSONValue { document.root }

  /// Counts the members of one object.
  struct Members {
    private var left = Limits.answerMembers.value

    /// Call it for each member.
    mutating func count() throws(AttemptFailure) {
      left -= 1
      guard left >= 0 else { throw AttemptFailure(overdrawn: Limits.answerMembers) }
    }
  }

  /// The members of an object, none if it is `null` or not there.
  mutating func members(
    of value: JSONValue?, _ what: StaticString
  ) throws(AttemptFailure) -> JSONMembers? {
    guard let value, value.kind != .null else { return nil }
    guard value.kind == .object else { throw .garbage("\(what) that is no object") }
    try allowance.charge(value.range.count)
    return document.eachMember(of: value)
  }

  /// The elements of an array, none if it is `null` or not there.
  mutating func elements(
    of value: JSONValue?, _ what: StaticString
  ) throws(AttemptFailure) -> JSONElements? {
    guard let value, value.kind != .null else { return nil }
    guard value.kind == .array else { throw .garbage("\(what) that are no array") }
    try allowance.charge(value.range.count)
    return document.eachElement(of: value)
  }

  /// The first members of these names, found in one pass; none if it is no object.
  mutating func values(
    _ names: [String], in value: JSONValue?
  ) throws(AttemptFailure) -> [JSONValue?] {
    guard let value, value.kind == .object else {
      return Array(repeating: nil, count: names.count)
    }
    try allowance.charge(value.range.count)
    return document.values(names, in: value)
  }

  /// A text that is copied into many chunks; `nil` if it is `null` or not there.
  func name(
    _ value: JSONValue?, _ what: StaticString, limit: Limit = Limits.nameBytes
  ) throws(AttemptFailure) -> String? {
    guard let value else { return nil }
    try checkName(value, what, limit: limit)
    return document.string(value)
  }

  /// Checks what `name(_:_:limit:)` reads.
  func checkName(
    _ value: JSONValue, _ what: StaticString, limit: Limit = Limits.nameBytes
  ) throws(AttemptFailure) {
    guard value.kind != .null else { return }
    guard value.kind == .string else { throw .garbage("\(what) that is no text") }
    try check(length: value, limit)
  }

  /// An escape of six bytes stands for at least one.
  func check(length value: JSONValue, _ limit: Limit) throws(AttemptFailure) {
    guard value.range.count - 2 > limit.value else { return }
    guard value.range.count <= 6 * limit.value + 2,
      document.string(value)?.utf8.count ?? .max <= limit.value
    else { throw AttemptFailure(overdrawn: limit) }
  }

  /// An index below a bound; `nil` if it is `null` or not there.
  func index(
    _ value: JSONValue?, below bound: Int, _ what: StaticString
  ) throws(AttemptFailure) -> Int? {
    guard let value, value.kind != .null else { return nil }
    guard let index = document.integer(value), index >= 0, index < bound else {
      throw .garbage("\(what) whose index is not one of 0 ..< \(bound)")
    }
    return index
  }
}
