import ClusterModel
import Limits
import Text

/// Prepares requests for hosts that speak OpenAI's dialect, like the client. A few members are
/// edited in place, and all other bytes stay.
enum OpenAIAdapter {
  static func request(_ order: UpstreamOrder) throws(AdapterRefusal) -> UpstreamRequest {
    let scanner = try RequestFields.scanner(order.request.body)
    var edits = Edits(scanner)
    edits.set("model", JSON.quoted(order.model.name)) {
      scanner.document.string($0) == order.model.name
    }
    let asksForStream = order.request.endpoint != .embeddings && !order.asksForBody
    var wantsUsage = false
    if asksForStream {
      edits.set("stream", Array("true".utf8)) { scanner.document.boolean($0) == true }
      wantsUsage = askForUsage(order, &edits)
    } else if order.request.stream {
      // The request asks for a stream, but this host must answer in one body.
      edits.remove("stream")
      edits.remove("stream_options")
      wantsUsage = true
    }
    let resumed = order.resume.flatMap { continued($0, order, &edits) }
    return UpstreamRequest(
      path: order.path,
      headers: order.headers(
        .openai, accept: asksForStream ? "text/event-stream" : "application/json"),
      body: edits.body,
      reading: order.reading(
        .openai, wantsUsage: wantsUsage, resumed: resumed, choices: choices(scanner),
        vectors: order.request.endpoint == .embeddings ? EmbeddingInput.count(scanner) : nil,
        streams: order.streams),
      resumed: resumed)
  }

  /// Number of choices that the request asks for: `n` for each prompt.
  static func choices(_ scanner: JSONObjectScanner) -> Int {
    let most = Limits.answerChoices.value
    let each = max(scanner["n"].flatMap(scanner.document.integer) ?? 1, 1)
    var prompts = 0
    if let prompt = scanner["prompt"], prompt.kind == .array {
      for element in scanner.document.eachElement(of: prompt) {
        prompts += 1
        // An array of numbers holds the tokens of one prompt.
        if element.kind == .number { prompts = 1 }
        if element.kind == .number || prompts >= most { break }
      }
    }
    return min(each.multipliedCapped(by: max(prompts, 1)), most)
  }

  /// Asks the host for usage, because hosts are paid by usage.
  ///
  /// - Returns: whether the client asked for usage too.
  private static func askForUsage(_ order: UpstreamOrder, _ edits: inout Edits) -> Bool {
    let asked = [(name: "include_usage", json: Array("true".utf8))]
    if order.form.contains(.withoutUsageOption) {
      // An agent's `stream_options` are an addition by Tutti. A client's own `stream_options` stay.
      if order.request.undoable.contains(.withoutUsageOption) { edits.remove("stream_options") }
      return false
    }
    guard let options = edits.scanner["stream_options"], options.kind != .null else {
      edits.set("stream_options", Array(#"{"include_usage":true}"#.utf8))
      return false
    }
    // An invalid value stays, so that the host reports the error.
    guard options.kind == .object,
      let own = try? JSONObjectScanner(Array(edits.scanner.document.slice(options)))
    else { return false }
    if own["include_usage"].flatMap(own.document.boolean) == true { return true }
    edits.set("stream_options", own.edited(replacing: asked))
    return false
  }

  // MARK: - Resuming

  /// Edits the request to resume the answer.
  ///
  /// - Returns: how the host is asked to resume. `nil` means that this request can only be answered
  ///   from the start.
  private static func continued(
    _ resume: ResumePoint, _ order: UpstreamOrder, _ edits: inout Edits
  ) -> ResumeWay? {
    let way: ResumeWay?
    switch order.request.endpoint {
    case .chatCompletions: way = continuedChat(resume, order, &edits)
    case .completions: way = continuedPrompt(resume, order, &edits)
    case .embeddings: way = nil
    }
    guard way != nil else { return nil }
    for name in ["max_tokens", "max_completion_tokens", "n_predict"] {
      lower(name, by: resume.spentTokens, to: 1, &edits)
    }
    // A host refuses `min_tokens` above `max_tokens`.
    lower("min_tokens", by: resume.spentTokens, to: 0, &edits)
    return way
  }

  private static func lower(_ name: String, by spent: Int, to least: Int, _ edits: inout Edits) {
    guard spent > 0, let value = edits.scanner[name],
      let tokens = edits.scanner.document.integer(value), tokens > least
    else { return }
    edits.set(name, Array(String(max(tokens.subtractingCapped(spent), least)).utf8))
  }

  private static func continuedChat(
    _ resume: ResumePoint, _ order: UpstreamOrder, _ edits: inout Edits
  ) -> ResumeWay? {
    let document = edits.scanner.document
    guard let messages = edits.scanner["messages"], messages.kind == .array,
      let last = last(of: messages, document)
    else { return nil }
    let ownPrefix = edits.scanner["continue_final_message"].flatMap(document.boolean) == true
    let answer = message("assistant", order.prefix)
    switch order.host.resume {
    case .continueFinalMessage:
      edits.set("continue_final_message", Array("true".utf8))
      edits.set("add_generation_prompt", Array("false".utf8))
      edits.set(
        "messages",
        (ownPrefix ? extended(last, within: messages, by: order.prefix, document) : nil)
          ?? appended([answer], to: messages, after: last, document))
    case .trailingAssistant:
      // Hosts refuse two assistant messages at the end. So if the client's last message is the
      // assistant's, the answer is appended to this message.
      edits.set(
        "messages",
        extended(last, within: messages, by: order.prefix, document)
          ?? appended([answer], to: messages, after: last, document))
    case .instruct:
      let instruction = message("user", ResumeInstruction.text(at: resume))
      edits.set("messages", appended([answer, instruction], to: messages, after: last, document))
    }
    return order.host.resume
  }

  private static func message(_ role: String, _ content: String) -> [UInt8] {
    JSON.object([("role", .string(role)), ("content", .string(content))]).encoded
  }

  /// The last element of an array.
  ///
  /// The elements are not collected in an array. An array of single digits would take twelve times
  /// the memory of their JSON text.
  private static func last(of array: JSONValue, _ document: JSONDocument) -> JSONValue? {
    var last: JSONValue?
    for element in document.eachElement(of: array) { last = element }
    return last
  }

  /// The array with more elements. Its existing bytes are unchanged.
  private static func appended(
    _ elements: [[UInt8]], to array: JSONValue, after last: JSONValue, _ document: JSONDocument
  ) -> [UInt8] {
    var added: [UInt8] = []
    for element in elements { added += [UInt8(ascii: ",")] + element }
    return inserted(added, at: last.range.upperBound, within: array, document)
  }

  /// The array with text added to its last message. `nil` means that the last message is not the
  /// assistant's, or that text cannot be added to its content.
  private static func extended(
    _ message: JSONValue, within array: JSONValue, by text: String, _ document: JSONDocument
  ) -> [UInt8]? {
    guard let role = document.value("role", in: message), document.string(role) == "assistant",
      let content = document.value("content", in: message)
    else { return nil }
    switch content.kind {
    case .string:
      return inserted(inner(text), at: content.range.upperBound - 1, within: array, document)
    case .array:
      guard let part = last(of: content, document) else { return nil }
      let added = JSON.object([("type", "text"), ("text", .string(text))]).encoded
      return inserted(
        [UInt8(ascii: ",")] + added, at: part.range.upperBound, within: array, document)
    default: return nil
    }
  }

  private static func continuedPrompt(
    _ resume: ResumePoint, _ order: UpstreamOrder, _ edits: inout Edits
  ) -> ResumeWay? {
    let document = edits.scanner.document
    guard let prompt = edits.scanner["prompt"] else { return nil }
    // Text can be appended only to a single prompt that is a text.
    let texts = prompt.kind == .array ? Array(document.eachElement(of: prompt).prefix(2)) : [prompt]
    guard texts.count == 1, let text = document.string(texts[0]) else { return nil }
    if edits.scanner["echo"].flatMap(document.boolean) == true {
      // With `echo`, the answer so far begins with the prompt.
      guard order.prefix.utf8.starts(with: text.utf8) else { return nil }
      edits.set("prompt", JSON.quoted(order.prefix))
      edits.set("echo", Array("false".utf8))
    } else {
      edits.set(
        "prompt",
        inserted(
          inner(order.prefix), at: texts[0].range.upperBound - 1, within: prompt, document))
    }
    // Every backend can continue a prompt, so no option of a backend is needed.
    return .trailingAssistant
  }

  private static func inserted(
    _ bytes: [UInt8], at position: Int, within value: JSONValue, _ document: JSONDocument
  ) -> [UInt8] {
    Array(document.bytes[value.range.lowerBound..<position]) + bytes
      + document.bytes[position..<value.range.upperBound]
  }

  /// The text with JSON escapes, without quotes around it.
  private static func inner(_ text: String) -> [UInt8] {
    Array(JSON.quoted(text).dropFirst().dropLast())
  }
}

/// Edits to members of a request. All other bytes are unchanged.
private struct Edits {
  let scanner: JSONObjectScanner
  private var replacing: [(name: String, json: [UInt8])] = []
  private var removing: Set<String> = ["tutti"]

  init(_ scanner: JSONObjectScanner) { self.scanner = scanner }

  /// - Parameter isRight: whether a present value may stay. If several members have this name, each
  ///   value must be allowed to stay.
  mutating func set(
    _ name: String, _ json: [UInt8], unless isRight: (JSONValue) -> Bool = { _ in false }
  ) {
    let there = scanner.members.filter { $0.name == name }
    if !there.isEmpty, there.allSatisfy({ isRight($0.value) }) { return }
    replacing.removeAll { $0.name == name }
    replacing.append((name, json))
  }

  mutating func remove(_ name: String) { removing.insert(name) }

  var body: [UInt8] {
    guard !replacing.isEmpty || scanner.members.contains(where: { removing.contains($0.name) })
    else { return scanner.bytes }
    return scanner.edited(replacing: replacing, removing: removing)
  }
}
