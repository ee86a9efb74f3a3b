import ClusterModel
import Text

/// Extracts a JSON object from a model's output and ignores a fence or text around it.
struct ModelJSON {
  let document: JSONDocument

  /// Maximum bytes searched. A reply with a few fields is shorter.
  private static let maximumBytes = 64 * 1024

  /// - Returns: `nil` if the output has no complete object.
  init?(_ output: String) {
    let bytes = Array(output.utf8.prefix(Self.maximumBytes))
    guard let start = bytes.firstIndex(of: UInt8(ascii: "{")) else { return nil }
    let rest = Array(bytes[start...])
    guard let object = JSONSearch.first(in: rest, where: { $0.kind == .object }),
      let document = try? JSONDocument(validating: Array(rest[object.range]))
    else { return nil }
    self.document = document
  }

  var root: JSONValue { document.root }

  /// Returns a string member, trimmed and cut. `nil` if it is missing or empty.
  func text(_ name: String, in value: JSONValue, atMost bytes: Int) -> String? {
    guard let member = document.value(name, in: value), let text = document.string(member)
    else { return nil }
    let trimmed = text.trimmingSpace.cut(toBytes: bytes)
    return trimmed.isEmpty ? nil : trimmed
  }

  /// Returns the strings of an array member. A string in place of the array counts as one element.
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
