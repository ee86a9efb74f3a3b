import ClusterModel
import Text

/// A client's message, split into parts that every adapter can translate.
struct ChatMessage {
  enum Part {
    case text(String)
    /// Media type and base64 data of a `data:` URL.
    case image(mediaType: String, base64: String)
    case imageURL(String)
    /// A part of any other type, such as OpenAI's `input_audio` or Anthropic's `document`.
    case other(type: String, JSONValue)
  }

  /// A part, and its further members, such as `cache_control`.
  struct Piece {
    var part: Part
    var extras: [JSONMember] = []
  }

  struct Call {
    var id: String
    var name: String
    /// JSON text of an object.
    var arguments: [UInt8]
    var extras: [JSONMember] = []
  }

  var role: String
  var pieces: [Piece]
  var calls: [Call]
  /// Members that have no property here and are not empty.
  var extras: [JSONMember] = []
  /// ID of the call that a tool message answers.
  var callID: String?

  /// The text parts, joined by line feeds.
  var text: String {
    pieces.compactMap { if case .text(let text) = $0.part { text } else { nil } }
      .joined(separator: "\n")
  }

  private static let known: Set<String> = ["role", "content", "tool_call_id", "tool_calls"]

  init(_ value: JSONValue, _ fields: inout RequestFields) throws(AdapterRefusal) {
    try fields.keep(value)
    let document = fields.document
    let members = document.values(["role", "content", "tool_call_id", "tool_calls"], in: value)
    guard let role = members[0].flatMap(document.string) else {
      throw .invalid("a message has no role")
    }
    guard ["system", "developer", "user", "assistant", "tool"].contains(role) else {
      throw .cannot("take a message of role \(Self.quoted(role))")
    }
    self.role = role == "developer" ? "system" : role
    pieces = try Self.pieces(members[1], &fields)
    extras = try Self.extras(of: value, besides: Self.known, document)
    callID = members[2].flatMap(document.string)
    calls = []
    guard let calls = members[3] else { return }
    for call in document.eachElement(of: calls) {
      self.calls.append(try Self.call(call, &fields))
    }
  }

  /// Quotes a client's word for an error message. The word is cut after a number of bytes, because
  /// a single character may have any number of bytes.
  static func quoted(_ word: String) -> String {
    "\"" + String(decoding: word.utf8.prefix(32), as: UTF8.self) + "\""
  }

  static func all(_ fields: inout RequestFields) throws(AdapterRefusal) -> [ChatMessage] {
    guard let messages = fields.take("messages"), messages.kind == .array else {
      throw .invalid("messages is not an array")
    }
    var all: [ChatMessage] = []
    for message in fields.document.eachElement(of: messages) {
      all.append(try ChatMessage(message, &fields))
    }
    return all
  }

  /// Maximum unknown members of one object. No dialect has this many.
  private static let mostExtras = 32

  /// Members that are not in `known`. Leaves out `null`, empty strings and empty arrays.
  static func extras(
    of value: JSONValue, besides known: Set<String>, _ document: JSONDocument
  ) throws(AdapterRefusal) -> [JSONMember] {
    var extras: [JSONMember] = []
    for member in document.eachMember(of: value)
    where !known.contains(member.name) && hasContent(member.value, document) {
      guard extras.count < mostExtras else {
        throw .cannot("take an object with more than \(mostExtras) members that it does not know")
      }
      extras.append(member)
    }
    return extras
  }

  private static func hasContent(_ value: JSONValue, _ document: JSONDocument) -> Bool {
    switch value.kind {
    case .null: false
    case .string: value.range.count > 2
    case .array: document.firstElement(of: value) != nil
    case .object, .number, .boolean: true
    }
  }

  private static func call(
    _ call: JSONValue, _ fields: inout RequestFields
  ) throws(AdapterRefusal) -> Call {
    try fields.keep(call)
    let document = fields.document
    let members = document.values(["function", "id"], in: call)
    guard let function = members[0] else {
      throw .cannot("take a tool call that is not a function")
    }
    let values = document.values(["name", "arguments"], in: function)
    guard let name = values[0].flatMap(document.string) else {
      throw .cannot("take a tool call that is not a function")
    }
    let text = values[1].flatMap(document.string) ?? ""
    let arguments = Array((text.isEmpty ? "{}" : text).utf8)
    guard let parsed = try? JSONDocument(validating: arguments), parsed.root.kind == .object else {
      throw .cannot("take a tool call whose arguments are not a JSON object")
    }
    if let strange = try extras(of: function, besides: ["name", "arguments"], document).first {
      throw .cannot("take \(quoted(strange.name)) of a tool call's function")
    }
    return Call(
      id: members[1].flatMap(document.string) ?? "", name: name, arguments: arguments,
      extras: try extras(of: call, besides: ["function", "id", "type", "index"], document))
  }

  private static func pieces(
    _ content: JSONValue?, _ fields: inout RequestFields
  ) throws(AdapterRefusal) -> [Piece] {
    let document = fields.document
    guard let content, content.kind != .null else { return [] }
    if let text = document.string(content) { return [Piece(part: .text(text))] }
    guard content.kind == .array else { throw .invalid("a message's content is not text") }
    var pieces: [Piece] = []
    for element in document.eachElement(of: content) {
      try fields.keep(element)
      // Some clients send strings in place of parts.
      if let text = document.string(element) {
        pieces.append(Piece(part: .text(text)))
        continue
      }
      let type = document.value("type", in: element).flatMap(document.string) ?? ""
      let value = document.value(type, in: element)
      let part: Part
      switch type {
      case "text", "refusal": part = .text(value.flatMap(document.string) ?? "")
      case "image_url":
        guard
          let url = value.flatMap({ document.value("url", in: $0) ?? $0 }).flatMap(document.string)
        else { throw .invalid("an image has no url") }
        if let value { try checkImage(value, document) }
        part = try image(url)
      case "": throw .invalid("a part of a message's content has no type")
      default: part = .other(type: type, element)
      }
      pieces.append(
        Piece(part: part, extras: try extras(of: element, besides: ["type", type], document)))
    }
    return pieces
  }

  /// Refuses image options that other dialects lack.
  ///
  /// `auto` and `high` pass, because the other dialects always use the highest detail.
  private static func checkImage(
    _ value: JSONValue, _ document: JSONDocument
  ) throws(AdapterRefusal) {
    for extra in try extras(of: value, besides: ["url"], document) {
      let text = document.string(extra.value) ?? ""
      guard extra.name == "detail", text == "auto" || text == "high" else {
        throw .cannot("take an image with \(quoted(extra.name))")
      }
    }
  }

  /// Parses the URL of an image.
  ///
  /// Works on bytes, because an image has millions of characters and an iteration over characters
  /// is slow.
  private static func image(_ url: String) throws(AdapterRefusal) -> Part {
    let bytes = url.utf8
    guard bytes.starts(with: "data:".utf8) else { return .imageURL(url) }
    let suffix = Array(";base64".utf8)
    guard let comma = bytes.firstIndex(of: UInt8(ascii: ",")),
      bytes[..<comma].suffix(suffix.count).elementsEqual(suffix)
    else { throw .cannot("take an image whose data: URL is not base64") }
    let type = bytes[..<comma].dropFirst(5).dropLast(suffix.count)
      .prefix { $0 != UInt8(ascii: ";") }
    return .image(
      mediaType: type.isEmpty ? "image/png" : String(decoding: type, as: UTF8.self),
      base64: String(decoding: bytes[bytes.index(after: comma)...], as: UTF8.self))
  }
}
