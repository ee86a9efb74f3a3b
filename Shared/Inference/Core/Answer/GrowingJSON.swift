import Limits
import Text

/// A JSON value that grows while the chunks of a stream are merged into it.
///
/// Numbers, the contents of strings, and values that cannot grow keep their bytes.
///
/// Each mutation first moves the parts of the value out of their places. The parts then have one
/// owner and grow in place. Otherwise an answer of a million tokens would be copied a million
/// times.
///
/// Each value is charged to the allowance of the `HostJSON` that it is read from. Memory is charged
/// by capacity, work by bytes and entries.
enum GrowingJSON: Sendable {
  case object(GrowingObject)
  case array(GrowingArray)
  /// A string without its quotes. Escapes keep their bytes, so that the two halves of a surrogate
  /// pair can join.
  case string([UInt8])
  /// A text of a member without a merge rule, and how often it arrived again unchanged. It counts
  /// as a constant until a different text arrives.
  case repeated([UInt8], Int)
  case raw([UInt8])
  case null

  /// Artificial member name for elements of arrays. The name of a member selects how its values are
  /// merged.
  static let element = "\u{0}element"
  /// Artificial member name for values that the newest value replaces. They never grow.
  static let replaced = "\u{0}replaced"
  /// Artificial member name for arrays to which all new elements are appended. New elements are not
  /// matched with earlier ones.
  static let list = "\u{0}list"

  /// Memory of an entry in addition to its buffers. Includes a slot in an array that
  /// over-allocates, a slot in a dictionary, and the header of an allocation.
  static let entryBytes = 160
  static let bufferBytes = 32

  /// Copies a value. The recursion is bounded, because the parser limits the depth of documents.
  init(_ value: JSONValue, under name: String, _ json: inout HostJSON) throws(AttemptFailure) {
    try json.allowance.charge(value.range.count)
    switch value.kind {
    case .null: self = .null
    case _ where name == Self.replaced:
      self = .raw(try Self.copy(json.document.slice(value), &json))
    case .string:
      let text = try Self.copy(json.document.slice(value).dropFirst().dropLast(), &json)
      let isKnown = Self.texts.contains(name) || Self.labels.contains(name)
      self = isKnown ? .string(text) : .repeated(text, 0)
    case .number, .boolean: self = .raw(try Self.copy(json.document.slice(value), &json))
    case .object:
      guard Self.grows(name) else {
        self = .raw(try Self.copy(json.document.slice(value), &json))
        return
      }
      var object = GrowingObject()
      for member in json.document.eachMember(of: value) {
        let inner = Self.inner(of: name, member.name)
        let value = try GrowingJSON(member.value, under: inner, &json)
        try object.append(member.name, value, &json)
      }
      self = .object(object)
    case .array:
      self = .array(try GrowingArray(Self.arrayKind(name), of: value, &json))
    }
  }

  private static func arrayKind(_ name: String) -> GrowingArray.Kind {
    switch name {
    case "tool_calls": .calls
    case "content", "thinking": .parts
    case list: .list
    default: .other
    }
  }

  /// The name that selects the merge rule of an object's member. Arrays in `logprobs` have one
  /// entry per token, so entries are always appended.
  private static func inner(of object: String, _ member: String) -> String {
    object == "logprobs" ? list : member
  }

  /// Whether objects with this name grow. Objects with other names are sent whole in each chunk.
  private static func grows(_ name: String) -> Bool {
    ["logprobs", "function_call", "function", "audio", element].contains(name)
  }

  static func copy(
    _ slice: ArraySlice<UInt8>, _ json: inout HostJSON
  ) throws(AttemptFailure) -> [UInt8] {
    let bytes = Array(slice)
    try json.allowance.charge(buffer: bytes.capacity + bufferBytes)
    return bytes
  }

  func append(to bytes: inout [UInt8]) {
    switch self {
    case .object(let object): object.append(to: &bytes)
    case .array(let array): array.append(to: &bytes)
    case .string(let inner), .repeated(let inner, _):
      bytes.append(UInt8(ascii: "\""))
      bytes += inner
      bytes.append(UInt8(ascii: "\""))
    case .raw(let json): bytes += json
    case .null: bytes += "null".utf8
    }
  }

  /// Memory that was charged for this value.
  var cost: Int {
    switch self {
    case .object(let object): object.cost
    case .array(let array): array.cost
    case .string(let bytes), .repeated(let bytes, _), .raw(let bytes):
      bytes.capacity + Self.bufferBytes
    case .null: 0
    }
  }

  // MARK: - Growing

  /// Merges a later value of the same name into this one.
  mutating func gain(
    _ more: JSONValue, under name: String, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    switch (kind, more.kind) {
    case (_, .null): return
    case (.string, .string): try gain(text: more, under: name, &json)
    case (.array, .array): try gain(elements: more, &json)
    case (.object, .object): try gain(members: more, under: name, &json)
    // The content may be a text in one chunk and an array of parts in the next.
    case (.string, .array) where name == "content":
      try convertToParts(&json)
      try gain(elements: more, &json)
    case (.array, .string) where name == "content": try gain(elements: more, &json)
    default: try replace(with: more, under: name, &json)
    }
  }

  /// The kind that decides how values merge. `raw` counts as a number.
  private var kind: JSONKind {
    switch self {
    case .object: .object
    case .array: .array
    case .string, .repeated: .string
    case .raw: .number
    case .null: .null
    }
  }

  private mutating func gain(
    elements more: JSONValue, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    guard case .array(var array) = self else { return }
    self = .null
    defer { self = .array(array) }
    try json.allowance.charge(more.range.count)
    try array.gain(elementsOf: more, &json)
  }

  /// Turns a content that is a text into an array with this text as its first part.
  private mutating func convertToParts(_ json: inout HostJSON) throws(AttemptFailure) {
    let text: [UInt8] =
      switch self {
      case .string(let text), .repeated(let text, _): text
      case .object, .array, .raw, .null: []
      }
    json.allowance.release(cost)
    var array = GrowingArray(.parts)
    if !text.isEmpty { try array.gain(text: text, &json) }
    self = .array(array)
  }

  private mutating func gain(
    members more: JSONValue, under name: String, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    guard case .object(var object) = self else { return }
    self = .null
    defer { self = .object(object) }
    try json.allowance.charge(more.range.count)
    for member in json.document.eachMember(of: more) {
      try object.gain(
        member.name, member.value, under: Self.inner(of: name, member.name), &json)
    }
  }

  mutating func replace(
    with value: JSONValue, under name: String, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    json.allowance.release(cost)
    self = .null
    self = try GrowingJSON(value, under: name, &json)
  }

  private mutating func gain(
    text more: JSONValue, under name: String, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    let new = json.document.slice(more).dropFirst().dropLast()
    guard !new.isEmpty else { return }
    switch name {
    // Most servers send these members once. Some repeat them in every chunk.
    case "role", "type": try replace(with: more, under: name, &json)
    // Servers send these members whole. The first value stays, because some servers make a new
    // value for each chunk.
    case "id", Self.list:
      guard textBytes == 0 else { return }
      try replace(with: more, under: name, &json)
    case "name":
      try json.allowance.charge(new.count)
      guard !isText(new) else { return }
      // The name still has its escapes. Six bytes of an escape may stand for one byte of the name.
      guard textBytes + new.count <= 6 * Limits.nameBytes.value else {
        throw AttemptFailure(overdrawn: Limits.nameBytes)
      }
      try append(new, &json)
    default: try gain(unknown: new, &json)
    }
  }

  /// Merges a text of a member without a merge rule.
  ///
  /// Equal texts count as one constant, such as the name of a format. If a different text arrives,
  /// all texts are joined as pieces.
  private mutating func gain(
    unknown new: ArraySlice<UInt8>, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    guard case .repeated(let text, let count) = self else { return try append(new, &json) }
    if new.count == text.count {
      try json.allowance.charge(new.count)
      if text.elementsEqual(new) {
        self = .repeated(text, count.addingCapped(1))
        return
      }
    }
    self = .string(text)
    for _ in 0..<count { try append(text[...], &json) }
    try append(new, &json)
  }

  /// Members whose text arrives piece by piece, because models generate it.
  private static let texts: Set<String> = [
    "arguments", "content", "data", "input", "output", "output_text", "partial_json", "reasoning",
    "reasoning_content", "reasoning_text", "refusal", "summary", "text", "thinking", "thought",
    "transcript", "value",
  ]
  /// Members with short texts that identify or classify something.
  private static let labels: Set<String> = ["id", "name", "role", "type", list]

  private func isText(_ text: ArraySlice<UInt8>) -> Bool {
    switch self {
    case .string(let there), .repeated(let there, _): there.elementsEqual(text)
    case .object, .array, .raw, .null: false
    }
  }

  private var textBytes: Int {
    switch self {
    case .string(let there), .repeated(let there, _): there.count
    case .object, .array, .raw, .null: 0
    }
  }

  private mutating func append(
    _ more: ArraySlice<UInt8>, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    guard case .string(var inner) = self else { return }
    self = .null
    defer { self = .string(inner) }
    let before = inner.capacity
    inner += more
    try json.allowance.charge(more.count)
    try json.allowance.charge(buffer: inner.capacity - before)
  }
}

/// An object whose members grow. Lookup by name takes constant time.
struct GrowingObject: Sendable {
  private(set) var members: [(name: String, value: GrowingJSON)] = []
  /// Index of the first member with each name. Filled only if there are more members than
  /// `linearSearchLimit`.
  private var places: [String: Int] = [:]
  private static let linearSearchLimit = 8

  func place(of name: String) -> Int? {
    members.count <= Self.linearSearchLimit ? members.firstIndex { $0.name == name } : places[name]
  }

  func value(_ name: String) -> GrowingJSON? { place(of: name).map { members[$0].value } }

  /// Whether the member exists and is neither an empty string nor zero nor `null`.
  func isSet(_ name: String) -> Bool {
    switch value(name) {
    case nil, .null: false
    case .raw(let json): ![[0x22, 0x22], [0x30]].contains(json)
    case .object, .array, .string, .repeated: true
    }
  }

  /// Appends a member, even if there is one with the same name. Later values are merged into the
  /// first member with this name.
  mutating func append(
    _ name: String, _ value: GrowingJSON, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    guard members.count < Limits.answerMembers.value else {
      throw AttemptFailure(overdrawn: Limits.answerMembers)
    }
    try json.allowance.charge(buffer: GrowingJSON.entryBytes + name.utf8.count)
    try json.allowance.charge(1)
    complete(with: name, value)
  }

  private mutating func complete(with name: String, _ value: GrowingJSON) {
    members.append((name, value))
    guard members.count > Self.linearSearchLimit else { return }
    if places.isEmpty {
      for (place, member) in members.enumerated() where places[member.name] == nil {
        places[member.name] = place
      }
    } else if places[name] == nil {
      places[name] = members.count - 1
    }
  }

  /// Merges a later value into a member, or adds the member.
  /// - Parameter rule: the name that selects the merge rule. `nil` means that `name` selects it.
  mutating func gain(
    _ name: String, _ more: JSONValue, under rule: String? = nil, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    if let place = place(of: name) {
      try members[place].value.gain(more, under: rule ?? name, &json)
    } else {
      try append(name, GrowingJSON(more, under: rule ?? name, &json), &json)
    }
  }

  /// Sets a member to its newest value. `null` does not replace a value.
  mutating func set(
    _ name: String, _ value: JSONValue, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    if let place = place(of: name) {
      guard value.kind != .null else { return }
      try members[place].value.replace(with: value, under: GrowingJSON.replaced, &json)
    } else {
      try append(name, GrowingJSON(value, under: GrowingJSON.replaced, &json), &json)
    }
  }

  /// Adds a member that a stream may omit, unless the object has it.
  mutating func complete(_ name: String, with value: GrowingJSON) {
    if place(of: name) == nil { complete(with: name, value) }
  }

  /// Removes the indices of tool calls. Only the pieces of a stream need them.
  mutating func dropCallIndices() {
    guard let place = place(of: "tool_calls"), case .array(var calls) = members[place].value
    else { return }
    members[place].value = .null
    calls.dropIndices()
    members[place].value = .array(calls)
  }

  /// The object without a member. The result is for output only, because its lookup table is empty.
  func without(_ name: String) -> GrowingObject {
    var rest = GrowingObject()
    rest.members = members.filter { $0.name != name }
    return rest
  }

  var cost: Int {
    members.reduce(0) { $0 + GrowingJSON.entryBytes + $1.name.utf8.count + $1.value.cost }
  }

  func append(to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "{"))
    for (index, member) in members.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      JSON.appendString(member.name, to: &bytes)
      bytes.append(UInt8(ascii: ":"))
      member.value.append(to: &bytes)
    }
    bytes.append(UInt8(ascii: "}"))
  }
}
