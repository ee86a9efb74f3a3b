/// An outline with its middle left out.
struct OutlineCut: Sendable {
  private let units: [Outline.Unit]
  /// Bytes of each unit, line feeds included.
  private let sizes: [Int]
  private let shape: TextShape
  /// Indices of the headings that always stay.
  private let skeleton: Set<Int>
  private let skeletonBytes: Int

  init(_ outline: Outline, keepingHeadings level: Int) {
    units = outline.units
    sizes = outline.units.map { $0.rendered.count + ($0.isApart ? 2 : 1) }
    shape = outline.shape
    skeleton = Set(
      outline.units.indices.filter {
        if case .heading(let own) = outline.units[$0].kind { own <= level } else { false }
      })
    skeletonBytes = skeleton.reduce(0) { [sizes] in $0 + sizes[$1] }
  }

  /// Renders about `bytes` bytes: the skeleton, and units from the beginning (60 % of the rest) and
  /// from the end (40 %).
  func rendered(within bytes: Int) -> [UInt8] {
    let room = max(bytes - skeletonBytes, 0)
    var kept = [Outline.Unit?](repeating: nil, count: units.count)
    for index in skeleton { kept[index] = units[index] }
    let others = units.indices.filter { !skeleton.contains($0) }
    let start = take(others, room * 6 / 10, fromStart: true, &kept)
    let end = take(
      others.reversed().prefix { $0 != start.cut && kept[$0] == nil }, room * 4 / 10,
      fromStart: false, &kept)
    // If only one unit does not fit whole, keep its beginning and its end.
    if let cut = start.cut, end.cut == nil, end.left > 0, kept[cut] != nil,
      others.last(where: { kept[$0] == nil || $0 == cut }) == cut
    {
      kept[cut] = Self.cut(units[cut], from: start.left, end: end.left) ?? kept[cut]
    }
    return Outline.rendered(withMarkers(kept))
  }

  /// Takes whole units while there is room, then a piece of the next one.
  private func take(
    _ indices: some Sequence<Int>, _ room: Int, fromStart: Bool, _ kept: inout [Outline.Unit?]
  ) -> (cut: Int?, left: Int) {
    var room = room
    var hasTaken = false
    for index in indices {
      let size = sizes[index]
      if size <= room {
        kept[index] = units[index]
        room -= size
        hasTaken = true
        continue
      }
      // A list is cut between its items, unless the first item is too large.
      if shape == .list, hasTaken { return (nil, room) }
      let piece =
        fromStart
        ? Self.cut(units[index], from: room, end: 0) : Self.cut(units[index], from: 0, end: room)
      guard let piece else { return (nil, room) }
      kept[index] = piece
      return (index, room)
    }
    return (nil, room)
  }

  /// Inserts a marker for each omitted stretch, as an item if the stretch begins with one.
  private func withMarkers(_ kept: [Outline.Unit?]) -> [Outline.Unit] {
    var result: [Outline.Unit] = []
    var wasMarked = false
    for (index, unit) in kept.enumerated() {
      if let unit {
        result.append(unit)
        wasMarked = false
      } else if !wasMarked {
        var marker = units[index]
        if marker.kind != .item {
          marker.kind = .line
          marker.prefix = []
        }
        marker.body = Array(Compression.marker.utf8)
        result.append(marker)
        wasMarked = true
      }
    }
    return result
  }

  // MARK: - Cutting one unit

  /// Least bytes of a piece that is worth keeping.
  private static let minimumPiece = 16

  /// Keeps about `start` bytes of the unit's beginning and `end` bytes of its end. `nil` means that
  /// the unit is a heading, or that the pieces would be too small to be worth keeping.
  private static func cut(_ unit: Outline.Unit, from start: Int, end: Int) -> Outline.Unit? {
    if case .fence(let opening, let content, let closing) = unit.kind {
      let frame = opening.count + closing.count + 3
      guard start + end >= frame + 2 * minimumPiece else { return nil }
      var unit = unit
      unit.kind = .fence(
        opening: opening, content: cut(content, to: start + end - frame), closing: closing)
      return unit
    }
    if case .heading = unit.kind { return nil }
    let marker = Array(Compression.marker.utf8)
    let overhead = unit.prefix.count + marker.count + 3
    var pieces: [[UInt8]] = []
    if start >= overhead + minimumPiece {
      pieces.append(TextCut.beginning(of: unit.body, within: start - overhead))
    }
    pieces.append(marker)
    if end >= overhead + minimumPiece {
      pieces.append(TextCut.end(of: unit.body, within: end - overhead))
    }
    pieces.removeAll(where: \.isEmpty)
    guard pieces.count > 1 else { return nil }
    var unit = unit
    unit.body = Array(pieces.joined(separator: [0x20]))
    return unit
  }

  /// Cuts code between lines. JSON stays valid.
  private static func cut(_ content: [[UInt8]], to room: Int) -> [[UInt8]] {
    let text = Outline.joined(content)
    if let json = JSONElision(validating: text) {
      return json.rendered(within: room).split(separator: 0x0A).map(Array.init)
    }
    let marker = Array(Compression.marker.utf8)
    let room = room - marker.count - 1
    var first = 0
    var used = 0
    while first < content.count, used + content[first].count < room * 6 / 10 {
      used += content[first].count + 1
      first += 1
    }
    var last = content.count
    used = 0
    while last > first, used + content[last - 1].count < room * 4 / 10 {
      used += content[last - 1].count + 1
      last -= 1
    }
    return Array(content[..<first]) + [marker] + Array(content[last...])
  }
}

/// Cuts a line after a sentence, otherwise after a clause, otherwise between words. If two thirds
/// of the room have no such boundary, it cuts within a word.
enum TextCut {
  private enum Strength: Int { case word, clause, sentence }

  /// Returns at most the first `room` bytes of the text, cut at the strongest boundary. Among
  /// equally strong boundaries it uses the last one.
  static func beginning(of text: [UInt8], within room: Int) -> [UInt8] {
    guard text.count > room else { return text }
    guard room > 0 else { return [] }
    var best: (end: Int, strength: Int) = (0, -1)
    for end in stride(from: room, to: room / 3, by: -1) {
      guard let strength = boundary(text, end)?.rawValue, strength > best.strength else { continue }
      best = (end, strength)
      if strength == Strength.sentence.rawValue { break }
    }
    var end = best.strength < 0 ? room : best.end
    while best.strength < 0, end > 0, text[end] & 0xC0 == 0x80 { end -= 1 }
    while end > 0, text[end - 1] == 0x20 || text[end - 1] == 0x09 { end -= 1 }
    return Array(text[..<end])
  }

  /// Returns at most the last `room` bytes of the text, cut at the strongest boundary. Among equally
  /// strong boundaries it uses the first one.
  static func end(of text: [UInt8], within room: Int) -> [UInt8] {
    guard text.count > room else { return text }
    guard room > 0 else { return [] }
    var best: (start: Int, strength: Int) = (text.count, -1)
    for start in (text.count - room)..<(text.count - room / 3) {
      guard let strength = boundary(text, start)?.rawValue, strength > best.strength else {
        continue
      }
      best = (start, strength)
      if strength == Strength.sentence.rawValue { break }
    }
    var start = best.strength < 0 ? text.count - room : best.start
    while best.strength < 0, start < text.count, text[start] & 0xC0 == 0x80 { start += 1 }
    while start < text.count, text[start] == 0x20 || text[start] == 0x09 { start += 1 }
    return Array(text[start...])
  }

  /// Strength of the boundary before `position`. `nil` means that there is none.
  private static func boundary(_ text: [UInt8], _ position: Int) -> Strength? {
    guard position > 0, position < text.count else { return nil }
    let before = text[position - 1]
    // The marks 。！？、，； take three bytes, and no space follows them.
    if before >= 0x80, position >= 3 {
      switch (text[position - 3], text[position - 2], before) {
      case (0xE3, 0x80, 0x82), (0xEF, 0xBC, 0x81), (0xEF, 0xBC, 0x9F): return .sentence
      case (0xE3, 0x80, 0x81), (0xEF, 0xBC, 0x8C), (0xEF, 0xBC, 0x9B): return .clause
      default: break
      }
    }
    guard text[position] == 0x20 || text[position] == 0x09 else { return nil }
    switch before {
    case UInt8(ascii: "."), UInt8(ascii: "!"), UInt8(ascii: "?"): return .sentence
    case UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: ":"), UInt8(ascii: ")"): return .clause
    default: return .word
    }
  }
}
