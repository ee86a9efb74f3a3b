import Limits
import Text

/// Converts the whole body of a host into one chunk of a stream.
///
/// Some hosts, such as llama.cpp, repeat the prefix in their answer. The repetition is removed.
struct CompleteBody {
  private var json: HostJSON
  private let prefix: [UInt8]
  private var edits: [(range: Range<Int>, bytes: [UInt8])] = []

  static func chunk(
    of body: [UInt8], _ reading: UpstreamReading, _ allowance: inout Allowance
  ) throws(AttemptFailure) -> [UInt8] {
    var answer = CompleteBody(
      json: try HostJSON(repairing: body, allowance), prefix: reading.prefix)
    defer { allowance = answer.json.allowance }
    try answer.edit(choices: reading.choices)
    return answer.edited
  }

  private init(json: HostJSON, prefix: [UInt8]) {
    self.json = json
    self.prefix = prefix
  }

  private var edited: [UInt8] {
    let body = json.document.bytes
    var chunk: [UInt8] = []
    chunk.reserveCapacity(body.count + 64)
    var position = 0
    for edit in edits {
      chunk += body[position..<edit.range.lowerBound]
      chunk += edit.bytes
      position = edit.range.upperBound
    }
    chunk += body[position...]
    return chunk
  }

  private mutating func edit(choices: Int) throws(AttemptFailure) {
    try json.allowance.charge(json.root.range.count)
    var count = HostJSON.Members()
    var number = 0
    for member in json.document.eachMember(of: json.root) {
      try count.count()
      switch member.name {
      case "object" where member.value.range.count == 17:
        guard json.document.string(member.value) == "chat.completion" else { continue }
        edits.append((member.value.range, JSON.quoted("chat.completion.chunk")))
      case "choices":
        guard let elements = try json.elements(of: member.value, "choices") else { continue }
        for choice in elements {
          number += 1
          guard number <= choices else { throw .garbage("more than \(choices) choices") }
          try edit(choice: choice)
        }
      default: break
      }
    }
  }

  private mutating func edit(choice: JSONValue) throws(AttemptFailure) {
    guard let members = try json.members(of: choice, "a choice") else { return }
    var count = HostJSON.Members()
    let message = json.document.value("message", in: choice)
    try json.allowance.charge(choice.range.count)
    for member in members {
      try count.count()
      switch member.name {
      case "message" where member.value.kind != .null:
        edits.append((member.nameRange, JSON.quoted("delta")))
        try edit(message: member.value)
      // In a body, `message` holds the answer. The client reads `delta`, so the two names are
      // swapped.
      case "delta" where message != nil && message?.kind != .null:
        edits.append((member.nameRange, JSON.quoted("message")))
      default: break
      }
    }
  }

  private mutating func edit(message: JSONValue) throws(AttemptFailure) {
    guard let members = try json.members(of: message, "a message") else { return }
    var count = HostJSON.Members()
    for member in members {
      try count.count()
      switch member.name {
      case "content":
        guard !prefix.isEmpty, let text = json.document.string(member.value),
          text.utf8.starts(with: prefix)
        else { continue }
        let rest = String(decoding: text.utf8.dropFirst(prefix.count), as: UTF8.self)
        edits.append((member.value.range, JSON.quoted(rest)))
      case "tool_calls": try edit(calls: member.value)
      default: break
      }
    }
  }

  private mutating func edit(calls: JSONValue) throws(AttemptFailure) {
    guard let elements = try json.elements(of: calls, "tool_calls") else { return }
    var number = 0
    for call in elements {
      guard number < Limits.toolCalls.value else {
        throw AttemptFailure(overdrawn: Limits.toolCalls)
      }
      defer { number += 1 }
      let index = try json.values(["index"], in: call)
      guard call.kind == .object, index[0] == nil else { continue }
      let inside = call.range.lowerBound + 1
      var members = json.document.eachMember(of: call)
      let comma = members.next() == nil ? "" : ","
      edits.append((inside..<inside, Array("\"index\":\(number)\(comma)".utf8)))
    }
  }
}
