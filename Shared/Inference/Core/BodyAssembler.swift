import Text

/// Makes of a stream's chunks the one body that a client gets who asked for no stream. Every field
/// is kept, also those that nobody knew of when this was written.
public struct BodyAssembler: Sendable {
  /// A choice while it grows.
  private struct Choice {
    /// `delta`, or nothing for a completion.
    var message: JSONTree?
    /// Everything else but the index.
    var rest = JSONTree.object([])
  }

  private let endpoint: InferenceEndpoint
  private let limit: Int
  private var taken = 0
  private var top: [(name: String, value: JSONTree)] = []
  private var choices: [Int: Choice] = [:]

  /// - Parameter limit: bytes of all chunks; the body is smaller.
  public init(endpoint: InferenceEndpoint, limit: Int = UpstreamLimits().streamBytes) {
    self.endpoint = endpoint
    self.limit = limit
  }

  /// - Throws: `garbage` for what is no chunk, `tooLarge`.
  public mutating func take(_ chunk: InferenceChunk) throws(AttemptFailure) {
    taken += chunk.data.count
    guard taken <= limit else {
      throw AttemptFailure(.tooLarge, "its answer is larger than \(limit) bytes")
    }
    let document = try ChunkFacts.document(chunk.data)
    for member in document.members(of: document.root) {
      if member.name == "choices" {
        for (position, choice) in document.elements(of: member.value).enumerated() {
          take(choice: choice, position: position, document)
        }
        if !top.contains(where: { $0.name == "choices" }) { top.append(("choices", .null)) }
      } else if let known = top.firstIndex(where: { $0.name == member.name }) {
        // An answer has one identity; of what is counted, the last word is right.
        guard !["id", "object", "created", "model"].contains(member.name) else { continue }
        if member.value.kind != .null { top[known].value = JSONTree(member.value, document) }
      } else {
        top.append((member.name, JSONTree(member.value, document)))
      }
    }
  }

  private mutating func take(choice: JSONValue, position: Int, _ document: JSONDocument) {
    let index = document.value("index", in: choice).flatMap(document.integer) ?? position
    var grown = choices.removeValue(forKey: index) ?? Choice()
    for member in document.members(of: choice) {
      let value = JSONTree(member.value, document)
      switch member.name {
      case "index": break
      case "delta", "message":
        guard case .object(let gains) = value else { continue }
        if grown.message == nil { grown.message = .object([]) }
        for gain in gains { grown.message?.gain(gain.name, gain.value) }
      case "text": grown.rest.gain("text", value)
      case "logprobs": grown.rest.gain("logprobs", value)
      default: grown.rest.set(member.name, value)
      }
    }
    choices[index] = grown
  }

  /// - Throws: `garbage` when there was no choice.
  public func body() throws(AttemptFailure) -> [UInt8] {
    guard !choices.isEmpty else {
      throw AttemptFailure(.garbage, "its answer has no choice")
    }
    var bytes: [UInt8] = []
    JSONTree.object(
      top.map { member in
        switch member.name {
        case "choices":
          (
            member.name,
            .array(choices.sorted { $0.key < $1.key }.map { whole($0.value, index: $0.key) })
          )
        case "object" where endpoint == .chatCompletions:
          (member.name, .string(Array("chat.completion".utf8)))
        default: (member.name, member.value)
        }
      }
    ).append(to: &bytes)
    return bytes
  }

  private func whole(_ choice: Choice, index: Int) -> JSONTree {
    var members: [(name: String, value: JSONTree)] = [("index", .raw(Array(String(index).utf8)))]
    if endpoint == .chatCompletions {
      var message = choice.message ?? .object([])
      // A stream may leave out what a message always has.
      message.complete("content", with: .null)
      message.complete("role", with: .string(Array("assistant".utf8)))
      message.dropCallIndices()
      members.append(("message", message))
    }
    if case .object(let rest) = choice.rest { members += rest }
    return .object(members)
  }
}
