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

  /// Charges the change of a buffer's size. A negative change releases memory.
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
  /// The failure of a host that sent more than a limit allows.
  init(overdrawn limit: Limit) {
    self.init(
      limit.unit == .bytes ? .tooLarge : .garbage, "it sent \(Overdrawn(limit).description)")
  }

  /// The failure of a host that sent JSON that its dialect does not allow.
  static func garbage(_ what: String) -> AttemptFailure {
    AttemptFailure(.garbage, "it sent \(what)")
  }

  /// The failure of a host that sent an error in place of a chunk. The client gets the error's
  /// members with status 502, because the host's own status was 200.
  ///
  /// - Parameter bytes: the JSON that holds the error.
  static func errorEvent(_ words: String, in bytes: [UInt8]) -> AttemptFailure {
    let isShort = bytes.count <= Limits.errorBytes.value
    return AttemptFailure(
      .errorEvent, words, refusal: isShort ? UpstreamRefusal(status: 502, body: bytes) : nil)
  }
}

/// Parses a host's JSON and checks its values. Each failed check fails the attempt.
struct HostJSON {
  let document: JSONDocument
  var allowance: Allowance
  /// Whether the bytes were not UTF-8 and were repaired.
  private(set) var isRepaired = false

  /// Parses a host's JSON, whose root must be an object.
  init(_ bytes: [UInt8], _ allowance: Allowance) throws(AttemptFailure) {
    self.allowance = allowance
    try self.allowance.charge(bytes.count)
    document = try ChunkFacts.document(bytes)
  }

  /// Parses a body, and replaces invalid UTF-8 with U+FFFD. Some hosts split a character in two.
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

    /// Counts one member. The caller must call it for each member.
    mutating func count() throws(AttemptFailure) {
      left -= 1
      guard left >= 0 else { throw AttemptFailure(overdrawn: Limits.answerMembers) }
    }
  }

  /// The members of an object. `nil` means that the value is `null` or absent.
  mutating func members(
    of value: JSONValue?, _ what: StaticString
  ) throws(AttemptFailure) -> JSONMembers? {
    guard let value, value.kind != .null else { return nil }
    guard value.kind == .object else { throw .garbage("\(what) that is not an object") }
    try allowance.charge(value.range.count)
    return document.eachMember(of: value)
  }

  /// The elements of an array. `nil` means that the value is `null` or absent.
  mutating func elements(
    of value: JSONValue?, _ what: StaticString
  ) throws(AttemptFailure) -> JSONElements? {
    guard let value, value.kind != .null else { return nil }
    guard value.kind == .array else { throw .garbage("\(what) that are not an array") }
    try allowance.charge(value.range.count)
    return document.eachElement(of: value)
  }

  /// The first member with each name, found in one pass. `nil` means that there is none, or that
  /// the value is not an object.
  mutating func values(
    _ names: [String], in value: JSONValue?
  ) throws(AttemptFailure) -> [JSONValue?] {
    guard let value, value.kind == .object else {
      return Array(repeating: nil, count: names.count)
    }
    try allowance.charge(value.range.count)
    return document.values(names, in: value)
  }

  /// The text of a value. Its length is bounded, because the text is copied into many chunks. `nil`
  /// means that the value is `null` or absent.
  func name(
    _ value: JSONValue?, _ what: StaticString, limit: Limit = Limits.nameBytes
  ) throws(AttemptFailure) -> String? {
    guard let value else { return nil }
    try checkName(value, what, limit: limit)
    return document.string(value)
  }

  /// Checks the type and length of a text without decoding it.
  func checkName(
    _ value: JSONValue, _ what: StaticString, limit: Limit = Limits.nameBytes
  ) throws(AttemptFailure) {
    guard value.kind != .null else { return }
    guard value.kind == .string else { throw .garbage("\(what) that is not text") }
    try check(length: value, limit)
  }

  /// Checks the length of a text. A text with escapes may be longer in JSON: an escape has up to
  /// six bytes for one byte of text.
  func check(length value: JSONValue, _ limit: Limit) throws(AttemptFailure) {
    guard value.range.count - 2 > limit.value else { return }
    guard value.range.count <= 6 * limit.value + 2,
      document.string(value)?.utf8.count ?? .max <= limit.value
    else { throw AttemptFailure(overdrawn: limit) }
  }

  /// An index below a bound. `nil` means that the value is `null` or absent.
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
