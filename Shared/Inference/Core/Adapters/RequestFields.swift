import Text

/// A client's request, member by member, for a dialect that must be translated to. What is taken is
/// ticked off; the rest goes to the host as it is, so that a field nobody knew of yet arrives.
struct RequestFields {
  let scanner: JSONObjectScanner
  private var taken: Set<String> = ["tutti", "stream", "stream_options"]

  var document: JSONDocument { scanner.document }

  init(_ body: [UInt8]) throws(AdapterRefusal) {
    scanner = try Self.scanner(body)
  }

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
    var texts: [String] = []
    for element in value.kind == .array ? document.elements(of: value) : [value] {
      guard let text = document.string(element) else { throw .invalid("\(name) holds no text") }
      texts.append(text)
    }
    return texts
  }

  /// The limit on the answer's length, less what is spent.
  mutating func maxTokens(less spent: Int) throws(AdapterRefusal) -> Int? {
    let newer = try integer("max_completion_tokens")
    let older = try integer("max_tokens")
    return (newer ?? older).map { max($0 - spent, 1) }
  }

  /// Refuses what only OpenAI's own dialect has words for.
  mutating func refuseSeveralAnswers() throws(AdapterRefusal) {
    if let n = try integer("n"), n != 1 { throw .cannot("give several choices (n = \(n))") }
    if take("logprobs").flatMap(document.boolean) == true { throw .cannot("give logprobs") }
    if let top = try integer("top_logprobs"), top > 0 { throw .cannot("give top_logprobs") }
    if let bias = take("logit_bias"), !document.members(of: bias).isEmpty {
      throw .cannot("take a logit_bias")
    }
    for name in ["functions", "function_call"] where take(name) != nil {
      throw .cannot("take \(name); use tools")
    }
    if take("audio") != nil { throw .cannot("answer in sound") }
    if let modalities = take("modalities"),
      document.elements(of: modalities).contains(where: { document.string($0) != "text" })
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

  init(_ value: JSONValue, _ fields: RequestFields) throws(AdapterRefusal) {
    guard let role = fields.text("role", in: value) else {
      throw .invalid("a message has no role")
    }
    guard ["system", "developer", "user", "assistant", "tool"].contains(role) else {
      throw .cannot("take a message of role \"\(role.prefix(32))\"")
    }
    self.role = role == "developer" ? "system" : role
    let document = fields.document
    parts = try Self.parts(document.value("content", in: value), document)
    callID = fields.text("tool_call_id", in: value)
    calls = []
    for call in document.value("tool_calls", in: value).map(document.elements) ?? [] {
      calls.append(try Self.call(call, fields))
    }
  }

  static func all(_ fields: inout RequestFields) throws(AdapterRefusal) -> [ChatMessage] {
    guard let messages = fields.take("messages"), messages.kind == .array else {
      throw .invalid("messages is no array")
    }
    var all: [ChatMessage] = []
    for message in fields.document.elements(of: messages) {
      all.append(try ChatMessage(message, fields))
    }
    return all
  }

  private static func call(
    _ call: JSONValue, _ fields: RequestFields
  ) throws(AdapterRefusal) -> Call {
    let document = fields.document
    guard let function = document.value("function", in: call),
      let name = fields.text("name", in: function)
    else { throw .cannot("take a tool call that is no function") }
    let text = fields.text("arguments", in: function) ?? ""
    let arguments = Array((text.isEmpty ? "{}" : text).utf8)
    guard let parsed = try? JSONDocument(validating: arguments), parsed.root.kind == .object else {
      throw .cannot("take a tool call whose arguments are no JSON object")
    }
    return Call(id: fields.text("id", in: call) ?? "", name: name, arguments: arguments)
  }

  private static func parts(
    _ content: JSONValue?, _ document: JSONDocument
  ) throws(AdapterRefusal) -> [Part] {
    guard let content, content.kind != .null else { return [] }
    if let text = document.string(content) { return [.text(text)] }
    guard content.kind == .array else { throw .invalid("a message's content is no text") }
    var parts: [Part] = []
    for element in document.elements(of: content) {
      let type = document.value("type", in: element).flatMap(document.string) ?? ""
      let value = document.value(type, in: element)
      switch type {
      case "text", "refusal": parts.append(.text(value.flatMap(document.string) ?? ""))
      case "image_url":
        guard
          let url = value.flatMap({ document.value("url", in: $0) ?? $0 }).flatMap(document.string)
        else { throw .invalid("an image has no url") }
        parts.append(try image(url))
      default: throw .cannot("take a part of type \"\(type.prefix(32))\"")
      }
    }
    return parts
  }

  private static func image(_ url: String) throws(AdapterRefusal) -> Part {
    guard url.hasPrefix("data:") else { return .imageURL(url) }
    guard let comma = url.firstIndex(of: ","), url[..<comma].hasSuffix(";base64") else {
      throw .cannot("take an image whose data: URL is not base64")
    }
    let type = url[..<comma].dropFirst(5).dropLast(7).prefix { $0 != ";" }
    return .image(
      mediaType: type.isEmpty ? "image/png" : String(type),
      base64: String(url[url.index(after: comma)...]))
  }
}
