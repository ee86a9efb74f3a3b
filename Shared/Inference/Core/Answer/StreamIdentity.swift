import Limits
import Text

/// Members that all chunks of a stream share, so that the client sees one stream.
///
/// The members of the first host's chunks are copied into every chunk of later hosts, so their
/// length is bounded.
struct StreamIdentity: Hashable, Sendable {
  static let names = ["id", "created", "model", "system_fingerprint"]
  /// Name and JSON of each member that the first chunk has.
  private(set) var members: [(name: String, json: [UInt8])] = []
  /// JSON of `object`. Needed for chunks that Tutti makes itself.
  private(set) var object: [UInt8]?
  /// Whether the chunks belong to a chat, not to a plain completion.
  private(set) var isChat = true

  init(of data: [UInt8]) {
    guard let scanner = try? JSONObjectScanner(data) else { return }
    for name in Self.names {
      if let value = scanner[name], let json = Self.bounded(value, in: scanner.document) {
        members.append((name, json))
      }
    }
    object = scanner["object"].flatMap { Self.bounded($0, in: scanner.document) }
    if let choices = scanner["choices"],
      let choice = scanner.document.elements(of: choices).first
    {
      isChat = scanner.document.value("delta", in: choice) != nil
    }
  }

  /// Copies a string, number, Boolean or `null`. Long strings are cut between two characters to
  /// `Limits.nameBytes`. `nil` means that the value is left out.
  private static func bounded(_ value: JSONValue, in document: JSONDocument) -> [UInt8]? {
    switch value.kind {
    case .object, .array: return nil
    case .number, .boolean, .null:
      return value.range.count <= Limits.nameBytes.value ? Array(document.slice(value)) : nil
    case .string:
      guard value.range.count > Limits.nameBytes.value + 2 else {
        return Array(document.slice(value))
      }
      let head = Array((document.string(value) ?? "").utf8.prefix(Limits.nameBytes.value))
      let whole = head.dropLast(UTF8Bytes.incompleteTailLength(of: head))
      return JSON.quoted(String(decoding: whole, as: UTF8.self))
    }
  }

  static func == (left: Self, right: Self) -> Bool {
    left.members.elementsEqual(right.members) { $0 == $1 } && left.object == right.object
      && left.isChat == right.isChat
  }

  func hash(into hasher: inout Hasher) {
    for member in members {
      hasher.combine(member.name)
      hasher.combine(member.json)
    }
  }
}
