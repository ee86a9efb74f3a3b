public import ClusterModel
import Text

/// Translates requests into Ollama's own API.
///
/// Source: https://docs.ollama.com/api
public enum OllamaAdapter {
  /// Loads or unloads a model, by a chat request without messages.
  ///
  /// - Parameter keepAlive: seconds for which the model stays loaded. 0 unloads it at once. A
  ///   negative number keeps it loaded without a time limit. `nil` means the host's default.
  public static func load(
    _ model: ModelID, keepAlive: Int? = nil, secret: String? = nil
  ) -> UpstreamRequest {
    var members: [(String, JSON)] = [("model", .string(model.name)), ("messages", [])]
    if let keepAlive { members.append(("keep_alive", .integer(keepAlive))) }
    let headers =
      [UpstreamRequest.Header("content-type", "application/json")]
      + HostDialect.ollama.headers(secret: secret)
    return UpstreamRequest(
      path: "/api/chat", headers: headers, body: JSON.object(members).encoded,
      reading: UpstreamReading(
        dialect: .ollama, endpoint: .chatCompletions, streams: true, model: model))
  }

  static func chat(_ order: UpstreamOrder) throws(AdapterRefusal) -> UpstreamRequest {
    var fields = try RequestFields(order.request.body)
    return try chat(order, &fields)
  }

  static func chat(
    _ order: UpstreamOrder, _ fields: inout RequestFields
  ) throws(AdapterRefusal) -> UpstreamRequest {
    fields.drop(ignored)
    try fields.refuseSeveralAnswers()
    _ = fields.take("model")

    var messages = try messages(&fields)
    let resumed = resume(order, &messages)
    var members: [(String, JSON)] = [
      ("model", .string(order.model.name)), ("messages", .array(messages.map { .object($0) })),
      ("stream", true),
    ]
    let options = try options(&fields, less: order.resume?.spentTokens ?? 0)
    if !options.isEmpty { members.append(("options", .object(options))) }
    try addTools(&fields, to: &members)
    try addFormat(&fields, to: &members)
    if let effort = fields.take("reasoning_effort").flatMap(fields.document.string),
      fields.scanner["think"] == nil
    {
      let think: JSON = effort == "none" || effort == "minimal" ? false : .string(effort)
      members.append(("think", think))
    }
    members += fields.rest
    return UpstreamRequest(
      path: "/api/chat", headers: order.headers(.ollama, accept: "application/x-ndjson"),
      body: JSON.object(members).encoded,
      reading: order.reading(.ollama, wantsUsage: fields.wantsUsage, resumed: resumed),
      resumed: resumed)
  }

  static func embeddings(_ order: UpstreamOrder) throws(AdapterRefusal) -> UpstreamRequest {
    var fields = try RequestFields(order.request.body)
    fields.drop(["user", "model"])
    guard fields.scanner["input"] != nil else { throw .invalid("input is missing") }
    let texts: [String]
    do throws(AdapterRefusal) {
      texts = try fields.texts("input")
    } catch {
      throw error.kind == .untranslatable ? error : .cannot("embed tokens; send text")
    }
    let format = fields.take("encoding_format").flatMap(fields.document.string) ?? "float"
    guard ["float", "base64"].contains(format) else {
      throw .invalid("encoding_format is neither float nor base64")
    }
    var members: [(String, JSON)] = [
      ("model", .string(order.model.name)), ("input", .array(texts.map { .string($0) })),
    ]
    // An empty list is sent too, because the host's own error explains the mistake to the client.
    let vectors = texts.isEmpty ? nil : texts.count
    members += fields.rest
    return UpstreamRequest(
      path: "/api/embed", headers: order.headers(.ollama, accept: "application/json"),
      body: JSON.object(members).encoded,
      reading: order.reading(
        .ollama, wantsUsage: true, base64: format == "base64", vectors: vectors))
  }

  private static let ignored = [
    "store", "metadata", "service_tier", "prediction", "verbosity", "safety_identifier",
    "prompt_cache_key", "user", "parallel_tool_calls",
  ]

  // MARK: - Messages

  private static func messages(
    _ fields: inout RequestFields
  ) throws(AdapterRefusal) -> [[(String, JSON)]] {
    var names: [String: String] = [:]
    var messages: [[(String, JSON)]] = []
    for message in try ChatMessage.all(&fields) {
      var members: [(String, JSON)] = [
        ("role", .string(message.role)), ("content", .string(message.text)),
      ]
      var images: [JSON] = []
      for piece in message.pieces {
        switch piece.part {
        case .text: break
        case .image(_, let base64): images.append(.string(base64))
        case .imageURL: throw .cannot("fetch an image; send it as a data: URL")
        case .other(let type, _):
          throw .cannot("take a part of type \(ChatMessage.quoted(type))")
        }
        // Ollama caches every prompt, so `cache_control` has no effect.
        if let extra = piece.extras.first(where: { $0.name != "cache_control" }) {
          throw .cannot("take \(ChatMessage.quoted(extra.name)) of a part")
        }
      }
      if !images.isEmpty { members.append(("images", .array(images))) }
      if !message.calls.isEmpty {
        for call in message.calls { names[call.id] = call.name }
        members.append(
          (
            "tool_calls",
            .array(
              message.calls.map { call in
                .object(
                  [
                    ("id", .string(call.id)),
                    (
                      "function",
                      ["name": .string(call.name), "arguments": .raw(call.arguments)]
                    ),
                  ] + call.extras.map { ($0.name, fields.raw($0.value)) })
              })
          ))
      }
      for extra in message.extras {
        switch extra.name {
        case "reasoning_content", "reasoning":
          guard !members.contains(where: { $0.0 == "thinking" }) else { continue }
          members.append(("thinking", fields.raw(extra.value)))
        case "cache_control": break
        case "thinking_blocks", "audio", "function_call", "annotations":
          throw .cannot("take \(ChatMessage.quoted(extra.name)) of a message")
        // Members of Ollama's API. Members that a later version adds pass too.
        default: members.append((extra.name, fields.raw(extra.value)))
        }
      }
      if message.role == "tool", let id = message.callID {
        if let name = names[id] { members.append(("tool_name", .string(name))) }
        members.append(("tool_call_id", .string(id)))
      }
      messages.append(members)
    }
    return messages
  }

  private static func resume(
    _ order: UpstreamOrder, _ messages: inout [[(String, JSON)]]
  ) -> ResumeWay? {
    guard let resume = order.resume, let last = messages.last else { return nil }
    guard order.host.resume != .instruct else {
      messages.append([("role", "assistant"), ("content", .string(order.prefix))])
      messages.append([
        ("role", "user"), ("content", .string(ResumeInstruction.text(at: resume))),
      ])
      return .instruct
    }
    if case .string("assistant") = last[0].1, case .string(let own) = last[1].1 {
      messages[messages.count - 1][1].1 = .string(own + order.prefix)
    } else {
      messages.append([("role", "assistant"), ("content", .string(order.prefix))])
    }
    return .trailingAssistant
  }

  // MARK: - Parameters

  private static func options(
    _ fields: inout RequestFields, less spent: Int
  ) throws(AdapterRefusal) -> [(String, JSON)] {
    var options: [(String, JSON)] = []
    // A client that knows Ollama may send Ollama's `options` itself.
    if let own = fields.take("options") {
      guard own.kind == .object else { throw .invalid("options is not an object") }
      for member in fields.document.eachMember(of: own) {
        guard options.count < JSONObjectScanner.standardMembers else {
          throw .invalid("options has more than \(JSONObjectScanner.standardMembers) members")
        }
        options.append((member.name, fields.raw(member.value)))
      }
    }
    func set(_ name: String, _ value: JSON) {
      options.removeAll { $0.0 == name }
      options.append((name, value))
    }
    if let tokens = try fields.maxTokens(less: spent) { set("num_predict", .integer(tokens)) }
    for name in [
      "temperature", "top_p", "top_k", "min_p", "seed", "presence_penalty", "frequency_penalty",
    ] {
      if let value = fields.take(name) { set(name, fields.raw(value)) }
    }
    let stops = try fields.texts("stop")
    if !stops.isEmpty { set("stop", .array(stops.map { .string($0) })) }
    return options
  }

  private static func addTools(
    _ fields: inout RequestFields, to members: inout [(String, JSON)]
  ) throws(AdapterRefusal) {
    let choice = fields.take("tool_choice")
    switch choice.flatMap(fields.document.string) {
    case nil where choice == nil: break
    case "auto": break
    case "none":
      // The model must not call a tool, so the request contains no tools.
      fields.drop(["tools"])
      return
    default: throw .cannot("be made to call a tool (tool_choice)")
    }
    if let tools = fields.take("tools") {
      var elements = fields.document.eachElement(of: tools)
      if elements.next() != nil { members.append(("tools", fields.raw(tools))) }
    }
  }

  private static func addFormat(
    _ fields: inout RequestFields, to members: inout [(String, JSON)]
  ) throws(AdapterRefusal) {
    guard let format = fields.take("response_format") else { return }
    let type = fields.text("type", in: format) ?? ""
    switch type {
    case "text": return
    case "json_object": members.append(("format", "json"))
    case "json_schema":
      guard
        let schema = fields.document.value("json_schema", in: format)
          .flatMap({ fields.document.value("schema", in: $0) })
      else { throw .invalid("response_format has no schema") }
      members.append(("format", fields.raw(schema)))
    default: throw .cannot("promise response_format \(ChatMessage.quoted(type))")
    }
  }
}
