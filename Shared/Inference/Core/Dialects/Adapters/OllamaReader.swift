import ClusterModel
import Limits
import Text

/// Converts Ollama's lines into chunks, one line at a time.
struct OllamaReader: Sendable {
  private var writer: ChunkWriter
  private var hasBegun = false
  private var calls = 0

  init(_ reading: UpstreamReading) { writer = ChunkWriter(reading) }

  mutating func read(
    _ line: [UInt8], _ allowance: inout Allowance
  ) throws(AttemptFailure) -> [UpstreamItem] {
    var json = try HostJSON(line, allowance)
    defer { allowance = json.allowance }
    let root = try json.values(
      [
        "error", "message", "model", "done", "done_reason", "eval_count", "prompt_eval_count",
      ], in: json.root)
    if let error = root[0], error.kind != .null {
      throw AttemptFailure(.errorEvent, UpstreamWords.message(of: error, in: json.document))
    }
    var items: [UpstreamItem] = []
    writer.begin(model: try json.name(root[2], "a model"))
    let message = try json.values(["thinking", "content", "tool_calls"], in: root[1])
    var delta = hasBegun ? [] : [("role", JSON.string("assistant"))]
    for (value, ours) in [(message[0], "reasoning_content"), (message[1], "content")] {
      let text = value.flatMap(json.document.string) ?? ""
      if !text.isEmpty { delta.append((ours, .string(text))) }
    }
    let made = try calls(message[2], &json)
    if !made.isEmpty { delta.append(("tool_calls", .array(made))) }
    if !delta.isEmpty {
      items.append(try writer.delta(delta, &json.allowance))
      hasBegun = true
    }
    guard root[3].flatMap(json.document.boolean) == true else { return items }

    let reason = root[4].flatMap(json.document.string)
    if let reason, let failure = FinishReason.failure(reason) { throw failure }
    let finish = reason == "length" ? "length" : calls > 0 ? "tool_calls" : "stop"
    items.append(try writer.delta([], finishReason: finish, &json.allowance))
    // Ollama omits the count of prompt tokens if the whole prompt was cached.
    if let made = root[5].flatMap(json.document.tokens) {
      let prompt = root[6].flatMap(json.document.tokens) ?? 0
      items.append(try writer.usage(prompt: prompt, completion: made, &json.allowance))
    }
    return items + [.done]
  }

  private mutating func calls(
    _ made: JSONValue?, _ json: inout HostJSON
  ) throws(AttemptFailure) -> [JSON] {
    var toolCalls: [JSON] = []
    guard let elements = try json.elements(of: made, "tool_calls") else { return toolCalls }
    for element in elements {
      guard calls < Limits.toolCalls.value else {
        throw AttemptFailure(overdrawn: Limits.toolCalls)
      }
      toolCalls.append(try call(element, &json))
      calls += 1
    }
    return toolCalls
  }

  private func call(
    _ value: JSONValue, _ json: inout HostJSON
  ) throws(AttemptFailure) -> JSON {
    let call = try json.values(["function", "id"], in: value)
    let function = try json.values(["name", "arguments"], in: call[0])
    let name = try json.name(function[0], "the name of a tool")
    let id =
      try json.name(call[1], "the id of a tool call", limit: Limits.callIDBytes)
      ?? "call_\(calls)_\(writer.id)"
    // Ollama sends the arguments as an object. Some servers send them as a string, like OpenAI.
    let arguments = function[1].flatMap { value in
      value.kind == .null
        ? nil
        : json.document.string(value)
          ?? String(decoding: json.document.slice(value), as: UTF8.self)
    }.flatMap { $0.isEmpty ? nil : $0 }
    return [
      "index": .integer(calls), "id": .string(id), "type": "function",
      "function": ["name": .string(name ?? ""), "arguments": .string(arguments ?? "{}")],
    ]
  }

  // MARK: - Embeddings

  /// Converts the answer of `/api/embed` to that of `/v1/embeddings`.
  static func embeddings(
    _ body: [UInt8], _ reading: UpstreamReading, _ allowance: inout Allowance
  ) throws(AttemptFailure) -> [UInt8] {
    var json = try HostJSON(body, allowance)
    defer { allowance = json.allowance }
    let root = try json.values(
      ["error", "embeddings", "prompt_eval_count", "model"], in: json.root)
    if let error = root[0], error.kind != .null {
      throw AttemptFailure(.errorEvent, UpstreamWords.message(of: error, in: json.document))
    }
    guard let embeddings = root[1], embeddings.kind == .array else {
      throw AttemptFailure(.garbage, "its answer has no embeddings")
    }
    let prompt = root[2].flatMap(json.document.tokens) ?? 0
    let model = try json.name(root[3], "a model") ?? reading.model.name
    var answer = Array(#"{"object":"list","data":["#.utf8)
    answer.reserveCapacity(embeddings.range.count + 4_096)
    try append(embeddings, reading, to: &answer, &json)
    answer += #"],"model":"#.utf8
    JSON.appendString(model, to: &answer)
    answer += #","usage":{"prompt_tokens":\#(prompt),"total_tokens":\#(prompt)}}"#.utf8
    return answer
  }

  /// Appends the vectors to the answer as bytes. JSON values would take more memory than the
  /// vectors themselves.
  private static func append(
    _ embeddings: JSONValue, _ reading: UpstreamReading, to answer: inout [UInt8],
    _ json: inout HostJSON
  ) throws(AttemptFailure) {
    var index = 0
    let most = reading.vectors ?? Limits.translatedTexts.value
    try json.allowance.charge(embeddings.range.count)
    for vector in json.document.eachElement(of: embeddings) {
      guard index < most else { throw EmbeddingAnswer.wrongCount(most) }
      if index > 0 { answer.append(UInt8(ascii: ",")) }
      answer += #"{"object":"embedding","index":\#(index),"embedding":"#.utf8
      let numbers = try numbers(vector, decoded: reading.encodesBase64, &json)
      if reading.encodesBase64 {
        answer.append(UInt8(ascii: "\""))
        answer += base64(numbers).utf8
        answer.append(UInt8(ascii: "\""))
      } else {
        answer += json.document.slice(vector)
      }
      answer.append(UInt8(ascii: "}"))
      index += 1
    }
    guard reading.vectors ?? index == index else { throw EmbeddingAnswer.wrongCount(most) }
  }

  /// Checks that a vector holds only numbers.
  ///
  /// - Parameter decoded: whether the numbers are returned. If `false`, the result is empty.
  private static func numbers(
    _ vector: JSONValue, decoded: Bool, _ json: inout HostJSON
  ) throws(AttemptFailure) -> [Double] {
    guard let elements = try json.elements(of: vector, "embeddings") else {
      throw .garbage("an embedding that is not an array")
    }
    var numbers: [Double] = []
    var count = 0
    for element in elements {
      count += 1
      guard element.kind == .number else {
        throw .garbage("an embedding with an element that is not a number")
      }
      guard count <= Limits.vectorNumbers.value else {
        throw AttemptFailure(overdrawn: Limits.vectorNumbers)
      }
      if decoded { numbers.append(json.document.number(element) ?? 0) }
    }
    guard count > 0 else { throw .garbage("an embedding without numbers") }
    return numbers
  }

  /// Encodes numbers in OpenAI's format: base64 of little-endian 32-bit floats.
  static func base64(_ numbers: [Double]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(numbers.count * 4)
    for number in numbers {
      let bits = Float(number).bitPattern
      for shift: UInt32 in [0, 8, 16, 24] {
        bytes.append(UInt8(truncatingIfNeeded: bits >> shift))
      }
    }
    var text: [UInt8] = []
    text.reserveCapacity(bytes.count / 3 * 4 + 4)
    for start in stride(from: 0, to: bytes.count, by: 3) {
      let group = bytes[start..<min(start + 3, bytes.count)]
      let bits = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << (8 * UInt32(3 - group.count))
      for position in 0..<4 {
        text.append(
          position <= group.count
            ? alphabet[Int(bits >> (18 - 6 * UInt32(position)) & 63)] : UInt8(ascii: "="))
      }
    }
    return String(decoding: text, as: UTF8.self)
  }
}
