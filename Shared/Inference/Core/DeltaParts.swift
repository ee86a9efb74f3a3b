import Text

/// One of the texts that an answer is made of.
enum AnswerPart: Hashable, Sendable {
  /// `delta.content`, or `text` of a plain completion.
  case content
  /// `delta.reasoning_content` or `delta.reasoning`.
  case reasoning
  /// The arguments of the tool call with that index.
  case call(Int)

  var isCall: Bool { if case .call = self { true } else { false } }
}

/// The texts that one chunk adds, in the order in which they are read: thoughts, words, calls.
struct DeltaParts: Sendable {
  struct Call: Sendable {
    var index: Int
    var id: String?
    var name: String?
  }

  var texts: [(part: AnswerPart, text: [UInt8])] = []
  var calls: [Call] = []
  var hasRole = false

  var textBytes: Int { texts.reduce(0) { $0 + $1.text.count } }

  init(_ facts: ChunkFacts) {
    if let delta = facts.deltaJSON { read(delta) }
    guard !facts.text.isEmpty else { return }
    let calls = texts.firstIndex { $0.part.isCall } ?? texts.endIndex
    texts.insert((.content, Array(facts.text.utf8)), at: calls)
  }

  private mutating func read(_ delta: [UInt8]) {
    guard let document = try? JSONDocument(validating: delta) else { return }
    var reasoning: [UInt8] = []
    for member in document.members(of: document.root) {
      switch member.name {
      case "reasoning_content", "reasoning":
        // Some hosts send both, with the same words.
        if let text = document.string(member.value), !text.isEmpty { reasoning = Array(text.utf8) }
      case "tool_calls":
        for (position, call) in document.elements(of: member.value).enumerated() {
          read(call: call, position, document)
        }
      default: break
      }
    }
    if !reasoning.isEmpty { texts.insert((.reasoning, reasoning), at: 0) }
  }

  private mutating func read(call: JSONValue, _ position: Int, _ document: JSONDocument) {
    func text(_ name: String, _ value: JSONValue) -> String? {
      document.value(name, in: value).flatMap(document.string)
    }
    var read = Call(
      index: document.value("index", in: call).flatMap(document.integer) ?? position,
      id: text("id", call))
    if let function = document.value("function", in: call) {
      read.name = text("name", function)
      if let arguments = text("arguments", function), !arguments.isEmpty {
        texts.append((.call(read.index), Array(arguments.utf8)))
      }
    }
    calls.append(read)
  }
}
