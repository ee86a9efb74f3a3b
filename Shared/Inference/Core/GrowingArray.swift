import Limits
import Text

/// An array whose elements grow: those that are numbered or have an id are found in constant time,
/// the others are kept as they came.
struct GrowingArray: Sendable {
  private enum Slot: Sendable {
    case one(JSONTree)
    /// Elements that no later one can find, joined by commas; and where the last of them begins.
    case run([UInt8], last: Int)
  }

  /// What decides where an element belongs.
  private struct Mark {
    var index: Int?
    var id: ArraySlice<UInt8>?
    var isCall = false
    var hasName = false
    /// A later element may belong to it.
    var canBeFound = false
    var hasOddIndex = false
  }

  private var slots: [Slot] = []
  /// Slots that later elements can find.
  private var findable = 0
  /// The last slot of each index and the first one of each id.
  private var byIndex: [Int: Int] = [:]
  private var byID: [[UInt8]: Int] = [:]
  /// An index or id of a slot has changed.
  private var isStale = false

  /// Adds an element.
  mutating func append(_ element: JSONValue, _ json: inout HostJSON) throws(AttemptFailure) {
    let mark = try Self.mark(of: element, &json)
    try append(element, mark, &json)
  }

  /// Adds an element, or what it says to the one that it belongs to.
  mutating func gain(_ element: JSONValue, _ json: inout HostJSON) throws(AttemptFailure) {
    let mark = try Self.mark(of: element, &json)
    guard let place = try place(of: mark, &json) else {
      try append(element, mark, &json)
      return
    }
    if case .run = slots[place] {
      try replaceLast(with: element, mark, &json)
      return
    }
    guard case .one(var tree) = slots[place] else { return }
    slots[place] = .one(.null)
    defer { slots[place] = .one(tree) }
    let before = Self.id(of: tree)
    try tree.gain(element, under: JSONTree.element, &json)
    if mark.hasOddIndex || Self.id(of: tree) != before { isStale = true }
  }

  /// A call without number and id belongs to the last element, which was kept as it came: if that is
  /// an object, the two become one.
  private mutating func replaceLast(
    with element: JSONValue, _ mark: Mark, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    guard findable < Limits.toolCalls.value else {
      throw AttemptFailure(overdrawn: Limits.toolCalls)
    }
    guard case .run(var bytes, let last)? = slots.popLast() else { return }
    let own = Array(bytes[last...])
    if last > 0 {
      bytes.removeSubrange((last - 1)...)
      slots.append(.run(bytes, last: bytes.count))
    } else {
      json.allowance.release(bytes.capacity + JSONTree.bufferBytes + JSONTree.entryBytes)
    }
    guard own.first == UInt8(ascii: "{") else {
      try append(element, mark, &json)
      return
    }
    var old = try HostJSON(own, json.allowance)
    var tree = try JSONTree(old.root, under: JSONTree.element, &old)
    json.allowance = old.allowance
    try json.allowance.charge(buffer: JSONTree.entryBytes)
    try tree.gain(element, under: JSONTree.element, &json)
    findable += 1
    isStale = true
    slots.append(.one(tree))
  }

  // MARK: - Where an element belongs

  private static func mark(
    of element: JSONValue, _ json: inout HostJSON
  ) throws(AttemptFailure) -> Mark {
    var mark = Mark()
    guard element.kind == .object else { return mark }
    try json.allowance.charge(element.range.count)
    var hasIndex = false
    for member in json.document.eachMember(of: element) {
      switch member.name {
      case "index" where !hasIndex:
        hasIndex = true
        mark.canBeFound = true
        mark.index = json.document.integer(member.value)
        mark.hasOddIndex = mark.index == nil && member.value.kind != .null
      // llama.cpp gives log probabilities the numbers of their tokens: nothing is found by those.
      case "id" where mark.id == nil && member.value.kind == .string:
        mark.canBeFound = true
        mark.id = json.document.slice(member.value).dropFirst().dropLast()
      case "function" where !mark.isCall:
        mark.isCall = true
        mark.canBeFound = true
        let name = try json.values(["name"], in: member.value)[0]
        mark.hasName = name.map { $0.kind == .string && $0.range.count > 2 } ?? false
      default: break
      }
    }
    return mark
  }

  private mutating func place(
    of mark: Mark, _ json: inout HostJSON
  ) throws(AttemptFailure) -> Int? {
    if mark.index != nil || mark.isCall, isStale { try find(&json) }
    if let index = mark.index {
      guard let place = byIndex[index] else { return nil }
      return isAnotherCall(mark, than: slots[place]) ? nil : place
    }
    // A call without its number: of the call that has its id, otherwise of the last one.
    guard mark.isCall, !slots.isEmpty else { return nil }
    guard let id = mark.id, !id.isEmpty else { return slots.count - 1 }
    return byID[Array(id)]
  }

  /// Some servers give every call the number 0: a name under another id begins a call of its own.
  private func isAnotherCall(_ mark: Mark, than slot: Slot) -> Bool {
    guard mark.isCall, mark.hasName, let id = mark.id, !id.isEmpty, case .one(let tree) = slot,
      let known = Self.id(of: tree), !known.isEmpty
    else { return false }
    return !known.elementsEqual(id)
  }

  private static func id(of tree: JSONTree) -> [UInt8]? {
    guard case .object(let object) = tree, case .string(let id)? = object.value("id") else {
      return nil
    }
    return id
  }

  private mutating func find(_ json: inout HostJSON) throws(AttemptFailure) {
    isStale = false
    byIndex = [:]
    byID = [:]
    try json.allowance.charge(slots.count)
    for (place, slot) in slots.enumerated() {
      guard case .one(.object(let object)) = slot else { continue }
      if case .raw(let digits)? = object.value("index"),
        let document = try? JSONDocument(validating: digits),
        let index = document.integer(document.root)
      {
        byIndex[index] = place
      }
      if case .string(let id)? = object.value("id"), byID[id] == nil { byID[id] = place }
    }
  }

  // MARK: - Slots

  private mutating func append(
    _ element: JSONValue, _ mark: Mark, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    guard mark.canBeFound else {
      try append(plain: json.document.slice(element), &json)
      return
    }
    guard findable < Limits.toolCalls.value else {
      throw AttemptFailure(overdrawn: Limits.toolCalls)
    }
    findable += 1
    try json.allowance.charge(buffer: JSONTree.entryBytes)
    let tree = try JSONTree(element, under: JSONTree.element, &json)
    if let index = mark.index { byIndex[index] = slots.count }
    if let id = mark.id, byID[Array(id)] == nil { byID[Array(id)] = slots.count }
    slots.append(.one(tree))
  }

  private mutating func append(
    plain element: ArraySlice<UInt8>, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    try json.allowance.charge(element.count)
    guard case .run(var bytes, _)? = slots.last else {
      try json.allowance.charge(buffer: JSONTree.entryBytes)
      slots.append(.run(try JSONTree.copy(element, &json), last: 0))
      return
    }
    slots[slots.count - 1] = .one(.null)
    let before = bytes.capacity
    bytes.append(UInt8(ascii: ","))
    let last = bytes.count
    bytes += element
    slots[slots.count - 1] = .run(bytes, last: last)
    try json.allowance.charge(buffer: bytes.capacity - before)
  }

  mutating func dropIndices() {
    for place in slots.indices {
      guard case .one(.object(let object)) = slots[place] else { continue }
      slots[place] = .one(.object(object.without("index")))
    }
  }

  var cost: Int {
    slots.reduce(0) { sum, slot in
      switch slot {
      case .one(let tree): sum + JSONTree.entryBytes + tree.cost
      case .run(let bytes, _):
        sum + JSONTree.entryBytes + bytes.capacity + JSONTree.bufferBytes
      }
    }
  }

  func append(to bytes: inout [UInt8]) {
    bytes.append(UInt8(ascii: "["))
    for (index, slot) in slots.enumerated() {
      if index > 0 { bytes.append(UInt8(ascii: ",")) }
      switch slot {
      case .one(let tree): tree.append(to: &bytes)
      case .run(let run, _): bytes += run
      }
    }
    bytes.append(UInt8(ascii: "]"))
  }
}
