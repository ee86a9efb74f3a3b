import Limits
import Text

/// JSON that grows: the chunks of a stream, put together. Numbers and the insides of strings stay as
/// they were written, and so does everything that no later chunk can add to.
///
/// Each change takes the parts out of their places first, so that they have one owner and grow in
/// place: an answer of a million tokens is not copied a million times. Each is charged to the
/// allowance of the `HostJSON` that it is read from: memory by capacity, work by bytes and entries.
enum JSONTree: Sendable {
  case object(GrowingObject)
  case array(GrowingArray)
  /// Without its quotes, escapes as they came: halves of a surrogate pair meet again.
  case string([UInt8])
  /// A text of an unknown name that came once and then again unchanged, as often as the number says:
  /// a constant, until another text follows.
  case repeated([UInt8], Int)
  case raw([UInt8])
  case null

  /// The name that elements of an array have in rules for names.
  static let element = "\u{0}element"
  /// The name of values that are replaced and never grow.
  static let replaced = "\u{0}replaced"
  /// The name of arrays to which elements are added and in which none is found.
  static let list = "\u{0}list"

  /// True memory of an entry besides its buffers: its place in an array that grows ahead, its place
  /// in a dictionary, and the head of an allocation.
  static let entryBytes = 160
  static let bufferBytes = 32

  /// Recursion is bounded by the depth that the document was checked for.
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
        let value = try JSONTree(member.value, under: inner, &json)
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

  /// The name by which a member of an object is read. Arrays in `logprobs` have an entry for each token,
  /// whatever the entries look like.
  private static func inner(of object: String, _ member: String) -> String {
    object == "logprobs" ? list : member
  }

  /// Objects of other names are said anew by each chunk that has them.
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

  /// Memory that was charged for it.
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

  /// A value of that name comes again, and adds to this one.
  mutating func gain(
    _ more: JSONValue, under name: String, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    switch (kind, more.kind) {
    case (_, .null): return
    case (.string, .string): try gain(text: more, under: name, &json)
    case (.array, .array): try gain(elements: more, &json)
    case (.object, .object): try gain(members: more, under: name, &json)
    // A content may be a text in one chunk and an array of parts in another.
    case (.string, .array) where name == "content":
      try becomeParts(&json)
      try gain(elements: more, &json)
    case (.array, .string) where name == "content": try gain(elements: more, &json)
    default: try replace(with: more, under: name, &json)
    }
  }

  /// `raw` counts as a number.
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

  /// The text of a content becomes its first part.
  private mutating func becomeParts(_ json: inout HostJSON) throws(AttemptFailure) {
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
    self = try JSONTree(value, under: name, &json)
  }

  private mutating func gain(
    text more: JSONValue, under name: String, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    let new = json.document.slice(more).dropFirst().dropLast()
    guard !new.isEmpty else { return }
    switch name {
    // Said once; some servers repeat them in every chunk.
    case "role", "type": try replace(with: more, under: name, &json)
    // Come whole. Some servers make a new one for each chunk.
    case "id", Self.list:
      guard textBytes == 0 else { return }
      try replace(with: more, under: name, &json)
    case "name":
      try json.allowance.charge(new.count)
      guard !isText(new) else { return }
      // An escape of six bytes stands for at least one.
      guard textBytes + new.count <= 6 * Limits.nameBytes.value else {
        throw AttemptFailure(overdrawn: Limits.nameBytes)
      }
      try append(new, &json)
    default: try gain(unknown: new, &json)
    }
  }

  /// A text of a name that has no rule. Equal texts are held back as repetitions of a constant, such as
  /// a format; when another one comes, all of them were pieces.
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

  /// Texts that models write, piece by piece.
  private static let texts: Set<String> = [
    "arguments", "content", "data", "input", "output", "output_text", "partial_json", "reasoning",
    "reasoning_content", "reasoning_text", "refusal", "summary", "text", "thinking", "thought",
    "transcript", "value",
  ]
  /// Texts that are not written in pieces, and the name of a call.
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

/// An object whose members grow. They are found by name in constant time.
struct GrowingObject: Sendable {
  private(set) var members: [(name: String, value: JSONTree)] = []
  /// The first member of each name, once there are more than a few.
  private var places: [String: Int] = [:]
  private static let few = 8

  func place(of name: String) -> Int? {
    members.count <= Self.few ? members.firstIndex { $0.name == name } : places[name]
  }

  func value(_ name: String) -> JSONTree? { place(of: name).map { members[$0].value } }

  /// Whether a member is there that is not empty, zero or null.
  func isSaid(_ name: String) -> Bool {
    switch value(name) {
    case nil, .null: false
    case .raw(let json): ![[0x22, 0x22], [0x30]].contains(json)
    case .object, .array, .string, .repeated: true
    }
  }

  /// Adds a member, also one of a name that is there: the first one then grows.
  mutating func append(
    _ name: String, _ value: JSONTree, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    guard members.count < Limits.answerMembers.value else {
      throw AttemptFailure(overdrawn: Limits.answerMembers)
    }
    try json.allowance.charge(buffer: JSONTree.entryBytes + name.utf8.count)
    try json.allowance.charge(1)
    complete(with: name, value)
  }

  private mutating func complete(with name: String, _ value: JSONTree) {
    members.append((name, value))
    guard members.count > Self.few else { return }
    if places.isEmpty {
      for (place, member) in members.enumerated() where places[member.name] == nil {
        places[member.name] = place
      }
    } else if places[name] == nil {
      places[name] = members.count - 1
    }
  }

  /// A member comes again and adds to what is there.
  /// - Parameter rule: the name by which the value grows; `nil` means its own.
  mutating func gain(
    _ name: String, _ more: JSONValue, under rule: String? = nil, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    if let place = place(of: name) {
      try members[place].value.gain(more, under: rule ?? name, &json)
    } else {
      try append(name, JSONTree(more, under: rule ?? name, &json), &json)
    }
  }

  /// Sets a member to its newest value; `null` is no news.
  mutating func set(
    _ name: String, _ value: JSONValue, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    if let place = place(of: name) {
      guard value.kind != .null else { return }
      try members[place].value.replace(with: value, under: JSONTree.replaced, &json)
    } else {
      try append(name, JSONTree(value, under: JSONTree.replaced, &json), &json)
    }
  }

  /// Adds a member that a stream may leave out.
  mutating func complete(_ name: String, with value: JSONTree) {
    if place(of: name) == nil { complete(with: name, value) }
  }

  /// Calls are numbered only while they come in pieces.
  mutating func dropCallIndices() {
    guard let place = place(of: "tool_calls"), case .array(var calls) = members[place].value
    else { return }
    members[place].value = .null
    calls.dropIndices()
    members[place].value = .array(calls)
  }

  /// For output only: places are not kept.
  func without(_ name: String) -> GrowingObject {
    var rest = GrowingObject()
    rest.members = members.filter { $0.name != name }
    return rest
  }

  var cost: Int {
    members.reduce(0) { $0 + JSONTree.entryBytes + $1.name.utf8.count + $1.value.cost }
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
