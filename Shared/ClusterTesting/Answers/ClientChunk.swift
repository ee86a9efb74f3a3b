import Foundation
public import InferenceCore

/// A chunk as a client reads it, with a decoder that shares nothing with the code under test.
public struct ClientChunk {
  public struct Call {
    public var index: Int
    public var id: String
    public var name: String
    public var arguments: String
  }

  public struct NoChunk: Error {
    public init() {}
  }

  public var identity = ""
  public var content = ""
  public var reasoning = ""
  public var calls: [Call] = []
  public var finish: String?
  public var hasRole = false

  public init(_ data: [UInt8]) throws {
    guard let object = try JSONSerialization.jsonObject(with: Data(data)) as? [String: Any],
      let choices = object["choices"] as? [[String: Any]], let choice = choices.first,
      let delta = choice["delta"] as? [String: Any]
    else { throw NoChunk() }
    identity = ["id", "model", "created", "system_fingerprint"].map { "\(object[$0] ?? "-")" }
      .joined(separator: " ")
    content = delta["content"] as? String ?? ""
    reasoning = delta["reasoning_content"] as? String ?? ""
    hasRole = delta["role"] != nil
    finish = choice["finish_reason"] as? String
    for call in delta["tool_calls"] as? [[String: Any]] ?? [] {
      let function = call["function"] as? [String: Any] ?? [:]
      calls.append(
        Call(
          index: call["index"] as? Int ?? -1, id: call["id"] as? String ?? "",
          name: function["name"] as? String ?? "",
          arguments: function["arguments"] as? String ?? ""))
    }
  }

  public var text: String { content + reasoning + calls.map(\.arguments).joined() }
  public var textBytes: Int { text.utf8.count }

  /// The chunk with only the first bytes of its text; nil: they end within a character.
  public func cut(_ chunk: InferenceChunk, to count: Int) throws -> InferenceChunk? {
    guard let part = String(validating: Array(text.utf8.prefix(count)), as: UTF8.self) else {
      return nil
    }
    let old = try JSONSerialization.data(
      withJSONObject: text, options: [.fragmentsAllowed, .withoutEscapingSlashes])
    let new = try JSONSerialization.data(
      withJSONObject: part, options: [.fragmentsAllowed, .withoutEscapingSlashes])
    var data = chunk.data
    guard let range = data.firstRange(of: Array(old)) else { return nil }
    data.replaceSubrange(range, with: Array(new))
    return InferenceChunk(data: data, facts: try ChunkFacts(parsing: data))
  }
}
