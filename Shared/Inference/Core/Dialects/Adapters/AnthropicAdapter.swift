import ClusterModel
import Text

/// Translates requests into Anthropic's Messages API.
///
/// If the API cannot express a request, the adapter refuses the request before a host is contacted.
///
/// Source: https://platform.claude.com/docs/en/api/messages
enum AnthropicAdapter {
  static let version = "2023-06-01"
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
        .integer(
          try fields.maxTokens(less: order.resume?.spentTokens ?? 0)
            ?? AnthropicModels.mostTokens(of: order.model, at: order.host, order.request.body.count)
        )
      ),
    ]
    _ = fields.take("model")
    if !system.isEmpty {
      members.append(("system", .array(system)))
    }
    members.append(("messages", .array(turns.map(\.json))))
    if let temperature = fields.take("temperature") {
      let number = fields.document.number(temperature) ?? 1
      // OpenAI's temperature ranges to 2, Anthropic's to 1.
      members.append(
        (
          "temperature",
          (0...1).contains(number) ? fields.raw(temperature) : .integer(number > 1 ? 1 : 0)
        ))
    }
    try addStops(&fields, to: &members)
    try addTools(&fields, to: &members)
    try addFormat(&fields, to: &members)
    let metadata = fields.take("metadata").flatMap { fields.text("user_id", in: $0) }
    if let user = fields.take("user").flatMap(fields.document.string) ?? metadata {
      members.append(("metadata", ["user_id": .string(user)]))
    }
    try addEffort(&fields, to: &members)
    members.append(("stream", true))
    members += fields.rest

    return UpstreamRequest(
      path: "/v1/messages", headers: order.headers(.anthropic, accept: "text/event-stream"),
      body: JSON.object(members).encoded,
      reading: order.reading(.anthropic, wantsUsage: fields.wantsUsage, resumed: resumed),
      resumed: resumed)
  }

  /// Hints that Anthropic's API lacks or defines differently. They are dropped, because an answer
  /// is valid without them.
  private static let ignored = [
    "seed", "store", "service_tier", "prediction", "verbosity", "safety_identifier",
    "prompt_cache_key", "prompt_cache_retention",
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

  fileprivate static func textBlock(_ text: String, _ extras: [(String, JSON)] = []) -> JSON {
    .object([("type", "text"), ("text", .string(text))] + extras)
  }

  /// The conversation, split into system messages and alternating user and assistant turns.
  ///
  /// The results of consecutive tool calls belong in one user turn.
  private static func conversation(
    _ fields: inout RequestFields
  ) throws(AdapterRefusal) -> (system: [JSON], turns: [Turn]) {
    var system: [JSON] = []
    var turns: [Turn] = []
    for message in try ChatMessage.all(&fields) {
      var blocks: [Block] = []
      for piece in message.pieces {
        // The API refuses an empty text block.
        if case .text("") = piece.part { continue }
        blocks.append(try block(piece, fields))
      }
      var own = try MessageMembers(message, fields)
      if message.role == "system" {
        guard message.pieces.allSatisfy({ if case .text = $0.part { true } else { false } }) else {
          throw .cannot("take a system message that is not text")
        }
        try own.cache(&blocks)
        system += blocks.map(\.json)
        continue
      }
      if message.role == "tool" {
        guard let id = message.callID else { throw .invalid("a tool's answer has no tool_call_id") }
        blocks = [
          .other(
            .object(
              [
                ("type", "tool_result"), ("tool_use_id", .string(id)),
                ("content", .array(blocks.map(\.json))),
              ] + own.result))
        ]
      }
      blocks = own.before + blocks + own.after
      for call in message.calls {
        blocks.append(
          .other(
            .object(
              [
                ("type", "tool_use"), ("id", .string(call.id)), ("name", .string(call.name)),
                ("input", .raw(call.arguments)),
              ] + call.extras.map { ($0.name, fields.raw($0.value)) })))
      }
      try own.cache(&blocks)
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

  /// Members of a message other than its content and calls. If a member cannot be translated, the
  /// adapter refuses the request.
  private struct MessageMembers {
    /// Signed thinking blocks, which must precede all other blocks.
    var before: [Block] = []
    /// The text of a refusal.
    var after: [Block] = []
    /// Extra members of a tool result.
    var result: [(String, JSON)] = []
    private var cacheControl: JSON?

    init(_ message: ChatMessage, _ fields: RequestFields) throws(AdapterRefusal) {
      let isTool = message.role == "tool"
      for extra in message.extras {
        switch extra.name {
        case "cache_control": cacheControl = fields.raw(extra.value)
        case "thinking_blocks": before = try Self.thoughts(extra.value, fields)
        case "refusal":
          after.append(.text(fields.document.string(extra.value) ?? ""))
        // These members repeat the text of the signed thinking blocks.
        case "reasoning_content", "reasoning", "reasoning_details":
          guard Self.hasThoughts(message) else {
            throw .cannot("take \(extra.name) without the thinking_blocks that belong to it")
          }
        // The call's ID already identifies the tool.
        case "name" where isTool: break
        case "is_error" where isTool: result.append(("is_error", fields.raw(extra.value)))
        default: throw .cannot("take \(ChatMessage.quoted(extra.name)) of a message")
        }
      }
    }

    private static func hasThoughts(_ message: ChatMessage) -> Bool {
      message.extras.contains { $0.name == "thinking_blocks" }
        || message.pieces.contains {
          if case .other(let type, _) = $0.part { type.hasSuffix("thinking") } else { false }
        }
    }

    private static func thoughts(
      _ value: JSONValue, _ fields: RequestFields
    ) throws(AdapterRefusal) -> [Block] {
      var blocks: [Block] = []
      for block in fields.document.eachElement(of: value) {
        guard let type = fields.text("type", in: block),
          ["thinking", "redacted_thinking"].contains(type)
        else { throw .invalid("thinking_blocks has an element that is not a thinking block") }
        blocks.append(.other(fields.raw(block)))
      }
      return blocks
    }

    /// Moves the `cache_control` of the message to the message's last block.
    mutating func cache(_ blocks: inout [Block]) throws(AdapterRefusal) {
      guard let mark = cacheControl.take(), let last = blocks.popLast() else { return }
      switch last {
      case .text(let text):
        blocks.append(.other(AnthropicAdapter.textBlock(text, [("cache_control", mark)])))
      case .other(.object(let members)):
        let others = members.filter { $0.0 != "cache_control" }
        blocks.append(.other(.object(others + [("cache_control", mark)])))
      case .other: throw .cannot("take cache_control of this message; put it into its last part")
      }
    }
  }

  /// Types of parts that Anthropic's API defines. Such parts are sent unchanged.
  private static let ownParts: Set<String> = [
    "image", "document", "search_result", "thinking", "redacted_thinking", "tool_use",
    "tool_result", "container_upload",
  ]

  private static func block(
    _ piece: ChatMessage.Piece, _ fields: RequestFields
  ) throws(AdapterRefusal) -> Block {
    let extras = piece.extras.map { ($0.name, fields.raw($0.value)) }
    switch piece.part {
    case .text(let text):
      return extras.isEmpty ? .text(text) : .other(textBlock(text, extras))
    case .image(let type, let base64):
      return .other(
        .object(
          [
            ("type", "image"),
            (
              "source",
              ["type": "base64", "media_type": .string(type), "data": .string(base64)]
            ),
          ] + extras))
    case .imageURL(let url):
      return .other(
        .object(
          [("type", "image"), ("source", ["type": "url", "url": .string(url)])] + extras))
    case .other(let type, let value):
      guard ownParts.contains(type) else {
        throw .cannot("take a part of type \(ChatMessage.quoted(type))")
      }
      return .other(fields.raw(value))
    }
  }

  /// Appends the partial answer to the conversation. The resume way depends on the host, the model,
  /// and whether the request has `thinking`.
  private static func resume(
    _ order: UpstreamOrder, thinks: Bool, _ turns: inout [Turn]
  ) -> ResumeWay? {
    guard let resume = order.resume, !turns.isEmpty else { return nil }
    let way: ResumeWay =
      order.host.resume != .instruct && !thinks && AnthropicModels.takesPrefix(order.model)
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
      tools.append(try self.tool(tool, fields))
    }
    guard tools.isEmpty else {
      members.append(("tools", .array(tools)))
      try addChoice(choice, parallel: parallel, fields, to: &members)
      return
    }
    let mode = choice.flatMap(document.string)
    guard choice == nil || mode == "none" || mode == "auto" else {
      throw .invalid("tool_choice requires a tool, but the request has none")
    }
  }

  private static func tool(
    _ tool: JSONValue, _ fields: RequestFields
  ) throws(AdapterRefusal) -> JSON {
    let document = fields.document
    guard let function = document.value("function", in: tool),
      let name = fields.text("name", in: function)
    else { throw .cannot("take a tool that is not a function") }
    var described: [(String, JSON)] = [("name", .string(name))]
    if let text = fields.text("description", in: function) {
      described.append(("description", .string(text)))
    }
    let parameters = document.value("parameters", in: function)
    switch parameters?.kind {
    case nil, .null:
      described.append(("input_schema", ["type": "object", "properties": .object([])]))
    case .object: described.append(("input_schema", parameters.map { fields.raw($0) } ?? .null))
    default: throw .invalid("the parameters of a tool are not an object")
    }
    if document.value("strict", in: function).flatMap(document.boolean) == true {
      described.append(("strict", true))
    }
    // The client may put members of Anthropic's dialect, such as `cache_control`, next to the
    // function or inside it.
    let own =
      try ChatMessage.extras(of: tool, besides: ["type", "function"], document)
      + ChatMessage.extras(
        of: function, besides: ["name", "description", "parameters", "strict"], document)
    for extra in own where !described.contains(where: { $0.0 == extra.name }) {
      described.append((extra.name, fields.raw(extra.value)))
    }
    return .object(described)
  }

  private static func addChoice(
    _ choice: JSONValue?, parallel: Bool, _ fields: RequestFields,
    to members: inout [(String, JSON)]
  ) throws(AdapterRefusal) {
    let document = fields.document
    var toolChoice: [(String, JSON)]
    switch choice.flatMap(document.string) {
    case "none": toolChoice = [("type", "none")]
    case "required": toolChoice = [("type", "any")]
    case "auto": toolChoice = [("type", "auto")]
    case let other?: throw .cannot("take tool_choice \(ChatMessage.quoted(other))")
    case nil:
      if let choice {
        guard
          let name = document.value("function", in: choice).flatMap({ fields.text("name", in: $0) })
        else { throw .cannot("take this tool_choice") }
        toolChoice = [("type", "tool"), ("name", .string(name))]
      } else {
        guard !parallel else { return }
        toolChoice = [("type", "auto")]
      }
    }
    if !parallel, choice.flatMap(document.string) != "none" {
      toolChoice.append(("disable_parallel_tool_use", true))
    }
    members.append(("tool_choice", .object(toolChoice)))
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
      if let own = fields.document.value("json_schema", in: format),
        let strange = try ChatMessage.extras(
          of: own, besides: ["name", "schema", "strict", "description"], fields.document
        ).first
      {
        throw .cannot("take \(ChatMessage.quoted(strange.name)) of response_format")
      }
      members.append(
        (
          "output_config",
          ["format": ["type": "json_schema", "schema": described(schema, format, fields)]]
        ))
    default: throw .cannot("promise response_format \(ChatMessage.quoted(type))")
    }
  }

  /// The schema, with the description that OpenAI's dialect puts next to the schema.
  private static func described(
    _ schema: JSONValue, _ format: JSONValue, _ fields: RequestFields
  ) -> JSON {
    let document = fields.document
    guard schema.kind == .object, document.value("description", in: schema) == nil,
      let own = document.value("json_schema", in: format),
      let text = fields.text("description", in: own), !text.isEmpty
    else { return fields.raw(schema) }
    return .object(
      [("description", .string(text))]
        + document.eachMember(of: schema).map { ($0.name, fields.raw($0.value)) })
  }

  /// Maps `reasoning_effort` to `output_config`, unless the request has an `output_config`.
  ///
  /// Anthropic's API has no effort "none" or "minimal", so these two are left out.
  private static func addEffort(
    _ fields: inout RequestFields, to members: inout [(String, JSON)]
  ) throws(AdapterRefusal) {
    guard let effort = fields.take("reasoning_effort").flatMap(fields.document.string),
      effort != "none", effort != "minimal", fields.scanner["output_config"] == nil
    else { return }
    let effortJSON = JSON.string(effort)
    if let place = members.firstIndex(where: { $0.0 == "output_config" }),
      case .object(let config) = members[place].1
    {
      members[place].1 = .object(config + [("effort", effortJSON)])
    } else {
      members.append(("output_config", ["effort": effortJSON]))
    }
  }
}
