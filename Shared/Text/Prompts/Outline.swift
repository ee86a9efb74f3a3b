/// A text as a sequence of units that are kept or left out: lines, and whole fenced blocks.
struct Outline: Sendable {
  static let deepestHeading = 6

  struct Unit: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
      case heading(level: Int)
      case item
      case line
      /// Opening line, content, closing line.
      case fence(opening: [UInt8], content: [[UInt8]], closing: [UInt8])
    }

    var kind: Kind
    /// White space, quotation marks (`>`) and the bullet at the beginning of the line.
    var prefix: [UInt8]
    var body: [UInt8]
    /// Whether an empty line precedes the unit.
    var isApart: Bool

    var rendered: [UInt8] {
      guard case .fence(let opening, let content, let closing) = kind else { return prefix + body }
      return Outline.joined([opening] + content + [closing])
    }
  }

  private(set) var units: [Unit] = []

  /// - Parameter bytes: normalised text.
  init(_ bytes: [UInt8]) {
    var isApart = false
    // The lines of an open fenced block are kept outside the unit, so that adding a line never
    // copies them all.
    var open: NormalisedLine.Fence?
    var opening: [UInt8] = []
    var content: [[UInt8]] = []
    var fenceIsApart = false
    for line in bytes.split(separator: 0x0A, omittingEmptySubsequences: false) {
      let line = Array(line)
      let look = NormalisedLine(looking: line)
      if let fence = open {
        if look.closes(fence) {
          units.append(Self.fence(opening, content, line, fenceIsApart))
          open = nil
        } else {
          content.append(line)
        }
        isApart = false
      } else if let begun = look.opening {
        (open, opening, content) = (begun, line, [])
        fenceIsApart = isApart && !units.isEmpty
      } else if !look.hasContent {
        isApart = true
      } else {
        units.append(Unit(line, isApart: isApart && !units.isEmpty))
        isApart = false
      }
    }
    if let fence = open {
      // Close the code block in which the text ends, for example because the model was cut off.
      let closing = [UInt8](repeating: fence.byte, count: fence.length)
      let indent = opening.prefix { $0 == 0x20 || $0 == 0x09 }
      while content.last?.isEmpty == true { content.removeLast() }
      units.append(Self.fence(opening, content, indent + closing, fenceIsApart))
    }
  }

  private static func fence(
    _ opening: [UInt8], _ content: [[UInt8]], _ closing: [UInt8], _ isApart: Bool
  ) -> Unit {
    Unit(
      kind: .fence(opening: opening, content: content, closing: closing), prefix: [], body: [],
      isApart: isApart)
  }

  var shape: TextShape {
    var items = 0
    var hasMarks = false
    for unit in units {
      switch unit.kind {
      case .item: items += 1
      case .heading, .fence: hasMarks = true
      case .line: break
      }
    }
    if items * 2 > units.count { return .list }
    return hasMarks || items > 0 ? .markdown : .prose
  }

  var rendered: [UInt8] { Self.rendered(units) }

  static func rendered(_ units: [Unit]) -> [UInt8] {
    var bytes: [UInt8] = []
    for (index, unit) in units.enumerated() {
      if index > 0 { bytes.append(0x0A) }
      if index > 0, unit.isApart { bytes.append(0x0A) }
      bytes += unit.rendered
    }
    return bytes
  }

  static func joined(_ lines: [[UInt8]]) -> [UInt8] {
    Array(lines.joined(separator: [0x0A]))
  }

  // MARK: - Repetitions

  /// Least letters and digits of a line that counts as a repetition. A shorter line ("- yes", "}")
  /// may occur twice.
  private static let minimumRepetition = 8

  /// Keeps the first of equal lines and of equal fenced blocks. Headings stay, and so do short
  /// lines, such as a table's rule.
  mutating func removeRepetitions() {
    var seen: Set<[UInt8]> = []
    var kept: [Unit] = []
    var isApart = false
    for unit in units {
      if Self.isRepetition(unit, &seen) {
        isApart = isApart || unit.isApart
      } else {
        var unit = unit
        unit.isApart = (unit.isApart || isApart) && !kept.isEmpty
        isApart = false
        kept.append(unit)
      }
    }
    units = kept
  }

  private static func isRepetition(_ unit: Unit, _ seen: inout Set<[UInt8]>) -> Bool {
    switch unit.kind {
    case .heading: return false
    case .fence(_, let content, _):
      // The line feed makes the block differ from every line in `seen`.
      return !content.isEmpty && !seen.insert([0x0A] + unit.rendered).inserted
    case .item, .line:
      let words = unit.body.count { $0 >= 0x80 || isLetterOrDigit($0) }
      guard words >= minimumRepetition else { return false }
      return !seen.insert(unit.body).inserted
    }
  }

  private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20)
  }
}

extension Outline.Unit {
  /// Parses a line that is not empty and not part of a fenced block.
  init(_ line: [UInt8], isApart: Bool) {
    self.isApart = isApart
    var rest = line[...]
    func skipSpaces() { rest = rest.drop { $0 == 0x20 || $0 == 0x09 } }
    skipSpaces()
    while rest.first == UInt8(ascii: ">") {
      rest = rest.dropFirst()
      skipSpaces()
    }
    let marks = rest.prefix { $0 == UInt8(ascii: "#") }.count
    if (1...Outline.deepestHeading).contains(marks), rest.dropFirst(marks).first == 0x20 {
      kind = .heading(level: marks)
      prefix = []
      body = line
      return
    }
    let bullet = Self.bulletLength(rest)
    kind = bullet > 0 ? .item : .line
    if bullet > 0 {
      rest = rest.dropFirst(bullet)
      skipSpaces()
    }
    prefix = Array(line[..<rest.startIndex])
    body = Array(rest)
  }

  /// Length of the bullet (`-`, `*`, `+`, `•`, `1.` or `1)`). 0 means that there is no bullet, or
  /// nothing after it.
  private static func bulletLength(_ line: ArraySlice<UInt8>) -> Int {
    let digits = line.prefix { (0x30...0x39).contains($0) }.count
    var length = 0
    if (1...9).contains(digits) {
      let next = line.dropFirst(digits).first
      if next == UInt8(ascii: ".") || next == UInt8(ascii: ")") { length = digits + 1 }
    } else if let first = line.first, Array("-*+".utf8).contains(first) {
      length = 1
    } else if line.starts(with: "•".utf8) {
      length = 3
    }
    let rest = line.dropFirst(length)
    let isBullet = length > 0 && rest.first == 0x20 && rest.contains { $0 != 0x20 && $0 != 0x09 }
    return isBullet ? length : 0
  }
}

extension NormalisedLine {
  init(looking line: [UInt8]) {
    self.init()
    for byte in line {
      if byte == 0x20 || byte == 0x09 { writeSpace() } else { write(byte) }
    }
  }
}
