import Limits
import Text

/// One of the texts of an answer.
enum AnswerPart: Hashable, Sendable {
  /// `delta.content`, or `text` of a plain completion.
  case content
  /// `delta.reasoning_content` or `delta.reasoning`.
  case reasoning
  /// The arguments of the tool call with this index.
  case call(Int)

  var isCall: Bool { if case .call = self { true } else { false } }
}

/// The texts that one chunk adds, in reading order: reasoning, content, calls.
struct ChunkDelta: Sendable {
  struct Call: Sendable {
    var index: Int
    var name: String?
    /// Whether the chunk has some of the call's arguments.
    var hasArguments = false
  }

  var texts: [(part: AnswerPart, text: [UInt8])] = []
  var calls: [Call] = []
  /// Whether the chunk adds to a part that is not tracked. The answer then cannot be resumed.
  var isForeign = false

  private static let foreign: Set<String> = [
    "refusal", "function_call", "audio", "images", "image", "video",
  ]

  var textBytes: Int { texts.reduce(0) { $0 + $1.text.count } }

  /// - Throws: `garbage` if a delta or a call cannot be read, or an index is out of range.
  init(_ facts: ChunkFacts) throws(AttemptFailure) {
    if let delta = facts.deltaJSON { try read(delta) }
    guard !facts.text.isEmpty else { return }
    let calls = texts.firstIndex { $0.part.isCall } ?? texts.endIndex
    texts.insert((.content, Array(facts.text.utf8)), at: calls)
  }

  private mutating func read(_ delta: [UInt8]) throws(AttemptFailure) {
    let document = try ChunkFacts.document(delta)
    var reasoning: [UInt8] = []
    for member in try Self.members(of: document.root, in: document) {
      switch member.name {
      case "reasoning_content", "reasoning":
        // Some hosts send both members with the same text, so the last one is used.
        if let text = document.string(member.value), !text.isEmpty { reasoning = Array(text.utf8) }
      case "tool_calls":
        for (position, call) in document.elements(of: member.value).enumerated() {
          try read(call: call, position, document)
        }
      default:
        if member.value.kind != .null, member.value.range.count > 2,
          Self.foreign.contains(member.name)
        {
          isForeign = true
        }
      }
    }
    if !reasoning.isEmpty { texts.insert((.reasoning, reasoning), at: 0) }
  }

  private mutating func read(
    call: JSONValue, _ position: Int, _ document: JSONDocument
  ) throws(AttemptFailure) {
    var index: JSONValue?
    var function: JSONValue?
    for member in try Self.members(of: call, in: document) {
      switch member.name {
      case "index": index = index ?? member.value
      case "function": function = function ?? member.value
      default: break
      }
    }
    var read = Call(index: try Self.index(index, position, document))
    var members: [JSONMember] = []
    if let function { members = try Self.members(of: function, in: document) }
    for member in members {
      switch member.name {
      case "name": read.name = read.name ?? document.string(member.value)
      case "arguments":
        guard let arguments = document.string(member.value), !arguments.isEmpty else { continue }
        texts.append((.call(read.index), Array(arguments.utf8)))
        read.hasArguments = true
      default: break
      }
    }
    calls.append(read)
  }

  /// The index of a tool call. The default is the call's position in the chunk.
  ///
  /// - Throws: `garbage` if the index is out of range.
  static func index(
    _ value: JSONValue?, _ position: Int, _ document: JSONDocument
  ) throws(AttemptFailure) -> Int {
    var index: Int? = position
    if let value, value.kind != .null { index = document.integer(value) }
    guard let index, (0..<Limits.toolCalls.value).contains(index) else {
      throw AttemptFailure(
        .garbage,
        "it sent a tool call with an index that is not one of 0 to \(Limits.toolCalls.value - 1)")
    }
    return index
  }

  /// Maximum bytes of a member's name, escapes included. The longest name that is read,
  /// "reasoning_content", takes 102 bytes if every character is escaped.
  private static let longestName = 128

  private static func members(
    of value: JSONValue, in document: JSONDocument
  ) throws(AttemptFailure) -> [JSONMember] {
    var members: [JSONMember] = []
    var count = 0
    document.forEachMember(of: value) { member in
      count += 1
      // Skip long names. No long name is read, and a name with many combining marks is slow to
      // compare.
      if member.nameRange.count <= longestName { members.append(member) }
      return count <= Limits.answerMembers.value
    }
    guard count <= Limits.answerMembers.value else {
      throw AttemptFailure(
        .garbage, "it sent an object of more than \(Limits.answerMembers.value) members")
    }
    return members
  }
}
