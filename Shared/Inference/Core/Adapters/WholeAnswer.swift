import Text

/// The answer of a host that was asked for a stream and gave one body, as the one chunk of a stream.
enum WholeAnswer {
  /// - Parameter prefix: what the host was to go on with. llama.cpp says it again in a body, and
  ///   not in a stream.
  static func chunk(
    of body: [UInt8], without prefix: [UInt8]
  ) throws(AttemptFailure) -> [UInt8] {
    let document = try ChunkFacts.document(body)
    var edits: [(range: Range<Int>, bytes: [UInt8])] = []
    for member in document.members(of: document.root) {
      switch member.name {
      case "object" where document.string(member.value) == "chat.completion":
        edits.append((member.value.range, JSON.quoted("chat.completion.chunk")))
      case "choices":
        for choice in document.elements(of: member.value) {
          for member in document.members(of: choice) where member.name == "message" {
            edits.append((member.nameRange, JSON.quoted("delta")))
            edit(message: member.value, prefix, document, &edits)
          }
        }
      default: break
      }
    }
    var chunk: [UInt8] = []
    var position = 0
    for edit in edits {
      chunk += body[position..<edit.range.lowerBound] + edit.bytes
      position = edit.range.upperBound
    }
    return chunk + body[position...]
  }

  private static func edit(
    message: JSONValue, _ prefix: [UInt8], _ document: JSONDocument,
    _ edits: inout [(range: Range<Int>, bytes: [UInt8])]
  ) {
    for member in document.members(of: message) {
      switch member.name {
      case "content":
        guard !prefix.isEmpty, let text = document.string(member.value),
          text.utf8.starts(with: prefix)
        else { continue }
        let rest = String(decoding: text.utf8.dropFirst(prefix.count), as: UTF8.self)
        edits.append((member.value.range, JSON.quoted(rest)))
      case "tool_calls":
        for (index, call) in document.elements(of: member.value).enumerated()
        where call.kind == .object && document.value("index", in: call) == nil {
          let inside = call.range.lowerBound + 1
          let comma = document.members(of: call).isEmpty ? "" : ","
          edits.append((inside..<inside, Array("\"index\":\(index)\(comma)".utf8)))
        }
      default: break
      }
    }
  }
}
