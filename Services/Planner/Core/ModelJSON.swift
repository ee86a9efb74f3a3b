import ClusterModel
import Text

/// A JSON object that a model was asked for, found in whatever it wrote around it: a fence, a
/// sentence before, a remark behind.
struct ModelJSON {
  let document: JSONDocument

  /// Longer output is not an answer to a question for a few fields.
  private static let maximumBytes = 64 * 1024

  /// - Returns: nil when there is no whole object in it.
  init?(_ output: String) {
    let bytes = Array(output.utf8.prefix(Self.maximumBytes))
    guard let start = bytes.firstIndex(of: UInt8(ascii: "{")) else { return nil }
    if let whole = Self.object(bytes, from: start) {
      document = whole
    } else if let last = bytes.lastIndex(of: UInt8(ascii: "}")), last > start,
      let cut = try? JSONDocument(validating: Array(bytes[start...last]))
    {
      document = cut
    } else {
      return nil
    }
  }

  /// The object that begins there, by its braces outside strings.
  private static func object(_ bytes: [UInt8], from start: Int) -> JSONDocument? {
    var depth = 0
    var isInString = false
    var isEscaped = false
    for index in start..<bytes.count {
      let byte = bytes[index]
      if isInString {
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          isInString = false
        }
        continue
      }
      switch byte {
      case UInt8(ascii: "\""): isInString = true
      case UInt8(ascii: "{"): depth += 1
      case UInt8(ascii: "}"):
        depth -= 1
        if depth == 0 { return try? JSONDocument(validating: Array(bytes[start...index])) }
      default: break
      }
    }
    return nil
  }

  var root: JSONValue { document.root }

  /// A string member without the white space around it, cut; nil when it is missing or empty.
  func text(_ name: String, in value: JSONValue, atMost bytes: Int) -> String? {
    guard let member = document.value(name, in: value), let text = document.string(member)
    else { return nil }
    let trimmed = text.trimmingSpace.cut(toBytes: bytes)
    return trimmed.isEmpty ? nil : trimmed
  }

  /// The strings of an array member, and of a string in its place.
  func texts(_ name: String, in value: JSONValue, atMost count: Int, bytes: Int) -> [String] {
    guard let member = document.value(name, in: value) else { return [] }
    let values = member.kind == .string ? [member] : document.elements(of: member)
    return values.prefix(count).compactMap { value in
      document.string(value).map { $0.trimmingSpace.cut(toBytes: bytes) }
    }.filter { !$0.isEmpty }
  }

  func integer(_ name: String, in value: JSONValue) -> Int? {
    document.value(name, in: value).flatMap { document.integer($0) }
  }
}
