import ClusterModel
import Limits
import Text

/// Writes OpenAI chunks for hosts that speak another dialect.
struct ChunkWriter: Sendable {
  private let reading: UpstreamReading
  private(set) var id: String
  /// The members before `choices`. They are encoded by `begin`, otherwise for the first chunk.
  /// Empty means that they are not encoded yet.
  private var head: [UInt8] = []
  private var isNamed = false
  private var written = 0

  init(_ reading: UpstreamReading) {
    self.reading = reading
    id = reading.id
  }

  /// Records the answer's ID and model name as the host reports them. Only the first call with an
  /// ID or a model name has an effect.
  mutating func begin(id: String? = nil, model: String?) {
    guard !isNamed, id != nil || model != nil else { return }
    isNamed = true
    self.id = id ?? self.id
    encodeHead(model: model ?? reading.model.name)
  }

  private mutating func encodeHead(model: String) {
    head =
      JSON.object([
        ("id", .string(id)), ("object", "chat.completion.chunk"),
        ("created", .integer(reading.created)), ("model", .string(model)),
      ]).encoded
    head[head.count - 1] = UInt8(ascii: ",")
  }

  mutating func delta(
    _ delta: [(String, JSON)], finishReason: String? = nil, stopReason: JSON? = nil,
    _ allowance: inout Allowance
  ) throws(AttemptFailure) -> UpstreamItem {
    var choice: [(String, JSON)] = [
      ("index", 0), ("delta", .object(delta)),
      ("finish_reason", finishReason.map { JSON.string($0) } ?? JSON.null),
    ]
    if let stopReason { choice.append(("stop_reason", stopReason)) }
    return try chunk([("choices", [.object(choice)])], &allowance)
  }

  mutating func usage(
    prompt: Int, completion: Int, cached: Int? = nil, written: Int? = nil,
    _ allowance: inout Allowance
  ) throws(AttemptFailure) -> UpstreamItem {
    var usage: [(String, JSON)] = [
      ("prompt_tokens", .integer(prompt)), ("completion_tokens", .integer(completion)),
      ("total_tokens", .integer(prompt.addingCapped(completion))),
    ]
    if let cached {
      usage.append(("prompt_tokens_details", ["cached_tokens": .integer(cached)]))
    }
    // OpenAI has no field for tokens that were written to the cache, so the next two fields have
    // Anthropic's names.
    if let written, written > 0 {
      usage.append(("cache_creation_input_tokens", .integer(written)))
      usage.append(("cache_read_input_tokens", .integer(cached ?? 0)))
    }
    return try chunk([("choices", []), ("usage", .object(usage))], &allowance)
  }

  private mutating func chunk(
    _ members: [(String, JSON)], _ allowance: inout Allowance
  ) throws(AttemptFailure) -> UpstreamItem {
    if head.isEmpty { encodeHead(model: reading.model.name) }
    var data = head
    data += JSON.object(members).encoded.dropFirst()
    // Written bytes count against the host's stream limit. Otherwise a host could exceed the limit
    // with short lines, which become long chunks.
    written = written.addingCapped(data.count)
    guard written <= Limits.streamBytes.value else {
      throw AttemptFailure(overdrawn: Limits.streamBytes)
    }
    return .chunk(try InferenceChunk(data, reading, &allowance))
  }
}

extension InferenceChunk {
  /// Parses the bytes, and marks usage that the client did not ask for.
  init(
    _ data: [UInt8], _ reading: UpstreamReading, _ allowance: inout Allowance
  ) throws(AttemptFailure) {
    var terms = ChunkTerms(choices: reading.choices, endpoint: reading.endpoint)
    try self.init(data, reading, &terms, &allowance)
  }

  /// - Parameter terms: facts from the request and from earlier chunks. The chunk updates them.
  init(
    _ data: [UInt8], _ reading: UpstreamReading, _ terms: inout ChunkTerms,
    _ allowance: inout Allowance
  ) throws(AttemptFailure) {
    var facts = try ChunkFacts(parsing: data, &terms, &allowance)
    facts.isUnasked = facts.isOnlyUsage && !reading.wantsUsage
    self.init(data: data, facts: facts)
  }
}
