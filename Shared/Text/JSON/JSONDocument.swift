/// Position and reason at which a text stops being JSON.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Byte offset from the start.
  let offset: Int
  public let reason: String

  public init(offset: Int, reason: String) {
    self.offset = offset
    self.reason = reason
  }

  public var description: String { "\(reason) (byte \(offset))" }
}

public enum JSONKind: String, Hashable, Sendable {
  case object, array, string, number, boolean, null
}

/// A value within a document: its kind and its byte range, quotes and brackets included.
public struct JSONValue: Hashable, Sendable {
  public let kind: JSONKind
  public let range: Range<Int>

  public init(kind: JSONKind, range: Range<Int>) {
    self.kind = kind
    self.range = range
  }
}

/// A member of an object.
public struct JSONMember: Hashable, Sendable {
  /// The name without escapes.
  public let name: String
  /// The bytes of the name, quotes included.
  public let nameRange: Range<Int>
  public let value: JSONValue

  init(name: String, nameRange: Range<Int>, value: JSONValue) {
    self.name = name
    self.nameRange = nameRange
    self.value = value
  }
}

/// One validated JSON text (RFC 8259), read in place.
///
/// A value is decoded only on request, so the bytes can be passed on unchanged. Validation is
/// linear in the bytes and does not recurse, so no input can make it slow or overflow the stack.
public struct JSONDocument: Sendable {
  /// Default limit of nesting. Known requests and tool schemas nest at most some 30 levels.
  public static let standardDepth = 128

  /// Longest number that is parsed, in bytes. The longest exact decimal form of a Double has 1,077.
  static let longestNumber = 1_100

  public let bytes: [UInt8]
  public let root: JSONValue

  /// - Throws: `JSONError` for anything but exactly one valid JSON text in valid UTF-8, nested at
  ///   most `maximumDepth` levels.
  public init(
    validating bytes: [UInt8], maximumDepth: Int = JSONDocument.standardDepth
  ) throws(JSONError) {
    self.bytes = bytes
    var cursor = JSONCursor(bytes: bytes)
    self.root = try cursor.validateText(maximumDepth: maximumDepth)
  }

  /// The bytes of a value.
  public func slice(_ value: JSONValue) -> ArraySlice<UInt8> { bytes[value.range] }

  /// The members of an object, in their order. None if the value is not an object.
  public func members(of value: JSONValue) -> [JSONMember] { Array(eachMember(of: value)) }

  /// The members of an object one by one, without an array. None if the value is not an object.
  public func eachMember(of value: JSONValue) -> JSONMembers { JSONMembers(value, in: self) }

  /// The value of the first member of that name.
  public func value(_ name: String, in value: JSONValue) -> JSONValue? {
    for member in eachMember(of: value) where member.name == name { return member.value }
    return nil
  }

  /// The values of the first members of these names, found in one pass.
  public func values(_ names: [String], in value: JSONValue) -> [JSONValue?] {
    var values: [JSONValue?] = Array(repeating: nil, count: names.count)
    for member in eachMember(of: value) {
      if let place = names.firstIndex(of: member.name), values[place] == nil {
        values[place] = member.value
      }
    }
    return values
  }

  /// Calls `body` with each member until it returns false.
  public func forEachMember(of value: JSONValue, _ body: (JSONMember) -> Bool) {
    for member in eachMember(of: value) {
      guard body(member) else { return }
    }
  }

  /// The elements of an array, in their order. None if the value is not an array.
  public func elements(of value: JSONValue) -> [JSONValue] { Array(eachElement(of: value)) }

  /// The elements of an array one by one, without an array. None if the value is not an array.
  public func eachElement(of value: JSONValue) -> JSONElements { JSONElements(value, in: self) }

  /// Calls `body` with each element until it returns false.
  public func forEachElement(of value: JSONValue, _ body: (JSONValue) -> Bool) {
    for element in eachElement(of: value) {
      guard body(element) else { return }
    }
  }

  /// The text of a string without escapes. A lone surrogate becomes U+FFFD. `nil` means that the
  /// value is not a string.
  public func string(_ value: JSONValue) -> String? {
    value.kind == .string ? JSONCursor.unescaped(bytes[value.range]) : nil
  }

  public func boolean(_ value: JSONValue) -> Bool? {
    value.kind == .boolean ? bytes[value.range.lowerBound] == UInt8(ascii: "t") : nil
  }

  public func number(_ value: JSONValue) -> Double? {
    guard value.kind == .number, value.range.count <= Self.longestNumber else { return nil }
    return Double(String(decoding: bytes[value.range], as: UTF8.self))
  }

  /// The value of a number without a fraction. `1.0` and `1e3` count as such numbers. `nil` means
  /// any other value, or a number that is too large.
  public func integer(_ value: JSONValue) -> Int? {
    guard value.kind == .number, value.range.count <= Self.longestNumber else { return nil }
    if let exact = Int(String(decoding: bytes[value.range], as: UTF8.self)) { return exact }
    // Beyond 2⁵³ a Double no longer holds every integer.
    guard let real = number(value), real.magnitude <= 9_007_199_254_740_992 else { return nil }
    return Int(exactly: real)
  }
}

/// The members of an object one by one, read in place.
public struct JSONMembers: Sequence, IteratorProtocol, Sendable {
  private var cursor: JSONCursor
  private var isOver: Bool

  init(_ value: JSONValue, in document: JSONDocument) {
    isOver = value.kind != .object
    cursor = JSONCursor(bytes: document.bytes, position: value.range.lowerBound + 1)
  }

  public mutating func next() -> JSONMember? {
    guard !isOver, let nameRange = cursor.nextName() else {
      isOver = true
      return nil
    }
    return JSONMember(
      name: JSONCursor.unescaped(cursor.bytes[nameRange]), nameRange: nameRange,
      value: cursor.valueAfterColon())
  }
}

/// The elements of an array one by one, read in place.
public struct JSONElements: Sequence, IteratorProtocol, Sendable {
  private var cursor: JSONCursor
  private var isOver: Bool

  init(_ value: JSONValue, in document: JSONDocument) {
    isOver = value.kind != .array
    cursor = JSONCursor(bytes: document.bytes, position: value.range.lowerBound + 1)
  }

  public mutating func next() -> JSONValue? {
    guard !isOver, let element = cursor.nextElement() else {
      isOver = true
      return nil
    }
    return element
  }
}
