import ClusterModel
import Text

/// Ollama's lines, one by one, as chunks.
struct OllamaReader: Sendable {
  private var writer: ChunkWriter
  private var hasBegun = false
  private var calls = 0

  init(_ reading: UpstreamReading) { writer = ChunkWriter(reading) }

  mutating func read(_ line: [UInt8]) throws(AttemptFailure) -> [UpstreamItem] {
    let document = try ChunkFacts.document(line)
    let root = document.root
    if let error = document.value("error", in: root), error.kind != .null {
      throw AttemptFailure(.errorEvent, UpstreamWords.message(of: error, in: document))
    }
    var items: [UpstreamItem] = []
    let message = document.value("message", in: root)
    writer.model = document.value("model", in: root).flatMap(document.string) ?? writer.model
    var delta = hasBegun ? [] : [("role", JSON.string("assistant"))]
    for (name, ours) in [("thinking", "reasoning_content"), ("content", "content")] {
      let text = message.flatMap { document.value(name, in: $0) }.flatMap(document.string) ?? ""
      if !text.isEmpty { delta.append((ours, .string(text))) }
    }
    let made = message.flatMap { document.value("tool_calls", in: $0) }.map(document.elements) ?? []
    if !made.isEmpty {
      delta.append(("tool_calls", .array(made.map { call($0, document) })))
    }
    if !delta.isEmpty {
      items.append(try writer.delta(delta))
      hasBegun = true
    }
    guard document.value("done", in: root).flatMap(document.boolean) == true else { return items }

    let reason = document.value("done_reason", in: root).flatMap(document.string)
    let finish = reason == "length" ? "length" : calls > 0 ? "tool_calls" : "stop"
    items.append(try writer.delta([], finishReason: finish))
    // A prompt that was cached whole is not counted.
    if let made = document.tokens("eval_count", in: root) {
      let prompt = document.tokens("prompt_eval_count", in: root) ?? 0
      items.append(try writer.usage(prompt: prompt, completion: made))
    }
    return items + [.done]
  }

  private mutating func call(_ value: JSONValue, _ document: JSONDocument) -> JSON {
    let function = document.value("function", in: value)
    let arguments = function.flatMap { document.value("arguments", in: $0) }
    let name = function.flatMap { document.value("name", in: $0) }.flatMap(document.string)
    let id =
      document.value("id", in: value).flatMap(document.string) ?? "call_\(calls)_\(writer.id)"
    defer { calls += 1 }
    return [
      "index": .integer(calls), "id": .string(id), "type": "function",
      "function": [
        "name": .string(name ?? ""),
        "arguments": .string(
          arguments.map { String(decoding: document.slice($0), as: UTF8.self) } ?? "{}"),
      ],
    ]
  }

  // MARK: - Embeddings

  /// `/api/embed`'s answer as `/v1/embeddings` gives it.
  static func embeddings(
    _ body: [UInt8], _ reading: UpstreamReading
  ) throws(AttemptFailure) -> [UInt8] {
    let document = try ChunkFacts.document(body)
    let root = document.root
    if let error = document.value("error", in: root), error.kind != .null {
      throw AttemptFailure(.errorEvent, UpstreamWords.message(of: error, in: document))
    }
    guard let embeddings = document.value("embeddings", in: root), embeddings.kind == .array else {
      throw AttemptFailure(.garbage, "its answer has no embeddings")
    }
    let data: [JSON] = document.elements(of: embeddings).enumerated().map { index, vector in
      [
        "object": "embedding", "index": .integer(index),
        "embedding": reading.encodesBase64
          ? .string(base64(document.elements(of: vector).map { document.number($0) ?? 0 }))
          : .raw(Array(document.slice(vector))),
      ]
    }
    let prompt = document.tokens("prompt_eval_count", in: root) ?? 0
    let model = document.value("model", in: root).flatMap(document.string) ?? reading.model.name
    return JSON.object([
      ("object", "list"), ("data", .array(data)), ("model", .string(model)),
      ("usage", ["prompt_tokens": .integer(prompt), "total_tokens": .integer(prompt)]),
    ]).encoded
  }

  /// Little-endian 32-bit floats, as OpenAI gives them.
  static func base64(_ numbers: [Double]) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(numbers.count * 4)
    for number in numbers {
      let bits = Float(number).bitPattern
      bytes += [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: bits >> $0) }
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
