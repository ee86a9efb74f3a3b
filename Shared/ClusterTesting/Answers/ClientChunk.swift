public import InferenceCore

/// A chunk as a client reads it, decoded without the code under test.
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

  var identity = ""
  public var content = ""
  public var reasoning = ""
  public var calls: [Call] = []
  var finish: String?
  var hasRole = false

  public init(_ data: [UInt8]) throws {
    guard let chunk = PlainJSON(data), let choice = chunk["choices"]?.elements.first,
      let delta = choice["delta"]
    else { throw NoChunk() }
    identity = ["id", "model", "created", "system_fingerprint"].map {
      chunk[$0]?.text ?? chunk[$0]?.word ?? "-"
    }.joined(separator: " ")
    content = delta["content"]?.text ?? ""
    reasoning = delta["reasoning_content"]?.text ?? ""
    hasRole = delta["role"] != nil
    finish = choice["finish_reason"]?.text
    for call in delta["tool_calls"]?.elements ?? [] {
      let function = call["function"]
      calls.append(
        Call(
          index: call["index"]?.word.flatMap { Int($0) } ?? -1, id: call["id"]?.text ?? "",
          name: function?["name"]?.text ?? "", arguments: function?["arguments"]?.text ?? ""))
    }
  }

  public var text: String { content + reasoning + calls.map(\.arguments).joined() }
  public var textBytes: Int { text.utf8.count }

  /// Cuts a chunk of a `CorpusHost` to the first bytes of its text; `nil` means that the cut falls
  /// within a character.
  public func cut(_ chunk: InferenceChunk, to count: Int) throws -> InferenceChunk? {
    guard let part = String(validating: Array(text.utf8.prefix(count)), as: UTF8.self) else {
      return nil
    }
    var data = chunk.data
    guard let range = data.firstRange(of: Array(quoted(text).utf8)) else { return nil }
    data.replaceSubrange(range, with: Array(quoted(part).utf8))
    return InferenceChunk(data: data, facts: try ChunkFacts(parsing: data))
  }
}
