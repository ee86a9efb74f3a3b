public import ClusterModel
public import Limits
import Text

/// What a chunk of a stream, or a whole body, says, as far as the cluster needs to know.
public struct ChunkFacts: Hashable, Sendable {
  /// Text that the first choice gains.
  public var text: String
  /// The first choice's whole `delta`, byte for byte, when it holds more than text.
  public var deltaJSON: [UInt8]?
  /// Some choice gains more than text: tool calls, reasoning, a refusal.
  public var hasOther: Bool
  /// Of the first choice.
  public var finishReason: String?
  /// What each of its choices gains.
  public private(set) var steps = ChoiceSteps()
  public var usage: Usage?
  /// It has usage and no choice: the last chunk before the end, when it was asked for.
  public var isOnlyUsage: Bool
  /// It is only usage, and the client did not ask for it: it counts, and is not passed on.
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
    steps.add(index: 0, says: !text.isEmpty || hasOther, ends: finishReason != nil)
  }

  /// How many choices end with it.
  public var finishedChoices: Int { steps.ended }

  /// Whether an answer has begun with it: it says something, or ends properly without a word.
  public var isValidToken: Bool {
    hasOther || finishedChoices > 0 || text.contains { !$0.isWhitespace }
  }

  /// Reads a chunk or a body of `/v1/chat/completions` or `/v1/completions`.
  ///
  /// - Parameter choices: how many the request asked for.
  /// - Throws: `AttemptFailure`: `garbage`, or `errorEvent` with the host's words.
  public init(
    parsing bytes: [UInt8], choices: Int = Limits.answerChoices.value
  ) throws(AttemptFailure) {
    var allowance = Allowance(memory: Limits.readerBytes)
    allowance.receive(bytes.count)
    try self.init(parsing: bytes, choices: choices, &allowance)
  }

  /// - Parameter allowance: what the host may cost; charged with each pass over its bytes.
  init(
    parsing bytes: [UInt8], choices: Int, _ allowance: inout Allowance
  ) throws(AttemptFailure) {
    var json = try HostJSON(bytes, allowance)
    defer { allowance = json.allowance }
    try self.init(&json, choices: choices)
  }

  init(_ json: inout HostJSON, choices asked: Int) throws(AttemptFailure) {
    self.init()
    try json.allowance.charge(json.root.range.count)
    var hostError: JSONValue?
    var choices: Int?
    var count = HostJSON.Members()
    for member in json.document.eachMember(of: json.root) {
      try count.count()
      switch member.name {
      case "choices":
        choices = choices ?? 0
        guard let elements = try json.elements(of: member.value, "choices") else { continue }
        for choice in elements {
          let position = choices ?? 0
          guard position < asked else { throw .garbage("more than \(asked) choices") }
          try read(choice: choice, position: position, of: asked, in: &json)
          choices = position + 1
        }
      case "usage": usage = Usage(member.value, in: json.document)
      case "error" where member.value.kind != .null: hostError = member.value
      case "id", "object", "model", "system_fingerprint":
        if member.value.kind == .string { try json.check(length: member.value, Limits.nameBytes) }
      default: break
      }
    }
    if let hostError {
      throw AttemptFailure(.errorEvent, UpstreamWords.message(of: hostError, in: json.document))
    }
    isOnlyUsage = choices == 0 && usage != nil
  }

  /// What a host sent as JSON; its root is an object.
  static func document(_ bytes: [UInt8]) throws(AttemptFailure) -> JSONDocument {
    let document: JSONDocument
    do {
      document = try JSONDocument(validating: bytes)
    } catch {
      throw AttemptFailure(.garbage, "it sent what is not JSON: \(error)")
    }
    guard document.root.kind == .object else {
      throw AttemptFailure(.garbage, "it sent JSON that is not an object")
    }
    return document
  }

  private mutating func read(
    choice: JSONValue, position: Int, of asked: Int, in json: inout HostJSON
  ) throws(AttemptFailure) {
    var index = position
    var delta: JSONValue?
    var gained: String?
    var reason: String?
    var count = HostJSON.Members()
    guard let members = try json.members(of: choice, "a choice") else { return }
    for member in members {
      try count.count()
      switch member.name {
      case "index": index = try json.index(member.value, below: asked, "a choice") ?? index
      case "delta", "message": delta = member.value
      case "text": gained = json.document.string(member.value)
      // Some hosts send "" where others send null.
      case "finish_reason":
        reason = try json.name(member.value, "a finish_reason").flatMap { $0.isEmpty ? nil : $0 }
      default: break
      }
    }
    // Several choices come interleaved, each in chunks of its own.
    let isFirst = index == 0
    var says = false
    if let delta { says = try read(delta: delta, isFirst: isFirst, in: &json) }
    if let gained, !gained.isEmpty {
      says = true
      if isFirst { text += gained } else { hasOther = true }
    }
    if let reason, isFirst { finishReason = reason }
    steps.add(index: index, says: says, ends: reason != nil)
  }

  /// - Returns: whether the choice gains anything.
  private mutating func read(
    delta: JSONValue, isFirst: Bool, in json: inout HostJSON
  ) throws(AttemptFailure) -> Bool {
    var hasMore = false
    var hasText = false
    var count = HostJSON.Members()
    guard let members = try json.members(of: delta, "a delta") else { return false }
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
      case ("role", _): try json.checkName(member.value, "a role")
      case ("tool_calls", _):
        try checkCalls(member.value, in: &json)
        hasMore = hasMore || member.value.range.count > 2
      case (_, .string), (_, .array), (_, .object):
        hasMore = hasMore || member.value.range.count > 2
      default: break
      }
    }
    guard hasMore else { return hasText }
    hasOther = true
    if isFirst { deltaJSON = Array(json.document.slice(delta)) }
    return true
  }

  /// Later stages read the calls with `JSONObjectScanner` and number their buffers by them.
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
        throw .garbage("a tool call that is no object")
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
  /// The `usage` object of a host; nil if it is none.
  init?(_ value: JSONValue, in document: JSONDocument) {
    guard value.kind == .object else { return nil }
    let counts = document.values(["prompt_tokens", "completion_tokens"], in: value)
    guard let prompt = counts[0].flatMap(document.tokens) else { return nil }
    self.init(
      promptTokens: prompt, completionTokens: counts[1].flatMap(document.tokens) ?? 0)
  }
}

extension JSONDocument {
  /// A host's count of tokens; nil: it says none.
  func tokens(_ value: JSONValue) -> Int? {
    integer(value).flatMap { $0 >= 0 ? Usage.bounded($0) : nil }
  }
}

/// What a host says when something went wrong.
public enum UpstreamWords {
  /// Bytes. A sentence is enough; a page of HTML is not a cause.
  static let longest = 500

  /// The message in an error body, whatever its shape.
  public static func message(ofBody bytes: [UInt8]) -> String {
    guard let document = try? JSONDocument(validating: bytes) else {
      return clipped(String(decoding: bytes.prefix(longest), as: UTF8.self))
    }
    for name in ["error", "detail", "message"] {
      if let value = document.value(name, in: document.root) {
        return message(of: value, in: document)
      }
    }
    return clipped(String(decoding: bytes.prefix(longest), as: UTF8.self))
  }

  /// The kind of error that a body names, for example `overloaded_error`.
  static func type(ofBody bytes: [UInt8]) -> String? {
    guard let document = try? JSONDocument(validating: bytes),
      let error = document.value("error", in: document.root),
      let type = document.value("type", in: error), let text = document.string(type),
      (1...64).contains(text.utf8.count), text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F })
    else { return nil }
    return text
  }

  /// What the servers there are say of a prompt that is longer than their context: OpenAI
  /// (`context_length_exceeded`), vLLM ("maximum context length is"), llama.cpp
  /// (`exceed_context_size_error`), LM Studio ("context length of only"), Anthropic ("prompt is too
  /// long"), Gemini ("input token count").
  private static let contextWords = [
    "context length", "context_length", "context size", "context_size", "context window",
    "prompt is too long", "input token count",
  ]

  /// Whether an error body says that the request does not fit the host's context.
  static func speaksOfContext(_ body: [UInt8]) -> Bool {
    let text = String(decoding: body.prefix(4 * longest), as: UTF8.self).lowercased()
    return contextWords.contains { text.contains($0) }
  }

  static func message(of value: JSONValue, in document: JSONDocument) -> String {
    if let text = document.string(value) { return clipped(text) }
    if let inner = document.value("message", in: value), let text = document.string(inner) {
      return clipped(text)
    }
    return clipped(String(decoding: document.slice(value).prefix(longest), as: UTF8.self))
  }

  private static func clipped(_ text: String) -> String {
    let line = text.cut(toBytes: 4 * longest).split(whereSeparator: \.isNewline)
      .joined(separator: " ")
    return line.utf8.count <= longest ? line : line.cut(toBytes: longest) + "…"
  }
}
