import ClusterModel
import Text

/// Writes the chunks that a host's own dialect does not have.
struct ChunkWriter: Sendable {
  var id: String
  var model: String
  let created: Int
  let wantsUsage: Bool

  init(_ reading: UpstreamReading) {
    id = reading.id
    model = reading.model.name
    created = reading.created
    wantsUsage = reading.wantsUsage
  }

  func delta(
    _ delta: [(String, JSON)], finishReason: String? = nil
  ) throws(AttemptFailure) -> UpstreamItem {
    try chunk([
      (
        "choices",
        [
          [
            "index": 0, "delta": .object(delta),
            "finish_reason": finishReason.map { JSON.string($0) } ?? JSON.null,
          ]
        ]
      )
    ])
  }

  func usage(prompt: Int, completion: Int, cached: Int? = nil) throws(AttemptFailure)
    -> UpstreamItem
  {
    var usage: [(String, JSON)] = [
      ("prompt_tokens", .integer(prompt)), ("completion_tokens", .integer(completion)),
      ("total_tokens", .integer(prompt + completion)),
    ]
    if let cached {
      usage.append(("prompt_tokens_details", ["cached_tokens": .integer(cached)]))
    }
    return try chunk([("choices", []), ("usage", .object(usage))])
  }

  private func chunk(_ members: [(String, JSON)]) throws(AttemptFailure) -> UpstreamItem {
    let data =
      JSON.object(
        [
          ("id", .string(id)), ("object", "chat.completion.chunk"), ("created", .integer(created)),
          ("model", .string(model)),
        ] + members
      ).encoded
    return .chunk(try InferenceChunk(data, wantsUsage: wantsUsage))
  }
}

extension InferenceChunk {
  /// Reads the bytes; marks usage that only we asked for.
  init(_ data: [UInt8], wantsUsage: Bool) throws(AttemptFailure) {
    var facts = try ChunkFacts(parsing: data)
    facts.isUnasked = facts.isOnlyUsage && !wantsUsage
    self.init(data: data, facts: facts)
  }
}
