/// Shrinks JSON and keeps it valid: keys stay if they fit, and long strings and arrays lose their
/// middle.
struct JSONElision: Sendable {
  /// Maximum nesting. Elision recurses and reads each level again, so deeper JSON is treated as
  /// text.
  static let maximumDepth = 64

  /// A JSON value. Leaves are ranges of the text, because a buffer for a single digit would take
  /// fifty times its size.
  private enum Node: Sendable {
    case object([(name: Range<Int>, value: Node)], size: Int)
    case array([Node], size: Int)
    case string(Range<Int>)
    /// A number, `true`, `false` or `null`.
    case plain(Range<Int>)

    /// Bytes of the node, without the white space between tokens.
    var size: Int {
      switch self {
      case .object(_, let size), .array(_, let size): size
      case .string(let range), .plain(let range): range.count
      }
    }
  }

  private let root: Node
  private let bytes: [UInt8]

  /// `nil` if the bytes are not JSON or nest too deep.
  init?(validating bytes: [UInt8]) {
    guard
      let document = try? JSONDocument(validating: bytes, maximumDepth: Self.maximumDepth)
    else { return nil }
    root = Self.node(document.root, in: document)
    self.bytes = bytes
  }

  /// - Parameter bytes: valid JSON, nested at most `maximumDepth` levels.
  init(_ bytes: [UInt8]) {
    self.init(validating: bytes)!
  }

  private static func node(_ value: JSONValue, in document: JSONDocument) -> Node {
    switch value.kind {
    case .object:
      var size = 2
      var members: [(name: Range<Int>, value: Node)] = []
      for member in document.eachMember(of: value) {
        let value = node(member.value, in: document)
        size += member.nameRange.count + 2 + value.size
        members.append((member.nameRange, value))
      }
      return .object(members, size: members.isEmpty ? 2 : size - 1)
    case .array:
      let elements = document.eachElement(of: value).map { node($0, in: document) }
      let size = elements.reduce(2) { $0 + $1.size + 1 }
      return .array(elements, size: elements.isEmpty ? 2 : size - 1)
    case .string: return .string(value.range)
    case .number, .boolean, .null: return .plain(value.range)
    }
  }

  /// Renders at most `room` bytes, or the smallest JSON of the value's kind if that is larger.
  func rendered(within room: Int) -> [UInt8] {
    var out: [UInt8] = []
    render(root, room, &out)
    return out
  }

  /// The smallest rendition, used if no rendition fits the budget.
  var smallest: [UInt8] { rendered(within: 0) }

  private static let marker = JSON.quoted(Compression.marker)

  private func render(_ node: Node, _ room: Int, _ out: inout [UInt8]) {
    switch node {
    case .object(let members, let size): render(members, size, room, &out)
    case .array(let elements, let size): render(elements, size, room, &out)
    case .string(let range):
      if range.count <= room { out += bytes[range] } else { out += Self.cut(bytes[range], room) }
    case .plain(let range):
      if range.count <= max(room, 4) { out += bytes[range] } else { out += "null".utf8 }
    }
  }

  // MARK: - Objects

  /// Keeps every key if possible. The values share the room that the keys leave.
  private func render(
    _ members: [(name: Range<Int>, value: Node)], _ size: Int, _ room: Int, _ out: inout [UInt8]
  ) {
    let marker = Self.marker
    let keys = members.reduce(2) { $0 + $1.name.count + 2 }
    // Keep every key if all values fit, or if at least four bytes are left for each value.
    let hasRoom = size <= room || keys + 4 * members.count <= room
    let kept = hasRoom ? members.indices.map { $0 } : Self.keptMembers(members, room)
    let ownKeys = kept.reduce(2) { $0 + members[$1].name.count + 2 }
    let isCut = kept.count < members.count
    let markerSize = 2 * marker.count + 2
    let share = Self.fairShare(
      kept.map { members[$0].value.size }, max(room - ownKeys - (isCut ? markerSize : 0), 0))
    guard !isCut || !kept.isEmpty || room >= markerSize + 2 else {
      out += [UInt8(ascii: "{"), UInt8(ascii: "}")]
      return
    }
    out.append(UInt8(ascii: "{"))
    var isFirst = true
    var expected = 0
    func separate() {
      if !isFirst { out.append(UInt8(ascii: ",")) }
      isFirst = false
    }
    func mark() {
      separate()
      out += marker + [UInt8(ascii: ":")] + marker
    }
    for index in kept {
      if index > expected { mark() }
      expected = index + 1
      separate()
      out += bytes[members[index].name]
      out.append(UInt8(ascii: ":"))
      render(members[index].value, min(members[index].value.size, share), &out)
    }
    if expected < members.count { mark() }
    out.append(UInt8(ascii: "}"))
  }

  /// The first and the last members whose keys fit with a few bytes for each value.
  private static func keptMembers(
    _ members: [(name: Range<Int>, value: Node)], _ room: Int
  ) -> [Int] {
    kept(
      members.map { $0.name.count + 2 + min($0.value.size, 8) },
      room - 2 * marker.count - 4)
  }

  // MARK: - Arrays

  private func render(
    _ elements: [Node], _ size: Int, _ room: Int, _ out: inout [UInt8]
  ) {
    let marker = Self.marker
    guard size > room else {
      out.append(UInt8(ascii: "["))
      for (index, element) in elements.enumerated() {
        if index > 0 { out.append(UInt8(ascii: ",")) }
        render(element, element.size, &out)
      }
      out.append(UInt8(ascii: "]"))
      return
    }
    let inner = room - marker.count - 3
    guard inner >= 0 else {
      out += [UInt8(ascii: "["), UInt8(ascii: "]")]
      return
    }
    // An element larger than a third of the room is cut.
    let largest = max(inner / 3, 1)
    let kept = Self.kept(elements.map { min($0.size, largest) + 1 }, inner)
    out.append(UInt8(ascii: "["))
    var expected = 0
    for index in kept {
      if index > expected { out += marker + [UInt8(ascii: ",")] }
      expected = index + 1
      render(elements[index], min(elements[index].size, largest), &out)
      if expected < elements.count { out.append(UInt8(ascii: ",")) }
    }
    if expected < elements.count { out += marker }
    out.append(UInt8(ascii: "]"))
  }

  /// Indices of the elements that fit: 60 % of the room from the beginning, 40 % from the end.
  private static func kept(_ sizes: [Int], _ room: Int) -> [Int] {
    var first = 0
    var left = room * 6 / 10
    while first < sizes.count, sizes[first] <= left {
      left -= sizes[first]
      first += 1
    }
    var last = sizes.count
    left = room * 4 / 10
    while last > first, sizes[last - 1] <= left {
      left -= sizes[last - 1]
      last -= 1
    }
    return Array(0..<first) + Array(last..<sizes.count)
  }

  /// The maximum bytes per value, if small values leave the rest of their share to large ones.
  private static func fairShare(_ sizes: [Int], _ room: Int) -> Int {
    var left = room
    for (index, size) in sizes.sorted().enumerated() {
      let share = left / (sizes.count - index)
      if size > share { return share }
      left -= size
    }
    return sizes.max() ?? 0
  }

  // MARK: - Strings

  /// Removes the middle of a string, so that it has at most `room` bytes with its quotes. Escapes
  /// stay whole. If the marker does not fit, the string becomes empty.
  private static func cut(_ quoted: ArraySlice<UInt8>, _ room: Int) -> [UInt8] {
    guard room >= marker.count else {
      return [UInt8(ascii: "\""), UInt8(ascii: "\"")]
    }
    let text = Array(JSONCursor.unescaped(quoted).utf8)
    // Escapes take more bytes than the text that they stand for, so shrink the text until it fits.
    var inner = room - marker.count - 2
    while inner > 0 {
      let start = TextCut.beginning(of: text, within: inner * 6 / 10)
      let end = TextCut.end(of: text, within: inner * 4 / 10)
      let pieces = [start, Array(Compression.marker.utf8), end].filter { !$0.isEmpty }
      let cut = JSON.quoted(
        String(decoding: Array(pieces.joined(separator: [0x20])), as: UTF8.self))
      if cut.count <= room { return cut }
      // Shrink by at least a sixteenth. The text is cut at boundaries of words, so a smaller step
      // often changes nothing.
      inner -= max(cut.count - room, inner / 16, 1)
    }
    return marker
  }
}
