/// Validates JSON byte by byte while it is written.
///
/// It reports whether the bytes so far are the beginning of a JSON text, where the tokens end, and
/// whether the text is complete. Unlike `JSONDocument`, it accepts an incomplete text and reads
/// each byte once. It keeps one flag per open container, and assumes that the bytes are UTF-8.
public struct JSONProgress: Sendable {
  enum State: UInt8, Sendable {
    case value, elementOrEnd, nameOrEnd, name, colon, separator, whole, broken
    case string, escape, unicode, literal
    case minus, zero, integer, point, fraction, exponent, exponentSign, exponentDigits
  }

  private(set) var state = State.value
  /// One flag per open container. `true` means an object, `false` an array.
  private var open: [Bool] = []
  private let maximumDepth: Int
  /// Whether further objects or arrays may follow a complete one (NDJSON).
  var isSequence = false
  private var isName = false
  private var literal: StaticString = "true"
  /// Bytes of the literal, or digits of the escape, taken so far.
  private var progress = 0

  /// Bytes taken.
  private(set) var offset = 0
  /// End of the last token, without the white space after it. A number ends when a byte follows
  /// that is not part of it.
  public private(set) var tokenBoundary = 0

  public init(maximumDepth: Int = JSONDocument.standardDepth) { self.maximumDepth = maximumDepth }

  /// Whether some JSON text of the allowed depth starts with the bytes so far.
  public var isValid: Bool { state != .broken }

  /// Whether the bytes so far are a complete JSON text.
  public var isComplete: Bool {
    switch state {
    case .whole: true
    case .zero, .integer, .fraction, .exponentDigits: open.isEmpty
    default: false
    }
  }

  /// Whether the position is within a string, between the quotes.
  public var isInString: Bool { state == .string || state == .escape || state == .unicode }
  /// Whether the position is within an escape of a string.
  public var isInEscape: Bool { state == .escape || state == .unicode }
  public var depth: Int { open.count }

  /// Takes bytes up to the first invalid one. Returns `false` if the text is not valid.
  @discardableResult
  public mutating func take(_ bytes: some Sequence<UInt8>) -> Bool {
    take(whole: Array(bytes))
  }

  /// The function is not generic, so that the loop does not make a call per byte.
  private mutating func take(whole bytes: [UInt8]) -> Bool {
    for byte in bytes {
      guard take(byte) else { return false }
    }
    return isValid
  }

  /// - Returns: `false` if no JSON text starts with these bytes.
  @discardableResult
  public mutating func take(_ byte: UInt8) -> Bool {
    guard state != .broken else { return false }
    step(byte)
    offset += 1
    return state != .broken
  }

  private mutating func step(_ byte: UInt8) {
    switch state {
    case .string:
      switch byte {
      case UInt8(ascii: "\""): endString()
      case UInt8(ascii: "\\"): state = .escape
      case 0x00..<0x20: state = .broken
      default: break
      }
    case .escape:
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"),
        UInt8(ascii: "f"), UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
        state = .string
      case UInt8(ascii: "u"):
        state = .unicode
        progress = 0
      default: state = .broken
      }
    case .unicode:
      guard Self.isHexadecimal(byte) else {
        state = .broken
        return
      }
      progress += 1
      if progress == 4 { state = .string }
    case .literal: stepLiteral(byte)
    case .minus, .zero, .integer, .point, .fraction, .exponent, .exponentSign, .exponentDigits:
      stepNumber(byte)
    case .broken: break
    case .value, .elementOrEnd, .nameOrEnd, .name, .colon, .separator, .whole:
      if !JSONCursor.isWhitespace(byte) { stepStructure(byte) }
    }
  }

  private mutating func stepStructure(_ byte: UInt8) {
    switch (state, byte) {
    case (.elementOrEnd, UInt8(ascii: "]")), (.nameOrEnd, UInt8(ascii: "}")): close()
    case (.value, _), (.elementOrEnd, _): beginValue(byte)
    case (.nameOrEnd, UInt8(ascii: "\"")), (.name, UInt8(ascii: "\"")):
      isName = true
      state = .string
    case (.colon, UInt8(ascii: ":")): endToken(.value)
    case (.separator, UInt8(ascii: ",")): endToken(open.last == true ? .name : .value)
    case (.separator, UInt8(ascii: "}")) where open.last == true: close()
    case (.separator, UInt8(ascii: "]")) where open.last == false: close()
    case (.whole, UInt8(ascii: "{")) where isSequence, (.whole, UInt8(ascii: "[")) where isSequence:
      beginValue(byte)
    default: state = .broken
    }
  }

  private mutating func beginValue(_ byte: UInt8) {
    switch byte {
    case UInt8(ascii: "{"), UInt8(ascii: "["):
      guard open.count < maximumDepth else {
        state = .broken
        return
      }
      let isObject = byte == UInt8(ascii: "{")
      open.append(isObject)
      endToken(isObject ? .nameOrEnd : .elementOrEnd)
    case UInt8(ascii: "\""):
      isName = false
      state = .string
    case UInt8(ascii: "t"): begin(literal: "true")
    case UInt8(ascii: "f"): begin(literal: "false")
    case UInt8(ascii: "n"): begin(literal: "null")
    case UInt8(ascii: "-"): state = .minus
    case UInt8(ascii: "0"): state = .zero
    case UInt8(ascii: "1")...UInt8(ascii: "9"): state = .integer
    default: state = .broken
    }
  }

  private mutating func begin(literal: StaticString) {
    self.literal = literal
    progress = 1
    state = .literal
  }

  private mutating func stepLiteral(_ byte: UInt8) {
    let text = literal.description.utf8
    guard text[text.index(text.startIndex, offsetBy: progress)] == byte else {
      state = .broken
      return
    }
    progress += 1
    if progress == text.count { endToken(afterValue) }
  }

  private mutating func stepNumber(_ byte: UInt8) {
    let isDigit = (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    switch (state, byte) {
    case (.minus, UInt8(ascii: "0")): state = .zero
    case (.minus, _) where isDigit: state = .integer
    case (.integer, _) where isDigit: break
    case (.zero, UInt8(ascii: ".")), (.integer, UInt8(ascii: ".")): state = .point
    case (.point, _) where isDigit: state = .fraction
    case (.fraction, _) where isDigit: break
    case (.zero, _) where byte | 0x20 == UInt8(ascii: "e"),
      (.integer, _) where byte | 0x20 == UInt8(ascii: "e"),
      (.fraction, _) where byte | 0x20 == UInt8(ascii: "e"):
      state = .exponent
    case (.exponent, UInt8(ascii: "+")), (.exponent, UInt8(ascii: "-")): state = .exponentSign
    case (.exponent, _) where isDigit, (.exponentSign, _) where isDigit: state = .exponentDigits
    case (.exponentDigits, _) where isDigit: break
    case (.zero, _) where !isDigit, (.integer, _), (.fraction, _), (.exponentDigits, _):
      tokenBoundary = offset
      state = afterValue
      if !JSONCursor.isWhitespace(byte) { stepStructure(byte) }
    default: state = .broken
    }
  }

  private mutating func endString() {
    endToken(isName ? .colon : afterValue)
  }

  private mutating func close() {
    open.removeLast()
    endToken(afterValue)
  }

  private mutating func endToken(_ next: State) {
    tokenBoundary = offset + 1
    state = next
  }

  private var afterValue: State { open.isEmpty ? .whole : .separator }

  /// Length in bytes of the escape at an index. `nil` means that there is none. A backslash outside
  /// a string is joined with the next byte, too, which is harmless.
  static func escapeLength(in text: [UInt8], at index: Int) -> Int? {
    guard text[index] == UInt8(ascii: "\\"), index + 1 < text.count else { return nil }
    guard text[index + 1] == UInt8(ascii: "u") else { return 2 }
    // A high surrogate, D800…DBFF: the length includes the escape of its low surrogate.
    guard index + 3 < text.count, text[index + 2] | 0x20 == UInt8(ascii: "d"),
      "89abAB".utf8.contains(text[index + 3])
    else { return 6 }
    return 12
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
      UInt8(ascii: "A")...UInt8(ascii: "F"):
      true
    default: false
    }
  }
}
