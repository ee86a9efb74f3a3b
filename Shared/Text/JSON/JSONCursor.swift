/// A position in JSON bytes.
///
/// The `validate…` methods check the bytes. The other methods require bytes that were checked
/// before.
struct JSONCursor {
  let bytes: [UInt8]
  var position = 0

  init(bytes: [UInt8], position: Int = 0) {
    self.bytes = bytes
    self.position = position
  }

  // MARK: - Checking

  mutating func validateText(maximumDepth: Int) throws(JSONError) -> JSONValue {
    skipWhitespace()
    let root = try validateValue(maximumDepth: maximumDepth)
    skipWhitespace()
    guard position == bytes.count else { throw error("more follows after the JSON value") }
    return root
  }

  /// Checks one value. It does not recurse. It keeps one flag per open container, in which `true`
  /// means an object.
  mutating func validateValue(maximumDepth: Int) throws(JSONError) -> JSONValue {
    var open: [Bool] = []
    var root: JSONValue?
    let start = position
    while true {
      skipWhitespace()
      let kind: JSONKind
      var opened = false
      switch try peek("a value is missing") {
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        let isObject = bytes[position] == UInt8(ascii: "{")
        guard open.count < maximumDepth else {
          throw error("nested deeper than \(maximumDepth) levels")
        }
        kind = isObject ? .object : .array
        position += 1
        skipWhitespace()
        if try peek("an \(kind.rawValue) is not closed") == Self.closing(isObject) {
          position += 1
        } else {
          open.append(isObject)
          opened = true
          if isObject { try validateName() }
        }
      default:
        kind = try validateScalar()
      }
      if root == nil { root = JSONValue(kind: kind, range: start..<position) }
      if opened { continue }
      try closeContainers(&open)
      guard !open.isEmpty else {
        return JSONValue(kind: root?.kind ?? kind, range: start..<position)
      }
    }
  }

  /// Closes the containers that end after a value. Stops after a comma, ready for the next value.
  private mutating func closeContainers(_ open: inout [Bool]) throws(JSONError) {
    while let isObject = open.last {
      skipWhitespace()
      let byte = try peek("\(isObject ? "an object" : "an array") is not closed")
      if byte == Self.closing(isObject) {
        position += 1
        open.removeLast()
        continue
      }
      guard byte == UInt8(ascii: ",") else {
        throw error("expected a comma or the end of \(isObject ? "the object" : "the array")")
      }
      position += 1
      if isObject {
        skipWhitespace()
        try validateName()
      }
      return
    }
  }

  private mutating func validateName() throws(JSONError) {
    guard try peek("a member's name is missing") == UInt8(ascii: "\"") else {
      throw error("a member's name must be a string")
    }
    try validateString()
    skipWhitespace()
    guard try peek("a colon is missing") == UInt8(ascii: ":") else {
      throw error("expected a colon")
    }
    position += 1
  }

  private mutating func validateScalar() throws(JSONError) -> JSONKind {
    switch bytes[position] {
    case UInt8(ascii: "\""):
      try validateString()
      return .string
    case UInt8(ascii: "t"):
      try validateLiteral("true")
      return .boolean
    case UInt8(ascii: "f"):
      try validateLiteral("false")
      return .boolean
    case UInt8(ascii: "n"):
      try validateLiteral("null")
      return .null
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
      try validateNumber()
      return .number
    default:
      throw error("this is not the beginning of a JSON value")
    }
  }

  private mutating func validateLiteral(_ literal: StaticString) throws(JSONError) {
    let text = literal.description.utf8
    guard bytes[position...].starts(with: text) else {
      throw error("this is not the beginning of a JSON value")
    }
    position += text.count
  }

  private mutating func validateNumber() throws(JSONError) {
    if bytes[position] == UInt8(ascii: "-") { position += 1 }
    let first = try peek("a number has no digits")
    guard isDigit(first) else { throw error("a number has no digits") }
    position += 1
    if first != UInt8(ascii: "0") { skipDigits() }
    if position < bytes.count, bytes[position] == UInt8(ascii: ".") {
      position += 1
      guard isDigit(try peek("a number ends at its point")) else {
        throw error("a number ends at its point")
      }
      skipDigits()
    }
    if position < bytes.count, bytes[position] | 0x20 == UInt8(ascii: "e") {
      position += 1
      let sign = try peek("a number ends at its exponent")
      if sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") { position += 1 }
      guard isDigit(try peek("a number ends at its exponent")) else {
        throw error("a number ends at its exponent")
      }
      skipDigits()
    }
  }

  private mutating func validateString() throws(JSONError) {
    position += 1
    while true {
      let byte = try peek("a string is not closed")
      switch byte {
      case UInt8(ascii: "\""):
        position += 1
        return
      case UInt8(ascii: "\\"):
        position += 1
        try validateEscape()
      case 0x00..<0x20:
        throw error("a control character in a string must be escaped")
      case 0x20..<0x80:
        position += 1
      default:
        guard let length = UTF8Bytes.validSequenceLength(in: bytes, at: position) else {
          throw error("this is not valid UTF-8")
        }
        position += length
      }
    }
  }

  private mutating func validateEscape() throws(JSONError) {
    switch try peek("a string is not closed") {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
      UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
      position += 1
    case UInt8(ascii: "u"):
      position += 1
      for _ in 0..<4 {
        guard Self.hexadecimal(try peek("a \\u escape has four digits")) != nil else {
          throw error("a \\u escape has four hexadecimal digits")
        }
        position += 1
      }
    default:
      throw error("unknown escape in a string")
    }
  }

  private func peek(_ missing: @autoclosure () -> String) throws(JSONError) -> UInt8 {
    guard position < bytes.count else { throw error(missing()) }
    return bytes[position]
  }

  private func error(_ reason: String) -> JSONError { JSONError(offset: position, reason: reason) }

  // MARK: - Walking checked text

  /// Returns the range of the next name of an object. The position must be at a name, a comma or
  /// the object's end. `nil` means the end.
  mutating func nextName() -> Range<Int>? {
    skipSeparators()
    guard bytes[position] == UInt8(ascii: "\"") else { return nil }
    let start = position
    skipString()
    return start..<position
  }

  /// Returns the value of the name that was just read.
  mutating func valueAfterColon() -> JSONValue {
    skipWhitespace()
    position += 1
    skipWhitespace()
    return skipValue()
  }

  /// Returns the next element of an array. The position must be at a value, a comma or the array's
  /// end. `nil` means the end.
  mutating func nextElement() -> JSONValue? {
    skipSeparators()
    guard bytes[position] != UInt8(ascii: "]") else { return nil }
    return skipValue()
  }

  private mutating func skipValue() -> JSONValue {
    let start = position
    let kind: JSONKind
    switch bytes[position] {
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      kind = bytes[position] == UInt8(ascii: "{") ? .object : .array
      skipContainer()
    case UInt8(ascii: "\""):
      kind = .string
      skipString()
    case UInt8(ascii: "t"), UInt8(ascii: "f"):
      kind = .boolean
      skipScalar()
    case UInt8(ascii: "n"):
      kind = .null
      skipScalar()
    default:
      kind = .number
      skipScalar()
    }
    return JSONValue(kind: kind, range: start..<position)
  }

  private mutating func skipContainer() {
    var depth = 0
    repeat {
      switch bytes[position] {
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
      case UInt8(ascii: "\""):
        skipString()
        continue
      default: break
      }
      position += 1
    } while depth > 0
  }

  private mutating func skipString() {
    position += 1
    while bytes[position] != UInt8(ascii: "\"") {
      position += bytes[position] == UInt8(ascii: "\\") ? 2 : 1
    }
    position += 1
  }

  private mutating func skipScalar() {
    while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: ","), UInt8(ascii: "}"), UInt8(ascii: "]"), 0x20, 0x09, 0x0A, 0x0D: return
      default: position += 1
      }
    }
  }

  private mutating func skipSeparators() {
    while bytes[position] == UInt8(ascii: ",") || Self.isWhitespace(bytes[position]) {
      position += 1
    }
  }

  private mutating func skipWhitespace() {
    while position < bytes.count, Self.isWhitespace(bytes[position]) { position += 1 }
  }

  private mutating func skipDigits() {
    while position < bytes.count, isDigit(bytes[position]) { position += 1 }
  }

  private func isDigit(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
  }

  static func isWhitespace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
  }

  private static func closing(_ isObject: Bool) -> UInt8 {
    isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")
  }

  private static func hexadecimal(_ byte: UInt8) -> UInt16? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt16(byte - UInt8(ascii: "0"))
    case UInt8(ascii: "a")...UInt8(ascii: "f"): UInt16(byte - UInt8(ascii: "a") + 10)
    case UInt8(ascii: "A")...UInt8(ascii: "F"): UInt16(byte - UInt8(ascii: "A") + 10)
    default: nil
    }
  }

  /// The text of a checked string, passed with its quotes.
  static func unescaped(_ quoted: ArraySlice<UInt8>) -> String {
    let inner = quoted.dropFirst().dropLast()
    guard let escape = inner.firstIndex(of: UInt8(ascii: "\\")) else {
      return String(decoding: inner, as: UTF8.self)
    }
    var text: [UInt8] = []
    text.reserveCapacity(inner.count)
    text += inner[..<escape]
    // The first half of a surrogate pair; the second half is another escape.
    var half: UInt16?
    var index = escape
    while index < inner.endIndex {
      let byte = inner[index]
      guard byte == UInt8(ascii: "\\") else {
        if half.take() != nil { text += replacement }
        text.append(byte)
        index += 1
        continue
      }
      let code = inner[index + 1]
      index += 2
      let unit: UInt16
      if code == UInt8(ascii: "u") {
        unit = inner[index..<index + 4].reduce(0) { $0 << 4 | (hexadecimal($1) ?? 0) }
        index += 4
      } else {
        unit = character(code)
      }
      append(unit, &half, to: &text)
    }
    if half != nil { text += replacement }
    return String(decoding: text, as: UTF8.self)
  }

  /// U+FFFD, the replacement of a lone surrogate.
  private static let replacement: [UInt8] = [0xEF, 0xBF, 0xBD]

  private static func character(_ code: UInt8) -> UInt16 {
    switch code {
    case UInt8(ascii: "b"): 0x08
    case UInt8(ascii: "f"): 0x0C
    case UInt8(ascii: "n"): 0x0A
    case UInt8(ascii: "r"): 0x0D
    case UInt8(ascii: "t"): 0x09
    default: UInt16(code)
    }
  }

  /// Appends a UTF-16 code unit as UTF-8.
  private static func append(_ unit: UInt16, _ half: inout UInt16?, to text: inout [UInt8]) {
    if 0xDC00...0xDFFF ~= unit, let first = half.take() {
      let scalar = 0x10000 + (UInt32(first & 0x3FF) << 10 | UInt32(unit & 0x3FF))
      text.append(0xF0 | UInt8(truncatingIfNeeded: scalar >> 18))
      for shift: UInt32 in [12, 6, 0] {
        text.append(0x80 | UInt8(truncatingIfNeeded: scalar >> shift & 0x3F))
      }
      return
    }
    if half.take() != nil { text += replacement }
    switch unit {
    case 0xD800...0xDBFF: half = unit
    case 0xDC00...0xDFFF: text += replacement
    case 0..<0x80: text.append(UInt8(truncatingIfNeeded: unit))
    case 0x80..<0x800:
      text.append(0xC0 | UInt8(truncatingIfNeeded: unit >> 6))
      text.append(0x80 | UInt8(truncatingIfNeeded: unit & 0x3F))
    default:
      text.append(0xE0 | UInt8(truncatingIfNeeded: unit >> 12))
      text.append(0x80 | UInt8(truncatingIfNeeded: unit >> 6 & 0x3F))
      text.append(0x80 | UInt8(truncatingIfNeeded: unit & 0x3F))
    }
  }
}
