import Limits
import Text

/// An array whose elements grow.
///
/// An element can extend the earlier element with its index or ID, which is found in constant time.
/// Without index and ID, it can extend only the last element.
struct GrowingArray: Sendable {
  enum Kind: Sendable {
    case calls
    /// Parts of a content. A new part extends the last part if the types are equal.
    case parts
    /// Elements are never merged.
    case list
    /// Elements are matched by index. Tool calls are also matched by ID.
    case other
  }

  private enum Slot: Sendable {
    case one(GrowingJSON)
    /// Elements that are kept as received, joined by commas. `last` is the offset of the last
    /// element.
    case run([UInt8], last: Int)
  }

  /// Facts about a new element that decide which existing element it extends.
  private struct Mark {
    var index: Int?
    var id: ArraySlice<UInt8>?
    var isCall = false
    var name: ArraySlice<UInt8>?
    var hasArguments = false
    var type: ArraySlice<UInt8>?
    /// Whether a later element may extend this one.
    var canBeFound = false
    var hasOddIndex = false
  }

  private let arrayKind: Kind
  private var slots: [Slot] = []
  /// Number of slots that later elements can find and extend.
  private var findable = 0
  /// The last slot of each index. `byID` has the first slot of each ID.
  private var byIndex: [Int: Int] = [:]
  private var byID: [[UInt8]: Int] = [:]
  /// Whether an index or ID of a slot has changed. The two lookup tables must then be rebuilt.
  private var isStale = false

  init(_ kind: Kind) { arrayKind = kind }

  /// Creates an array from the elements of its first value.
  init(_ kind: Kind, of value: JSONValue, _ json: inout HostJSON) throws(AttemptFailure) {
    self.init(kind)
    guard kind == .other else {
      try gain(elementsOf: value, &json)
      return
    }
    for element in json.document.eachElement(of: value) {
      try append(element, try Self.mark(of: element, &json), &json)
    }
  }

  /// Adds the elements of an array. An element extends the element that it matches, or is appended.
  /// A single value counts as an array with one element.
  mutating func gain(
    elementsOf value: JSONValue, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    guard value.kind == .array else { return try gain(value, position: 0, &json) }
    var position = 0
    for element in json.document.eachElement(of: value) {
      try gain(element, position: position, &json)
      position += 1
    }
  }

  /// Adds text to an array of content parts.
  ///
  /// - Parameter text: the bytes between the quotes of a JSON string.
  mutating func gain(
    text: some Collection<UInt8>, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    let part = Array(#"{"type":"text","text":""#.utf8) + text + Array(#""}"#.utf8)
    var own = try HostJSON(part, json.allowance)
    try gain(own.root, position: 0, &own)
    json.allowance = own.allowance
  }

  /// - Parameter position: index of the element in the array that it arrived in.
  private mutating func gain(
    _ element: JSONValue, position: Int, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    switch (arrayKind, element.kind) {
    case (.list, _): return try append(plain: json.document.slice(element), &json)
    case (.parts, .string):
      return try gain(text: json.document.slice(element).dropFirst().dropLast(), &json)
    default: break
    }
    let mark = try Self.mark(of: element, &json)
    // Parts and calls that arrive in one array are separate, even without index and ID.
    let isAlone = position == 0 || mark.index != nil || mark.id?.isEmpty == false
    guard isAlone || arrayKind == .other else {
      try append(element, mark, &json)
      return
    }
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
    try tree.gain(element, under: GrowingJSON.element, &json)
    if mark.hasOddIndex || Self.id(of: tree) != before { isStale = true }
  }

  /// Merges a call without index and ID into the last element, which was kept as received. If the
  /// last element is not an object, the call is appended.
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
      json.allowance.release(bytes.capacity + GrowingJSON.bufferBytes + GrowingJSON.entryBytes)
    }
    guard own.first == UInt8(ascii: "{") else {
      try append(element, mark, &json)
      return
    }
    var old = try HostJSON(own, json.allowance)
    var tree = try GrowingJSON(old.root, under: GrowingJSON.element, &old)
    json.allowance = old.allowance
    try json.allowance.charge(buffer: GrowingJSON.entryBytes)
    try tree.gain(element, under: GrowingJSON.element, &json)
    findable += 1
    isStale = true
    slots.append(.one(tree))
  }

  // MARK: - Matching elements

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
      // Only string IDs match. llama.cpp sends the token numbers of log probabilities as `id`.
      case "id" where mark.id == nil && member.value.kind == .string:
        mark.canBeFound = true
        mark.id = json.document.slice(member.value).dropFirst().dropLast()
      case "type" where mark.type == nil && member.value.kind == .string:
        mark.type = json.document.slice(member.value)
      case "function" where !mark.isCall:
        mark.isCall = true
        mark.canBeFound = true
        let values = try json.values(["name", "arguments"], in: member.value)
        if let name = values[0], name.kind == .string, name.range.count > 2 {
          mark.name = json.document.slice(name).dropFirst().dropLast()
        }
        mark.hasArguments = values[1].map { $0.kind == .string && $0.range.count > 2 } ?? false
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
      return try isAnotherCall(mark, than: slots[place], &json) ? nil : place
    }
    if arrayKind == .parts, let last = slots.last, isSameType(mark, as: last) {
      return slots.count - 1
    }
    // A call without an index extends the call with the same ID. A call without an ID extends the
    // last call.
    guard mark.isCall, let last = slots.last else { return nil }
    if let id = mark.id, !id.isEmpty { return byID[Array(id)] }
    return try isAnotherCall(mark, than: last, &json) ? nil : slots.count - 1
  }

  private func isSameType(_ mark: Mark, as slot: Slot) -> Bool {
    guard let type = mark.type, case .one(.object(let object)) = slot,
      case .string(let known)? = object.value("type")
    else { return false }
    return known.elementsEqual(type.dropFirst().dropLast())
  }

  /// Whether a call is a new one, although its index is that of an existing call or missing.
  ///
  /// Some servers send index 0 or none with every call. A named call is new if its ID differs. If
  /// an ID is missing, the call is new if the arguments of the existing call are complete, unless
  /// it only repeats the name.
  private func isAnotherCall(
    _ mark: Mark, than slot: Slot, _ json: inout HostJSON
  ) throws(AttemptFailure) -> Bool {
    guard mark.isCall, let name = mark.name, case .one(let tree) = slot else { return false }
    if let id = mark.id, !id.isEmpty, let known = Self.id(of: tree), !known.isEmpty {
      return !known.elementsEqual(id)
    }
    guard case .object(let call) = tree, case .object(let function)? = call.value("function"),
      case .string(let arguments)? = function.value("arguments"),
      arguments.last == UInt8(ascii: "}")
    else { return false }
    if !mark.hasArguments, case .string(let known)? = function.value("name"),
      known.elementsEqual(name)
    {
      return false
    }
    try json.allowance.charge(2 * arguments.count)
    let quote = [UInt8(ascii: "\"")]
    guard let text = try? JSONDocument(validating: quote + arguments + quote),
      let inner = text.string(text.root)
    else { return false }
    return (try? JSONDocument(validating: Array(inner.utf8))) != nil
  }

  private static func id(of tree: GrowingJSON) -> [UInt8]? {
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
    guard mark.canBeFound || arrayKind == .parts && mark.type != nil else {
      try append(plain: json.document.slice(element), &json)
      return
    }
    guard findable < Limits.toolCalls.value else {
      throw AttemptFailure(overdrawn: Limits.toolCalls)
    }
    findable += 1
    try json.allowance.charge(buffer: GrowingJSON.entryBytes)
    let tree = try GrowingJSON(element, under: GrowingJSON.element, &json)
    if let index = mark.index { byIndex[index] = slots.count }
    if let id = mark.id, byID[Array(id)] == nil { byID[Array(id)] = slots.count }
    slots.append(.one(tree))
  }

  private mutating func append(
    plain element: ArraySlice<UInt8>, _ json: inout HostJSON
  ) throws(AttemptFailure) {
    try json.allowance.charge(element.count)
    guard case .run(var bytes, _)? = slots.last else {
      try json.allowance.charge(buffer: GrowingJSON.entryBytes)
      slots.append(.run(try GrowingJSON.copy(element, &json), last: 0))
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
      case .one(let tree): sum + GrowingJSON.entryBytes + tree.cost
      case .run(let bytes, _):
        sum + GrowingJSON.entryBytes + bytes.capacity + GrowingJSON.bufferBytes
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
