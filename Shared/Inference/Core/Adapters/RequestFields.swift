import ClusterModel
import Limits
import Text

/// A client's request, member by member, for a dialect that must be translated to. What is taken is
/// ticked off; the rest goes to the host as it is, so that a field nobody knew of yet arrives.
struct RequestFields {
  let scanner: JSONObjectScanner
  /// What the translation costs, for the client. Work is linear in the body, memory is bounded.
  var allowance: Allowance
  private var taken: Set<String> = ["tutti", "stream", "stream_options"]

  var document: JSONDocument { scanner.document }

  init(_ body: [UInt8]) throws(AdapterRefusal) {
    scanner = try Self.scanner(body)
    allowance = Allowance(memory: Limits.translatedBytes)
    allowance.receive(body.count)
    try work(2 * body.count)
  }

  mutating func work(_ units: Int) throws(AdapterRefusal) {
    do {
      try allowance.work(units)
    } catch {
      throw .cannot("take the request: it needs \(error)")
    }
  }

  /// Charges a part of the conversation and the bytes that are copied for it.
  mutating func keep(_ value: JSONValue) throws(AdapterRefusal) {
    parts += 1
    guard parts <= Limits.translatedParts.value else {
      throw .cannot("take \(Overdrawn(Limits.translatedParts))")
    }
    try work(value.range.count)
    do {
      try allowance.keep(Self.partBytes + 2 * value.range.count)
    } catch {
      throw .cannot("take the request: it needs \(error)")
    }
  }

  /// A message, part or call while it is translated: values of Swift, and JSON made of them.
  private static let partBytes = 512
  private var parts = 0

  static func scanner(_ body: [UInt8]) throws(AdapterRefusal) -> JSONObjectScanner {
    do {
      return try JSONObjectScanner(body)
    } catch {
      throw .invalid("\(error)")
    }
  }

  /// Whether the client wants the usage at the end of its stream.
  var wantsUsage: Bool {
    scanner["stream_options"].flatMap { document.value("include_usage", in: $0) }
      .flatMap(document.boolean) == true
  }

  /// The value; nil where there is none, or `null`.
  mutating func take(_ name: String) -> JSONValue? {
    taken.insert(name)
    return scanner[name].flatMap { $0.kind == .null ? nil : $0 }
  }

  /// What makes no difference to an answer's meaning.
  mutating func drop(_ names: [String]) { taken.formUnion(names) }

  mutating func integer(_ name: String) throws(AdapterRefusal) -> Int? {
    guard let value = take(name) else { return nil }
    guard let number = document.integer(value) else {
      throw .invalid("\(name) is no whole number")
    }
    return number
  }

  mutating func number(_ name: String) throws(AdapterRefusal) -> Double? {
    guard let value = take(name) else { return nil }
    guard let number = document.number(value) else { throw .invalid("\(name) is no number") }
    return number
  }

  mutating func boolean(_ name: String) throws(AdapterRefusal) -> Bool? {
    guard let value = take(name) else { return nil }
    guard let answer = document.boolean(value) else {
      throw .invalid("\(name) is neither true nor false")
    }
    return answer
  }

  /// A string, or an array of strings.
  mutating func texts(_ name: String) throws(AdapterRefusal) -> [String] {
    guard let value = take(name) else { return [] }
    guard value.kind == .array else {
      guard let text = document.string(value) else { throw .invalid("\(name) holds no text") }
      return [text]
    }
    var texts: [String] = []
    try work(value.range.count)
    for element in document.eachElement(of: value) {
      guard let text = document.string(element) else { throw .invalid("\(name) holds no text") }
      guard texts.count < Limits.translatedTexts.value else {
        throw .cannot("take \(name) with \(Overdrawn(Limits.translatedTexts))")
      }
      texts.append(text)
    }
    return texts
  }

  /// The limit on the answer's length, less what is spent.
  mutating func maxTokens(less spent: Int) throws(AdapterRefusal) -> Int? {
    let newer = try integer("max_completion_tokens")
    let older = try integer("max_tokens")
    return (newer ?? older).map { max($0.subtractingCapped(spent), 1) }
  }

  /// Refuses what only OpenAI's own dialect has words for.
  mutating func refuseSeveralAnswers() throws(AdapterRefusal) {
    if let n = try integer("n"), n != 1 { throw .cannot("give several choices (n = \(n))") }
    if take("logprobs").flatMap(document.boolean) == true { throw .cannot("give logprobs") }
    if let top = try integer("top_logprobs"), top > 0 { throw .cannot("give top_logprobs") }
    if let bias = take("logit_bias") {
      var members = document.eachMember(of: bias)
      if members.next() != nil { throw .cannot("take a logit_bias") }
    }
    for name in ["functions", "function_call"] where take(name) != nil {
      throw .cannot("take \(name); use tools")
    }
    if take("audio") != nil { throw .cannot("answer in sound") }
    if let modalities = take("modalities"),
      document.eachElement(of: modalities).contains(where: { document.string($0) != "text" })
    {
      throw .cannot("answer in anything but text")
    }
    if take("web_search_options") != nil { throw .cannot("search the web") }
  }

  /// What was not taken, as it came.
  var rest: [(String, JSON)] {
    scanner.members.filter { !taken.contains($0.name) }.map {
      ($0.name, raw($0.value))
    }
  }

  func raw(_ value: JSONValue) -> JSON { .raw(Array(document.slice(value))) }

  func text(_ name: String, in object: JSONValue) -> String? {
    document.value(name, in: object).flatMap(document.string)
  }
}

/// A message of the client, in parts that every dialect has.
struct ChatMessage {
  enum Part {
    case text(String)
    /// Decoded from a `data:` URL: its media type and base64.
    case image(mediaType: String, base64: String)
    case imageURL(String)
  }

  struct Call {
    var id: String
    var name: String
    /// A JSON object.
    var arguments: [UInt8]
  }

  var role: String
  var parts: [Part]
  var calls: [Call]
  /// Of a tool's answer.
  var callID: String?

  /// Its text parts, on lines of their own.
  var text: String {
    parts.compactMap { if case .text(let text) = $0 { text } else { nil } }
      .joined(separator: "\n")
  }

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
    parts = try Self.parts(members[1], &fields)
    callID = members[2].flatMap(document.string)
    calls = []
    guard let calls = members[3] else { return }
    for call in document.eachElement(of: calls) {
      self.calls.append(try Self.call(call, &fields))
    }
  }

  /// A client's word in a message of ours. Cut by bytes: one character may be any number of them.
  static func quoted(_ word: String) -> String {
    "\"" + String(decoding: word.utf8.prefix(32), as: UTF8.self) + "\""
  }

  static func all(_ fields: inout RequestFields) throws(AdapterRefusal) -> [ChatMessage] {
    guard let messages = fields.take("messages"), messages.kind == .array else {
      throw .invalid("messages is no array")
    }
    var all: [ChatMessage] = []
    for message in fields.document.eachElement(of: messages) {
      all.append(try ChatMessage(message, &fields))
    }
    return all
  }

  private static func call(
    _ call: JSONValue, _ fields: inout RequestFields
  ) throws(AdapterRefusal) -> Call {
    try fields.keep(call)
    let document = fields.document
    let members = document.values(["function", "id"], in: call)
    guard let function = members[0] else {
      throw .cannot("take a tool call that is no function")
    }
    let said = document.values(["name", "arguments"], in: function)
    guard let name = said[0].flatMap(document.string) else {
      throw .cannot("take a tool call that is no function")
    }
    let text = said[1].flatMap(document.string) ?? ""
    let arguments = Array((text.isEmpty ? "{}" : text).utf8)
    guard let parsed = try? JSONDocument(validating: arguments), parsed.root.kind == .object else {
      throw .cannot("take a tool call whose arguments are no JSON object")
    }
    return Call(
      id: members[1].flatMap(document.string) ?? "", name: name, arguments: arguments)
  }

  private static func parts(
    _ content: JSONValue?, _ fields: inout RequestFields
  ) throws(AdapterRefusal) -> [Part] {
    let document = fields.document
    guard let content, content.kind != .null else { return [] }
    if let text = document.string(content) { return [.text(text)] }
    guard content.kind == .array else { throw .invalid("a message's content is no text") }
    var parts: [Part] = []
    for element in document.eachElement(of: content) {
      try fields.keep(element)
      let type = document.value("type", in: element).flatMap(document.string) ?? ""
      let value = document.value(type, in: element)
      switch type {
      case "text", "refusal": parts.append(.text(value.flatMap(document.string) ?? ""))
      case "image_url":
        guard
          let url = value.flatMap({ document.value("url", in: $0) ?? $0 }).flatMap(document.string)
        else { throw .invalid("an image has no url") }
        parts.append(try image(url))
      default: throw .cannot("take a part of type \(quoted(type))")
      }
    }
    return parts
  }

  /// By bytes: an image has millions of them, and to tell its characters apart takes long.
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
