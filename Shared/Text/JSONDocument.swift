/// Where a text stops being JSON, and why.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
  /// Byte offset from the start.
  public let offset: Int
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

/// A value within a document: what it is and which bytes it takes, quotes and brackets included.
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
  /// Unescaped.
  public let name: String
  /// The bytes of the name, quotes included.
  public let nameRange: Range<Int>
  public let value: JSONValue

  public init(name: String, nameRange: Range<Int>, value: JSONValue) {
    self.name = name
    self.nameRange = nameRange
    self.value = value
  }
}

/// One JSON text (RFC 8259) that was checked whole, and is read where it lies: nothing is decoded
/// that nobody asks for, so what is passed on can stay byte for byte as it came.
///
/// Checking is linear in the bytes and needs no stack of its own calls, so no input can make it
/// slow or overflow it.
public struct JSONDocument: Sendable {
  /// No request or tool schema seen in the field nests deeper than some 30 levels.
  public static let standardDepth = 128

  public let bytes: [UInt8]
  public let root: JSONValue

  /// - Throws: `JSONError` for anything but exactly one valid JSON text in valid UTF-8.
  public init(
    validating bytes: [UInt8], maximumDepth: Int = JSONDocument.standardDepth
  ) throws(JSONError) {
    self.bytes = bytes
    var cursor = JSONCursor(bytes: bytes)
    self.root = try cursor.validateText(maximumDepth: maximumDepth)
  }

  /// The bytes of a value.
  public func slice(_ value: JSONValue) -> ArraySlice<UInt8> { bytes[value.range] }

  /// The members of an object, in their order; none if the value is not an object.
  public func members(of value: JSONValue) -> [JSONMember] {
    var members: [JSONMember] = []
    forEachMember(of: value) {
      members.append($0)
      return true
    }
    return members
  }

  /// The value of the first member of that name.
  public func value(_ name: String, in value: JSONValue) -> JSONValue? {
    var found: JSONValue?
    forEachMember(of: value) {
      if $0.name == name { found = $0.value }
      return found == nil
    }
    return found
  }

  /// Calls `body` with each member until it returns false.
  public func forEachMember(of value: JSONValue, _ body: (JSONMember) -> Bool) {
    guard value.kind == .object else { return }
    var cursor = JSONCursor(bytes: bytes, position: value.range.lowerBound + 1)
    while let nameRange = cursor.nextName() {
      let member = JSONMember(
        name: JSONCursor.unescaped(bytes[nameRange]), nameRange: nameRange,
        value: cursor.valueAfterColon())
      guard body(member) else { return }
    }
  }

  /// The elements of an array, in their order; none if the value is not an array.
  public func elements(of value: JSONValue) -> [JSONValue] {
    var elements: [JSONValue] = []
    forEachElement(of: value) {
      elements.append($0)
      return true
    }
    return elements
  }

  /// Calls `body` with each element until it returns false.
  public func forEachElement(of value: JSONValue, _ body: (JSONValue) -> Bool) {
    guard value.kind == .array else { return }
    var cursor = JSONCursor(bytes: bytes, position: value.range.lowerBound + 1)
    while let element = cursor.nextElement() {
      guard body(element) else { return }
    }
  }

  /// The text of a string, unescaped; nil for any other kind. A lone surrogate becomes U+FFFD.
  public func string(_ value: JSONValue) -> String? {
    value.kind == .string ? JSONCursor.unescaped(bytes[value.range]) : nil
  }

  public func boolean(_ value: JSONValue) -> Bool? {
    value.kind == .boolean ? bytes[value.range.lowerBound] == UInt8(ascii: "t") : nil
  }

  public func number(_ value: JSONValue) -> Double? {
    guard value.kind == .number else { return nil }
    return Double(String(decoding: bytes[value.range], as: UTF8.self))
  }

  /// A number without a fraction, also when it is written `1.0` or `1e3`; nil for anything else.
  public func integer(_ value: JSONValue) -> Int? {
    guard value.kind == .number else { return nil }
    if let exact = Int(String(decoding: bytes[value.range], as: UTF8.self)) { return exact }
    // Beyond 2⁵³ a Double no longer holds every integer.
    guard let real = number(value), real.magnitude <= 9_007_199_254_740_992 else { return nil }
    return Int(exactly: real)
  }
}
