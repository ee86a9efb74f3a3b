/// A minimal JSON reader for tests: independent of the code under test, and fast enough for a
/// million chunks.
enum PlainJSON {
  case text(String)
  /// A number or a literal, as written.
  case word(String)
  case array([PlainJSON])
  case object([(name: String, value: PlainJSON)])

  /// Returns `nil` if the bytes are not exactly one JSON text. Numbers and literals are not
  /// checked.
  init?(_ bytes: [UInt8]) {
    var reader = Reader(bytes: bytes)
    guard let value = reader.value() else { return nil }
    reader.skipSpace()
    guard reader.position == bytes.count else { return nil }
    self = value
  }

  subscript(name: String) -> PlainJSON? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.name == name }?.value
  }

  var elements: [PlainJSON] { if case .array(let elements) = self { elements } else { [] } }
  var text: String? { if case .text(let text) = self { text } else { nil } }
  var word: String? { if case .word(let word) = self { word } else { nil } }
}

extension PlainJSON {
  private struct Reader {
    let bytes: [UInt8]
    var position = 0

    private var next: UInt8? { position < bytes.count ? bytes[position] : nil }

    mutating func skipSpace() {
      while let byte = next, byte == 0x20 || (0x09...0x0D).contains(byte) { position += 1 }
    }

    private mutating func skip(_ sign: Unicode.Scalar) -> Bool {
      skipSpace()
      guard next == UInt8(ascii: sign) else { return false }
      position += 1
      return true
    }

    mutating func value() -> PlainJSON? {
      skipSpace()
      switch next {
      case UInt8(ascii: "{"): return object()
      case UInt8(ascii: "["): return array()
      case UInt8(ascii: "\""): return string().map { .text($0) }
      default:
        let word = bytes[position...].prefix {
          $0 > 0x20 && $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: "]")
            && $0 != UInt8(ascii: "}")
        }
        position += word.count
        return word.isEmpty ? nil : .word(String(decoding: word, as: UTF8.self))
      }
    }

    private mutating func object() -> PlainJSON? {
      position += 1
      var members: [(name: String, value: PlainJSON)] = []
      if skip("}") { return .object([]) }
      repeat {
        skipSpace()
        guard let name = string(), skip(":"), let value = value() else { return nil }
        members.append((name, value))
      } while skip(",")
      return skip("}") ? .object(members) : nil
    }

    private mutating func array() -> PlainJSON? {
      position += 1
      var elements: [PlainJSON] = []
      if skip("]") { return .array([]) }
      repeat {
        guard let value = value() else { return nil }
        elements.append(value)
      } while skip(",")
      return skip("]") ? .array(elements) : nil
    }

    private mutating func string() -> String? {
      guard next == UInt8(ascii: "\"") else { return nil }
      position += 1
      var text: [UInt8] = []
      while let byte = next {
        position += 1
        switch byte {
        case UInt8(ascii: "\""): return String(validating: text, as: UTF8.self)
        case UInt8(ascii: "\\"):
          guard escape(to: &text) else { return nil }
        default: text.append(byte)
        }
      }
      return nil
    }

    private mutating func escape(to text: inout [UInt8]) -> Bool {
      guard let sign = next else { return false }
      position += 1
      switch sign {
      case UInt8(ascii: "n"): text.append(0x0A)
      case UInt8(ascii: "r"): text.append(0x0D)
      case UInt8(ascii: "t"): text.append(0x09)
      case UInt8(ascii: "b"): text.append(0x08)
      case UInt8(ascii: "f"): text.append(0x0C)
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(sign)
      case UInt8(ascii: "u"):
        guard var code = digits() else { return false }
        if 0xD800..<0xDC00 ~= code {
          guard next == UInt8(ascii: "\\") else { return false }
          position += 2
          guard let low = digits(), 0xDC00..<0xE000 ~= low else { return false }
          code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { return false }
        text += Array(String(Character(scalar)).utf8)
      default: return false
      }
      return true
    }

    private mutating func digits() -> UInt32? {
      defer { position += 4 }
      return UInt32(String(decoding: bytes[position...].prefix(4), as: UTF8.self), radix: 16)
    }
  }
}
