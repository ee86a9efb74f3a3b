import Text

/// One text of an answer: all that was said of it, and how much of that the client has.
struct AnswerChannel: Sendable {
  let part: AnswerPart
  /// Of a tool call, as the client knows them.
  var name = ""
  var hasHeader = false

  var text: [UInt8] = []
  var boundary: SafeBoundary
  /// Bytes that the client has.
  var released = 0
  /// Something else followed: its end is as safe as any.
  var isClosed = false
  /// What an old host said behind `released`, for the joint.
  var unseen: [UInt8] = []
  /// Within a long token: bytes that are old enough to go, whole characters and escapes.
  private var aged = 0

  /// Bytes without white space that the client gets first, unless the text ends before: the shortest
  /// words that are known again when they are repeated.
  private static let leastBeginning = 3

  /// Texts that end it. What may become one is not told before it is clear that it does not.
  private let stop: [[UInt8]]

  /// - Parameter isOneDocument: the answer was promised to be one JSON text.
  init(_ part: AnswerPart, isOneDocument: Bool = false, stop: [[UInt8]] = []) {
    self.part = part
    self.stop = part == .content ? stop : []
    if case .call = part {
      boundary = SafeBoundary(.json)
    } else {
      boundary = SafeBoundary(nil, isSequence: !isOneDocument)
    }
  }

  mutating func append(_ bytes: some Collection<UInt8>) {
    if !unseen.isEmpty { unseen = [] }
    text += bytes
    boundary.take(bytes)
  }

  /// How much of it may go to the client: all up to the last safe place, and of a longer token what
  /// is older than `window`.
  mutating func limit(window: Int) -> Int {
    if isClosed { return text.count }
    return unlessTooLittle(beforeStop(safeLimit(window: window), window))
  }

  /// The last safe place, and nothing of a longer token.
  func boundaryLimit(window: Int) -> Int {
    unlessTooLittle(beforeStop(boundary.boundary, window))
  }

  /// Nothing, where that is hardly anything: as long as the client has none of it, another host may
  /// begin anew in its own words. Of an "I" or a bracket alone nobody could tell whether the next
  /// host says it again or says another.
  private func unlessTooLittle(_ limit: Int) -> Int {
    guard part == .content, released == 0, limit > 0 else { return limit }
    let ink = text[..<limit].lazy.filter { !" \n\r\t".utf8.contains($0) }
    return ink.prefix(Self.leastBeginning).count < Self.leastBeginning ? 0 : limit
  }

  /// At most up to where a stop sequence may have begun, within the last `window` bytes, and without
  /// the white space before it.
  private func beforeStop(_ limit: Int, _ window: Int) -> Int {
    var start = max(released, text.count - window)
    guard !stop.isEmpty, start < limit else { return limit }
    while start < limit, !stop.contains(where: { mayBegin($0, at: start) }) { start += 1 }
    guard start < limit else { return limit }
    while start > released, " \n\r\t".utf8.contains(text[start - 1]) { start -= 1 }
    return start
  }

  private func mayBegin(_ stop: [UInt8], at index: Int) -> Bool {
    text.count - index < stop.count && stop.starts(with: text[index...])
  }

  private mutating func safeLimit(window: Int) -> Int {
    guard text.count - boundary.boundary > window else { return boundary.boundary }
    aged = max(aged, boundary.boundary)
    while true {
      let next = aged + atomLength(at: aged)
      guard next <= text.count - window else { return aged }
      aged = next
    }
  }

  /// Bytes of the character or escape that begins there. A backslash outside JSON is taken with its
  /// neighbour, which does no harm.
  private func atomLength(at index: Int) -> Int {
    let byte = text[index]
    guard byte == UInt8(ascii: "\\"), boundary.format == .json, index + 1 < text.count else {
      return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4
    }
    guard text[index + 1] == UInt8(ascii: "u") else { return 2 }
    // D800…DBFF: the escape of the second half belongs to it.
    guard index + 3 < text.count, text[index + 2] | 0x20 == UInt8(ascii: "d"),
      "89abAB".utf8.contains(text[index + 3])
    else { return 6 }
    return 12
  }

  /// The host is gone: forgets what the client does not have.
  mutating func forgetUnreleased() {
    guard released < text.count else { return }
    let place = boundary.boundary
    unseen = Array(text[released...].prefix(2 * AnswerStream.heldBytes))
    text.removeSubrange(released...)
    isClosed = false
    aged = min(aged, released)
    let format = boundary.isKnown ? boundary.format : nil
    boundary = SafeBoundary(format, isSequence: boundary.isSequence)
    boundary.take(text)
    if place >= released { boundary.markBoundary() }
  }
}
