import Text

/// Reads tool calls that a model wrote as text in place of a call.
///
/// It understands JSON with a name and arguments, alone, in an array, in a fence, between
/// `<tool_call>` tags or after other text, and arguments after `<function=NAME>`. It accepts any
/// input, and takes linear time.
enum ToolCallText {
  /// Maximum calls that are read. More are an endless repetition.
  private static let mostCalls = 64
  /// Maximum objects and arrays that are compared with the tools. The call of a model that writes
  /// text first is one of the first.
  private static let mostValues = 256
  /// Bytes before an object that may name its function.
  private static let tagBytes = 256

  /// - Returns: the calls that fit their tools' schemas, in order; none if there is no such call.
  static func calls(in text: String, _ check: ToolCallCheck) -> [ToolCall] {
    let bytes = Array(text.utf8)
    var calls: [ToolCall] = []
    var values = 0
    let most = check.contract.namesOne || check.contract.isOlder ? 1 : mostCalls
    _ = JSONSearch.first(in: bytes) { value in
      values += 1
      guard values <= mostValues,
        let document = try? JSONDocument(validating: Array(bytes[value.range]))
      else { return values > mostValues }
      let tagged = name(before: value.range.lowerBound, in: bytes)
      let found =
        tagged.map { [call($0, document.root, document)] }
        ?? self.calls(of: document.root, document)
      for call in found where calls.count < most && check.fits(call) {
        calls.append(call)
      }
      return calls.count >= most
    }
    guard calls.isEmpty else { return calls }
    return bareArguments(in: bytes, check)
  }

  /// The objects and arrays in which a value holds calls.
  private static func calls(of value: JSONValue, _ document: JSONDocument) -> [ToolCall] {
    if value.kind == .array {
      return document.elements(of: value).prefix(mostCalls).compactMap { one($0, document) }
    }
    if let list = document.value("tool_calls", in: value), list.kind == .array {
      return document.elements(of: list).prefix(mostCalls).compactMap { one($0, document) }
    }
    return one(value, document).map { [$0] } ?? []
  }

  /// `{"name":…,"arguments":…}`, the same inside `function`, or `{"NAME":{…}}`.
  private static func one(_ value: JSONValue, _ document: JSONDocument) -> ToolCall? {
    var inner = value
    for member in ["tool_call", "function_call", "function"] {
      if let object = document.value(member, in: inner), object.kind == .object { inner = object }
    }
    let names = ["name", "function", "tool", "tool_name"]
    let name = names.lazy.compactMap { document.value($0, in: inner).flatMap(document.string) }
    if let name = name.first {
      let written = ["arguments", "parameters", "input", "args"].lazy.compactMap {
        document.value($0, in: inner)
      }
      guard let arguments = written.first else { return ToolCall(name: name, arguments: "{}") }
      return call(name, arguments, document)
    }
    var members = document.eachMember(of: inner)
    guard let only = members.next(), members.next() == nil, only.value.kind == .object else {
      return nil
    }
    return call(only.name, only.value, document)
  }

  private static func call(
    _ name: String, _ arguments: JSONValue, _ document: JSONDocument
  ) -> ToolCall {
    let text =
      document.string(arguments) ?? String(decoding: document.slice(arguments), as: UTF8.self)
    return ToolCall(name: name, arguments: text)
  }

  /// The name in `<function=NAME>` directly before an object.
  private static func name(before end: Int, in bytes: [UInt8]) -> String? {
    let before = bytes[max(0, end - tagBytes)..<end]
    guard let close = before.lastIndex(where: { $0 > 0x20 }), before[close] == UInt8(ascii: ">"),
      let open = before[..<close].lastIndex(of: UInt8(ascii: "<"))
    else { return nil }
    let tag = before[(open + 1)..<close]
    let opening = Array("function=".utf8)
    guard tag.starts(with: opening) else { return nil }
    return String(decoding: tag.dropFirst(opening.count), as: UTF8.self)
  }

  /// The arguments of the only tool, without its name.
  private static func bareArguments(in bytes: [UInt8], _ check: ToolCallCheck) -> [ToolCall] {
    guard let tool = check.contract.tools.first, check.contract.tools.count == 1,
      let value = JSONSearch.first(in: bytes, where: { $0.kind == .object })
    else { return [] }
    let json = String(decoding: bytes[value.range], as: UTF8.self)
    return check.areArguments(json) ? [ToolCall(name: tool.name, arguments: json)] : []
  }
}
