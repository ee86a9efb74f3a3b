public import ClusterModel
public import Limits
import Text

/// Facts that the cluster needs about a stream's chunk or a whole body.
public struct ChunkFacts: Hashable, Sendable {
  /// Text that the first choice gains.
  public var text: String
  /// The first choice's whole `delta`, byte for byte, if it holds more than text.
  public var deltaJSON: [UInt8]?
  /// Whether the chunk adds more than text of the first choice, such as tool calls, reasoning, a
  /// refusal, or text of another choice.
  public var hasOther: Bool
  /// The first choice's `finish_reason`.
  public var finishReason: String?
  /// Changes that the chunk makes to the choices.
  private(set) var steps = ChoiceSteps()
  public var usage: Usage?
  /// Whether the chunk has usage and no choice. Hosts send such a chunk last, if the request asks
  /// for usage.
  public var isOnlyUsage: Bool
  /// Whether the chunk has only usage that the client did not ask for. Such a chunk is counted, but
  /// not passed on.
  public var isUnasked = false

  public init(
    text: String = "", deltaJSON: [UInt8]? = nil, hasOther: Bool = false,
    finishReason: String? = nil, usage: Usage? = nil, isOnlyUsage: Bool = false
  ) {
    self.text = text
    self.deltaJSON = deltaJSON
    self.hasOther = hasOther
    self.finishReason = finishReason
    self.usage = usage
    self.isOnlyUsage = isOnlyUsage
    guard !text.isEmpty || hasOther || finishReason != nil else { return }
    let adds = !text.isEmpty || hasOther
    steps.add(
      index: 0,
      ChoiceSteps.Gain(
        adds: adds, answers: adds, ends: finishReason != nil,
        isFirm: finishReason != nil && finishReason != "stop"))
  }

  /// Number of choices that end with the chunk.
  public var finishedChoices: Int { steps.ended }

  /// Whether the chunk has any choice.
  var hasChoices: Bool { steps.highest >= 0 }

  /// Whether the chunk can begin an answer. It has visible text or another addition, or ends a
  /// choice.
  public var isValidToken: Bool {
    hasOther || finishedChoices > 0 || text.contains { !$0.isWhitespace }
  }

  /// Reads a chunk or a body of `/v1/chat/completions` or `/v1/completions`.
  ///
  /// - Parameter choices: number of choices that the request asks for.
  /// - Throws: `garbage` if the bytes are no valid chunk or body, `errorEvent` if the host reports
  ///   an error.
  public init(
    parsing bytes: [UInt8], choices: Int = Limits.answerChoices.value
  ) throws(AttemptFailure) {
    var allowance = Allowance(memory: Limits.readerBytes)
    allowance.receive(bytes.count)
    try self.init(parsing: bytes, choices: choices, &allowance)
  }

  /// - Parameter allowance: the host's budget, charged with each pass over its bytes.
  init(
    parsing bytes: [UInt8], choices: Int, _ allowance: inout Allowance
  ) throws(AttemptFailure) {
    var terms = ChunkTerms(choices: choices)
    try self.init(parsing: bytes, &terms, &allowance)
  }

  /// - Parameter terms: facts from the request and from earlier chunks. The chunk updates them.
  init(
    parsing bytes: [UInt8], _ terms: inout ChunkTerms, _ allowance: inout Allowance
  ) throws(AttemptFailure) {
    var json = try HostJSON(bytes, allowance)
    defer { allowance = json.allowance }
    try self.init(&json, &terms)
  }

  init(_ json: inout HostJSON, _ terms: inout ChunkTerms) throws(AttemptFailure) {
    self.init()
    try json.allowance.charge(json.root.range.count)
    var trouble = HostTrouble()
    var choices: Int?
    var hasUsage = false
    var count = HostJSON.Members()
    for member in json.document.eachMember(of: json.root) {
      try count.count()
      switch member.name {
      case "choices":
        choices = choices ?? 0
        guard let elements = try json.elements(of: member.value, "choices") else { continue }
        for choice in elements {
          let position = choices ?? 0
          guard position < terms.choices else {
            throw .garbage("more than \(terms.choices) choices")
          }
          try read(choice: choice, position: position, &terms, in: &json)
          choices = position + 1
        }
      case "usage":
        hasUsage = member.value.kind == .object
        usage = Usage(member.value, in: json.document)
      case "id", "object", "model", "system_fingerprint":
        trouble.isChunk = true
        guard member.value.kind == .string else { continue }
        try json.check(length: member.value, Limits.nameBytes)
        if member.name == "object", member.value.range.count == 7 { trouble.take(member, json) }
      default: trouble.take(member, json)
      }
    }
    let isAnswer = choices ?? 0 > 0 || hasUsage
    if let words = trouble.words(in: json, isAnswer: isAnswer) {
      throw .errorEvent(words, in: json.document.bytes)
    }
    if !isAnswer, trouble.isRemark {
      terms.words = UpstreamWords.message(ofRoot: json.root, in: json.document)
    }
    isOnlyUsage = (choices ?? 0) == 0 && hasUsage
  }

  /// Parses a host's JSON, whose root must be an object.
  static func document(_ bytes: [UInt8]) throws(AttemptFailure) -> JSONDocument {
    let document: JSONDocument
    do {
      document = try JSONDocument(validating: bytes)
    } catch {
      throw AttemptFailure(
        .garbage, "it sent what is not JSON: \(error)" + UpstreamWords.quoted(bytes))
    }
    guard document.root.kind == .object else {
      throw AttemptFailure(
        .garbage, "it sent JSON that is not an object" + UpstreamWords.quoted(bytes))
    }
    return document
  }

  private mutating func read(
    choice: JSONValue, position: Int, _ terms: inout ChunkTerms, in json: inout HostJSON
  ) throws(AttemptFailure) {
    var index = position
    var delta: JSONValue?
    var message: JSONValue?
    var plain: JSONValue?
    var reason: String?
    var count = HostJSON.Members()
    guard let members = try json.members(of: choice, "a choice") else { return }
    for member in members {
      try count.count()
      switch member.name {
      case "index":
        // Some hosts number their chunks in the index. So the index has no bound if the request
        // asks for only one choice.
        let bound = terms.choices == 1 ? Int.max : terms.choices
        index = try json.index(member.value, below: bound, "a choice") ?? index
      case "delta" where member.value.kind != .null: delta = member.value
      case "message" where member.value.kind != .null: message = member.value
      case "text" where member.value.kind == .string: plain = member.value
      // If there is no reason yet, some hosts send "" in place of `null`.
      case "finish_reason":
        reason = try json.name(member.value, "a finish_reason").flatMap { $0.isEmpty ? nil : $0 }
      default: break
      }
    }
    if let reason, let failure = FinishReason.failure(reason) { throw failure }
    let isOnly = terms.choices == 1
    // Hosts interleave the chunks of several choices. The text, the delta and the finish reason are
    // those of the first choice.
    let isFirst = isOnly || index == 0
    var gain = ChoiceSteps.Gain()
    switch terms.choose(delta: delta, message: message, text: plain) {
    case .delta(let delta): gain = try read(delta: delta, isFirst: isFirst, in: &json)
    case .text(let text) where text.range.count > 2:
      gain = ChoiceSteps.Gain(adds: true, answers: true)
      if isFirst { self.text += json.document.string(text) ?? "" } else { hasOther = true }
    case .text, .nothing: break
    }
    if let reason {
      gain.ends = true
      gain.isFirm = reason != "stop"
      if isFirst { finishReason = reason }
    }
    if isOnly { try terms.check(index: index, gain) }
    steps.add(index: isOnly ? 0 : index, gain)
  }

  /// - Returns: what the chunk adds to the choice.
  private mutating func read(
    delta: JSONValue, isFirst: Bool, in json: inout HostJSON
  ) throws(AttemptFailure) -> ChoiceSteps.Gain {
    var hasMore = false
    var hasReasoning = false
    var hasText = false
    var count = HostJSON.Members()
    guard let members = try json.members(of: delta, "a delta") else { return ChoiceSteps.Gain() }
    for member in members {
      try count.count()
      switch (member.name, member.value.kind) {
      case ("content", .string):
        let isEmpty = member.value.range.count <= 2
        hasText = hasText || !isEmpty
        if isFirst {
          text += json.document.string(member.value) ?? ""
        } else if !isEmpty {
          hasMore = true
        }
      case (_, .null): break
      case ("content", .array):
        guard let parts = try json.elements(of: member.value, "content") else { continue }
        for part in parts {
          switch try ContentPart(part, &json) {
          case .text(let piece) where isFirst:
            text += piece
            hasText = hasText || !piece.isEmpty
          case .reasoning: hasReasoning = true
          case .text, .other: hasMore = true
          }
        }
      case ("role", _): try json.checkName(member.value, "a role")
      case ("tool_calls", _):
        try checkCalls(member.value, in: &json)
        hasMore = hasMore || member.value.range.count > 2
      case ("reasoning_content", _), ("reasoning", _), ("reasoning_details", _), ("thinking", _),
        ("thinking_blocks", _):
        hasReasoning = hasReasoning || member.value.range.count > 2
      case (_, .string), (_, .array), (_, .object):
        hasMore = hasMore || member.value.range.count > 2
      default: break
      }
    }
    let gain = ChoiceSteps.Gain(
      adds: hasText || hasMore || hasReasoning, answers: hasText || hasMore)
    guard hasMore || hasReasoning else { return gain }
    hasOther = true
    if isFirst { deltaJSON = Array(json.document.slice(delta)) }
    return gain
  }

  /// Checks the limits of tool calls. Later stages keep a buffer for each index of a call, so they
  /// rely on this check.
  private func checkCalls(
    _ calls: JSONValue, in json: inout HostJSON
  ) throws(AttemptFailure) {
    guard let elements = try json.elements(of: calls, "tool_calls") else { return }
    var number = 0
    for call in elements {
      number += 1
      guard number <= Limits.toolCalls.value else {
        throw AttemptFailure(overdrawn: Limits.toolCalls)
      }
      guard let members = try json.members(of: call, "a tool call") else {
        throw .garbage("a tool call that is not an object")
      }
      var count = HostJSON.Members()
      for member in members {
        try count.count()
        switch member.name {
        case "index":
          _ = try json.index(member.value, below: Limits.toolCalls.value, "a tool call")
        case "id":
          try json.checkName(member.value, "the id of a tool call", limit: Limits.callIDBytes)
        case "type": try json.checkName(member.value, "the type of a tool call")
        case "function": try checkFunction(member.value, in: &json)
        default: break
        }
      }
    }
  }

  private func checkFunction(
    _ function: JSONValue, in json: inout HostJSON
  ) throws(AttemptFailure) {
    guard let members = try json.members(of: function, "the function of a tool call") else {
      return
    }
    var count = HostJSON.Members()
    for member in members {
      try count.count()
      if member.name == "name" { try json.checkName(member.value, "the name of a tool") }
    }
  }
}

extension Usage {
  /// Reads a host's `usage` object. `nil` means that the value is not an object with
  /// `prompt_tokens`.
  ///
  /// OpenAI and vLLM report the cached tokens of the prompt in `prompt_tokens_details`.
  init?(_ value: JSONValue, in document: JSONDocument) {
    guard value.kind == .object else { return nil }
    let counts = document.values(
      ["prompt_tokens", "completion_tokens", "prompt_tokens_details"], in: value)
    guard let prompt = counts[0].flatMap(document.tokens) else { return nil }
    let cached = counts[2].flatMap { document.value("cached_tokens", in: $0) }
    self.init(
      promptTokens: prompt, cachedTokens: cached.flatMap(document.tokens) ?? 0,
      completionTokens: counts[1].flatMap(document.tokens) ?? 0)
  }
}

extension JSONDocument {
  /// A host's token count. `nil` means that the value is not a count.
  func tokens(_ value: JSONValue) -> Int? {
    integer(value).flatMap { $0 >= 0 ? Usage.bounded($0) : nil }
  }
}

/// Error messages of hosts.
public enum UpstreamWords {
  /// Maximum bytes of a message. A sentence is enough to report a cause, and a page of HTML is too
  /// much.
  static let longest = 500

  /// The message in an error body, in any known format.
  public static func message(ofBody bytes: [UInt8]) -> String {
    let bytes = dataOfEvent(bytes) ?? bytes
    guard let document = try? JSONDocument(validating: bytes) else {
      return clipped(PageText.words(of: bytes, atMost: longest))
    }
    return message(ofRoot: document.root, in: document)
  }

  /// The error message in an object that has a usual member for errors, otherwise the first bytes
  /// of the object. Some hosts wrap the object in an array.
  static func message(ofRoot root: JSONValue, in document: JSONDocument) -> String {
    let root = document.firstElement(of: root) ?? root
    let values = document.values(names, in: root)
    for value in values.compactMap({ $0 }) where HostTrouble.isSet(value, document) {
      return message(of: value, in: document)
    }
    return clipped(String(decoding: document.slice(root).prefix(longest), as: UTF8.self))
  }

  /// The data of the first event, if the body is an event stream.
  private static func dataOfEvent(_ bytes: [UInt8]) -> [UInt8]? {
    guard bytes.starts(with: "data:".utf8) || bytes.starts(with: "event:".utf8) else { return nil }
    var events = SSESplitter(maximumEventBytes: Limits.errorBytes.value)
    let whole = (try? events.append(bytes)) ?? []
    return whole.first?.data ?? events.end()?.data
  }

  private static let names = [
    "error", "detail", "message", "errors", "error_message", "error_msg", "msg", "base_resp",
    "status_msg", "error_description", "reason", "title",
  ]

  /// The host's message with a colon before it, to be appended to a sentence. Empty if there is no
  /// message. Bytes that begin with a brace are a broken chunk and not a message.
  static func quoted(_ bytes: [UInt8]) -> String {
    guard bytes.first(where: { $0 > 0x20 }) != UInt8(ascii: "{") else { return "" }
    let words = message(ofBody: bytes)
    return words.isEmpty ? "" : ": \(words)"
  }

  /// The error type that a body names, for example `overloaded_error`.
  static func type(ofBody bytes: [UInt8]) -> String? {
    guard let document = try? JSONDocument(validating: bytes),
      let error = document.value("error", in: document.root),
      let type = document.value("type", in: error), let text = document.string(type),
      (1...64).contains(text.utf8.count), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
    else { return nil }
    return text
  }

  /// Phrases that report that a prompt exceeds the context. Sources: OpenAI
  /// (`context_length_exceeded`), vLLM ("maximum context length is"), llama.cpp
  /// (`exceed_context_size_error`), LM Studio ("context length of only"), Anthropic ("prompt is too
  /// long"), Gemini ("input token count").
  private static let contextWords = [
    "context length", "context_length", "context size", "context_size", "context window",
    "prompt is too long", "input token count",
  ]

  /// Whether an error body reports that the request exceeds the host's context.
  static func mentionsContext(_ body: [UInt8]) -> Bool {
    let text = String(decoding: body.prefix(4 * longest), as: UTF8.self).lowercased()
    return contextWords.contains { text.contains($0) }
  }

  static func message(of value: JSONValue, in document: JSONDocument) -> String {
    // FastAPI sends a list of errors.
    let value = document.firstElement(of: value) ?? value
    if let text = document.string(value) { return clipped(text) }
    for inner in document.values(["message", "msg", "status_msg", "detail"], in: value) {
      if let text = inner.flatMap(document.string), !text.isEmpty { return clipped(text) }
    }
    return clipped(String(decoding: document.slice(value).prefix(longest), as: UTF8.self))
  }

  private static func clipped(_ text: String) -> String {
    let line = text.cut(toBytes: 4 * longest).split(whereSeparator: \.isNewline)
      .joined(separator: " ")
    return line.utf8.count <= longest ? line : line.cut(toBytes: longest) + "…"
  }
}
