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
  case raw([UInt8])
  case null

  /// The name that elements of an array have in rules for names.
  static let element = "\u{0}element"
  /// The name of values that are replaced and never grow.
  static let replaced = "\u{0}replaced"

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
      self = .string(try Self.copy(json.document.slice(value).dropFirst().dropLast(), &json))
    case .number, .boolean: self = .raw(try Self.copy(json.document.slice(value), &json))
    case .object:
      guard Self.grows(name) else {
        self = .raw(try Self.copy(json.document.slice(value), &json))
        return
      }
      var object = GrowingObject()
      for member in json.document.eachMember(of: value) {
        let value = try JSONTree(member.value, under: member.name, &json)
        try object.append(member.name, value, &json)
      }
      self = .object(object)
    case .array:
      var array = GrowingArray()
      for element in json.document.eachElement(of: value) {
        if name == "tool_calls" {
          try array.gain(element, &json)
        } else {
          try array.append(element, &json)
        }
      }
      self = .array(array)
    }
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
    case .string(let inner):
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
    case .string(let bytes), .raw(let bytes): bytes.capacity + Self.bufferBytes
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
    case (.object, .object): try gain(members: more, &json)
    default: try replace(with: more, under: name, &json)
    }
  }

  /// `raw` counts as a number.
  private var kind: JSONKind {
    switch self {
    case .object: .object
    case .array: .array
    case .string: .string
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
    for element in json.document.eachElement(of: more) { try array.gain(element, &json) }
  }

  private mutating func gain(
    members more: JSONValue, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    guard case .object(var object) = self else { return }
    self = .null
    defer { self = .object(object) }
    try json.allowance.charge(more.range.count)
    for member in json.document.eachMember(of: more) {
      try object.gain(member.name, member.value, &json)
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
    case "id", "name":
      try json.allowance.charge(new.count)
      guard !isText(new) else { return }
      let limit = name == "id" ? Limits.callIDBytes : Limits.nameBytes
      // An escape of six bytes stands for at least one.
      guard textBytes + new.count <= 6 * limit.value else {
        throw AttemptFailure(overdrawn: limit)
      }
      try append(new, &json)
    default: try append(new, &json)
    }
  }

  private func isText(_ text: ArraySlice<UInt8>) -> Bool {
    guard case .string(let there) = self else { return false }
    return there.elementsEqual(text)
  }

  private var textBytes: Int {
    guard case .string(let there) = self else { return 0 }
    return there.count
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
  mutating func gain(
    _ name: String, _ more: JSONValue, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    if let place = place(of: name) {
      try members[place].value.gain(more, under: name, &json)
    } else {
      try append(name, JSONTree(more, under: name, &json), &json)
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
