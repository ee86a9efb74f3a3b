import ClusterModel
import Text

/// Anthropic's messages API. What it has no words for is refused before anybody is asked.
///
/// Source: https://platform.claude.com/docs/en/api/messages
enum AnthropicAdapter {
  static let version = "2023-06-01"
  /// The API wants a limit; every model of the family allows this one.
  static let standardMaxTokens = 4_096

  static func request(_ order: UpstreamOrder) throws(AdapterRefusal) -> UpstreamRequest {
    guard order.request.endpoint == .chatCompletions else {
      throw .cannot("answer \(order.request.endpoint.rawValue): its dialect is anthropic")
    }
    var fields = try RequestFields(order.request.body)
    return try request(order, &fields)
  }

  static func request(
    _ order: UpstreamOrder, _ fields: inout RequestFields
  ) throws(AdapterRefusal) -> UpstreamRequest {
    fields.drop(ignored)
    try fields.refuseSeveralAnswers()
    for name in ["presence_penalty", "frequency_penalty"] {
      if let penalty = try fields.number(name), penalty != 0 { throw .cannot("take a \(name)") }
    }

    var (system, turns) = try conversation(&fields)
    let thinks = fields.scanner["thinking"].map { $0.kind != .null } ?? false
    let resumed = resume(order, thinks: thinks, &turns)

    var members: [(String, JSON)] = [
      ("model", .string(order.model.name)),
      (
        "max_tokens",
        .integer(try fields.maxTokens(less: order.resume?.spentTokens ?? 0) ?? standardMaxTokens)
      ),
    ]
    _ = fields.take("model")
    if !system.isEmpty {
      members.append(("system", .array(system.map { textBlock($0) })))
    }
    members.append(("messages", .array(turns.map(\.json))))
    if let temperature = fields.take("temperature") {
      let number = fields.document.number(temperature) ?? 1
      // OpenAI's goes to 2.
      members.append(
        (
          "temperature",
          (0...1).contains(number) ? fields.raw(temperature) : .integer(number > 1 ? 1 : 0)
        ))
    }
    try addStops(&fields, to: &members)
    try addTools(&fields, to: &members)
    try addFormat(&fields, to: &members)
    if let user = fields.take("user").flatMap(fields.document.string) {
      members.append(("metadata", ["user_id": .string(user)]))
    }
    members.append(("stream", true))
    members += fields.rest

    var headers = order.headers("text/event-stream", bearer: false)
    headers.append(.init("anthropic-version", version))
    if let secret = order.secret { headers.append(.init("x-api-key", secret)) }
    return UpstreamRequest(
      path: "/v1/messages", headers: headers, body: JSON.object(members).encoded,
      reading: order.reading(.anthropic, wantsUsage: fields.wantsUsage, resumed: resumed),
      resumed: resumed)
  }

  /// Hints and bookkeeping of OpenAI's cloud: an answer without them is still the answer.
  private static let ignored = [
    "seed", "store", "metadata", "service_tier", "prediction", "verbosity", "safety_identifier",
    "prompt_cache_key", "reasoning_effort",
  ]

  // MARK: - Messages

  private enum Block {
    case text(String)
    case other(JSON)

    var json: JSON {
      switch self {
      case .text(let text): textBlock(text)
      case .other(let json): json
      }
    }
  }

  private struct Turn {
    var role: String
    var blocks: [Block]

    var json: JSON { ["role": .string(role), "content": .array(blocks.map(\.json))] }
  }

  private static func textBlock(_ text: String) -> JSON {
    ["type": "text", "text": .string(text)]
  }

  /// System messages apart; the others as turns of user and assistant, one after the other: the
  /// answers of several tools belong in one turn.
  private static func conversation(
    _ fields: inout RequestFields
  ) throws(AdapterRefusal) -> (system: [String], turns: [Turn]) {
    var system: [String] = []
    var turns: [Turn] = []
    for message in try ChatMessage.all(&fields) {
      if message.role == "system" {
        if !message.text.isEmpty { system.append(message.text) }
        continue
      }
      var blocks: [Block] = []
      for part in message.parts {
        // An empty text block is refused.
        if case .text("") = part { continue }
        blocks.append(block(part))
      }
      if message.role == "tool" {
        guard let id = message.callID else { throw .invalid("a tool's answer has no tool_call_id") }
        blocks = [
          .other([
            "type": "tool_result", "tool_use_id": .string(id),
            "content": .array(blocks.map(\.json)),
          ])
        ]
      }
      for call in message.calls {
        blocks.append(
          .other([
            "type": "tool_use", "id": .string(call.id), "name": .string(call.name),
            "input": .raw(call.arguments),
          ]))
      }
      guard !blocks.isEmpty else { continue }
      let role = message.role == "assistant" ? "assistant" : "user"
      if turns.last?.role == role {
        turns[turns.count - 1].blocks += blocks
      } else {
        turns.append(Turn(role: role, blocks: blocks))
      }
    }
    return (system, turns)
  }

  private static func block(_ part: ChatMessage.Part) -> Block {
    switch part {
    case .text(let text): .text(text)
    case .image(let type, let base64):
      .other([
        "type": "image",
        "source": ["type": "base64", "media_type": .string(type), "data": .string(base64)],
      ])
    case .imageURL(let url):
      .other(["type": "image", "source": ["type": "url", "url": .string(url)]])
    }
  }

  /// Puts the answer so far behind the conversation, as this model can take it.
  private static func resume(
    _ order: UpstreamOrder, thinks: Bool, _ turns: inout [Turn]
  ) -> ResumeWay? {
    guard let resume = order.resume, !turns.isEmpty else { return nil }
    let way: ResumeWay =
      order.host.resume != .instruct && !thinks && takesPrefix(order.model)
      ? .trailingAssistant : .instruct
    if turns[turns.count - 1].role == "assistant" {
      if case .text(let own) = turns[turns.count - 1].blocks.last {
        turns[turns.count - 1].blocks.removeLast()
        turns[turns.count - 1].blocks.append(.text(own + order.prefix))
      } else {
        turns[turns.count - 1].blocks.append(.text(order.prefix))
      }
    } else {
      turns.append(Turn(role: "assistant", blocks: [.text(order.prefix)]))
    }
    if way == .instruct {
      turns.append(
        Turn(role: "user", blocks: [.text(ResumeInstruction.text(at: resume))]))
    }
    return way
  }

  /// Models from 4.6 on answer a trailing assistant message with an error, so only those that are
  /// known to take one get one.
  static func takesPrefix(_ model: ModelID) -> Bool {
    let name = model.name.lowercased()
    let old = [
      "claude-instant", "claude-2", "claude-3", "claude-opus-4-2025", "claude-sonnet-4-2025",
    ]
    return old.contains(where: name.hasPrefix)
      || ["-4-0", "-4-1", "-4-5"].contains { name.hasSuffix($0) || name.contains($0 + "-") }
  }

  // MARK: - Parameters

  private static func addStops(
    _ fields: inout RequestFields, to members: inout [(String, JSON)]
  ) throws(AdapterRefusal) {
    let stops = try fields.texts("stop")
    guard !stops.isEmpty else { return }
    guard stops.allSatisfy({ $0.unicodeScalars.contains { !$0.properties.isWhitespace } }) else {
      throw .cannot("stop at white space alone")
    }
    members.append(("stop_sequences", .array(stops.map { .string($0) })))
  }

  private static func addTools(
    _ fields: inout RequestFields, to members: inout [(String, JSON)]
  ) throws(AdapterRefusal) {
    let document = fields.document
    let parallel = try fields.boolean("parallel_tool_calls") ?? true
    let choice = fields.take("tool_choice")
    var tools: [JSON] = []
    let given = fields.take("tools") ?? JSONValue(kind: .null, range: document.root.range)
    for tool in document.eachElement(of: given) {
      try fields.keep(tool)
      guard let function = document.value("function", in: tool),
        let name = fields.text("name", in: function)
      else { throw .cannot("take a tool that is no function") }
      var described: [(String, JSON)] = [("name", .string(name))]
      if let text = fields.text("description", in: function) {
        described.append(("description", .string(text)))
      }
      let parameters = document.value("parameters", in: function)
      described.append(
        (
          "input_schema",
          parameters.flatMap { $0.kind == .object ? fields.raw($0) : nil }
            ?? ["type": "object", "properties": .object([])]
        ))
      if document.value("strict", in: function).flatMap(document.boolean) == true {
        described.append(("strict", true))
      }
      tools.append(.object(described))
    }
    guard !tools.isEmpty else { return }
    members.append(("tools", .array(tools)))

    var said: [(String, JSON)]
    switch choice.flatMap(document.string) {
    case "none": said = [("type", "none")]
    case "required": said = [("type", "any")]
    case "auto": said = [("type", "auto")]
    case let other?: throw .cannot("take tool_choice \(ChatMessage.quoted(other))")
    case nil:
      if let choice {
        guard
          let name = document.value("function", in: choice).flatMap({ fields.text("name", in: $0) })
        else { throw .cannot("take this tool_choice") }
        said = [("type", "tool"), ("name", .string(name))]
      } else {
        guard !parallel else { return }
        said = [("type", "auto")]
      }
    }
    if !parallel, choice.flatMap(document.string) != "none" {
      said.append(("disable_parallel_tool_use", true))
    }
    members.append(("tool_choice", .object(said)))
  }

  private static func addFormat(
    _ fields: inout RequestFields, to members: inout [(String, JSON)]
  ) throws(AdapterRefusal) {
    guard let format = fields.take("response_format") else { return }
    let type = fields.text("type", in: format) ?? ""
    switch type {
    case "text": return
    case "json_schema":
      guard
        let schema = fields.document.value("json_schema", in: format)
          .flatMap({ fields.document.value("schema", in: $0) })
      else { throw .invalid("response_format has no schema") }
      guard fields.take("output_config") == nil else {
        throw .cannot("take both response_format and output_config")
      }
      members.append(
        ("output_config", ["format": ["type": "json_schema", "schema": fields.raw(schema)]]))
    default: throw .cannot("promise response_format \(ChatMessage.quoted(type))")
    }
  }
}
