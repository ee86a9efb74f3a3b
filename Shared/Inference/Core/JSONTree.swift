import Text

/// JSON that grows: what the chunks of a stream say, put together. Numbers and the insides of
/// strings stay as they were written.
enum JSONTree: Sendable {
  case object([(name: String, value: JSONTree)])
  case array([JSONTree])
  /// Without its quotes, escapes as they came: halves of a surrogate pair meet again.
  case string([UInt8])
  case raw([UInt8])
  case null

  /// Recursion is bounded by the depth that the document was checked for.
  init(_ value: JSONValue, _ document: JSONDocument) {
    switch value.kind {
    case .object:
      self = .object(
        document.members(of: value).map { ($0.name, JSONTree($0.value, document)) })
    case .array: self = .array(document.elements(of: value).map { JSONTree($0, document) })
    case .string: self = .string(Array(document.slice(value).dropFirst().dropLast()))
    case .null: self = .null
    case .number, .boolean: self = .raw(Array(document.slice(value)))
    }
  }

  func append(to bytes: inout [UInt8]) {
    switch self {
    case .object(let members):
      bytes.append(UInt8(ascii: "{"))
      for (index, member) in members.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        JSON.appendString(member.name, to: &bytes)
        bytes.append(UInt8(ascii: ":"))
        member.value.append(to: &bytes)
      }
      bytes.append(UInt8(ascii: "}"))
    case .array(let elements):
      bytes.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { bytes.append(UInt8(ascii: ",")) }
        element.append(to: &bytes)
      }
      bytes.append(UInt8(ascii: "]"))
    case .string(let inner):
      bytes.append(UInt8(ascii: "\""))
      bytes += inner
      bytes.append(UInt8(ascii: "\""))
    case .raw(let json): bytes += json
    case .null: bytes += "null".utf8
    }
  }

  // MARK: - Growing

  // Each change takes the parts out of `self` first, so that they have one owner and grow in place:
  // an answer of a million tokens is not copied a million times.

  /// Sets a member; `null` is no news.
  mutating func set(_ name: String, _ value: JSONTree) {
    change(name) { there in
      if case .null = value, there != nil { return }
      there = value
    }
  }

  mutating func complete(_ name: String, with value: JSONTree) {
    change(name) { there in
      if there == nil { there = value }
    }
  }

  /// A member of a delta gains more.
  mutating func gain(_ name: String, _ more: JSONTree) {
    change(name) { there in
      if there == nil, name == "tool_calls", case .array = more { there = .array([]) }
      if there == nil { there = more } else { there?.gain(more, under: name) }
    }
  }

  private mutating func gain(_ more: JSONTree, under name: String) {
    switch (self, more) {
    case (_, .null): return
    case (.null, _): self = more
    case (.string(let there), .string(let new)):
      // Said once; some servers repeat them in every chunk.
      if ["role", "type"].contains(name) {
        if !new.isEmpty { self = more }
      } else if ["id", "name"].contains(name), there == new || new.isEmpty {
        return
      } else {
        append(new)
      }
    case (.array, .array(let new)): for element in new { gain(element: element) }
    case (.object, .object(let new)):
      // What else is an object says something anew.
      guard ["logprobs", "function_call", "function", "audio", Self.element].contains(name) else {
        self = more
        return
      }
      for member in new { gain(member.name, member.value) }
    default: self = more
    }
  }

  private static let element = "\u{0}element"

  /// Elements that are numbered belong to those of their number; others are more of the same.
  private mutating func gain(element: JSONTree) {
    guard case .array(var elements) = self else { return }
    self = .null
    if let place = Self.place(of: element, among: elements), place < elements.count {
      elements[place].gain(element, under: Self.element)
    } else {
      elements.append(element)
    }
    self = .array(elements)
  }

  private static func place(of element: JSONTree, among elements: [JSONTree]) -> Int? {
    guard case .object = element else { return nil }
    if let index = element.index {
      guard let place = elements.lastIndex(where: { $0.index == index }) else { return nil }
      return element.isAnotherCall(than: elements[place]) ? nil : place
    }
    // A call without its number: of the call that has its name, else of the last one.
    guard element.isCall, !elements.isEmpty else { return nil }
    guard let id = element.text("id"), !id.isEmpty else { return elements.count - 1 }
    return elements.firstIndex { $0.text("id") == id }
  }

  private mutating func append(_ more: [UInt8]) {
    guard case .string(var inner) = self else { return }
    self = .null
    inner += more
    self = .string(inner)
  }

  private mutating func change(_ name: String, _ body: (inout JSONTree?) -> Void) {
    guard case .object(var members) = self else { return }
    self = .null
    if let known = members.firstIndex(where: { $0.name == name }) {
      var value: JSONTree? = members[known].value
      members[known].value = .null
      body(&value)
      members[known].value = value ?? .null
    } else {
      var value: JSONTree?
      body(&value)
      if let value { members.append((name, value)) }
    }
    self = .object(members)
  }

  // MARK: - Tool calls

  private var index: Int? {
    guard case .object(let members) = self,
      case .raw(let digits) = members.first(where: { $0.name == "index" })?.value
    else { return nil }
    return Int(String(decoding: digits, as: UTF8.self))
  }

  private var isCall: Bool {
    guard case .object(let members) = self else { return false }
    return members.contains { $0.name == "function" }
  }

  /// Some servers give every call the number 0: a name under another id begins a call of its own.
  private func isAnotherCall(than other: JSONTree) -> Bool {
    guard isCall, let id = text("id"), !id.isEmpty, let known = other.text("id"), !known.isEmpty,
      id != known, case .object(let members) = self,
      let name = members.first(where: { $0.name == "function" })?.value.text("name")
    else { return false }
    return !name.isEmpty
  }

  private func text(_ name: String) -> [UInt8]? {
    guard case .object(let members) = self,
      case .string(let inner) = members.first(where: { $0.name == name })?.value
    else { return nil }
    return inner
  }

  /// Calls are numbered only while they come in pieces.
  mutating func dropCallIndices() {
    change("tool_calls") { calls in
      guard case .array(let elements)? = calls else { return }
      calls = .array(
        elements.map { element in
          guard case .object(let members) = element else { return element }
          return .object(members.filter { $0.name != "index" })
        })
    }
  }
}
