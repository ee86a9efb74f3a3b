import Limits
import Text

/// One text of an answer: the bytes that hosts sent, and how many of them the client has.
struct AnswerChannel: Sendable {
  let part: AnswerPart
  /// Name of a tool call, as sent to the client.
  var name = ""
  var hasHeader = false

  private(set) var text: [UInt8] = []
  private(set) var boundary: SafeBoundary
  /// States of the boundary scan at up to two earlier offsets, the older one first. After
  /// unreleased text is removed, the scan starts again from one of them instead of from the start.
  private var checkpoints: [SafeBoundary] = []
  /// Number of bytes of the text that the client has.
  var released = 0
  /// Whether all of the text may be released, for example because another text followed.
  var isClosed = false
  /// Bytes that the previous host sent after `released`, at most twice `heldBytes`. The next host's
  /// text is compared with them to find the joint.
  private(set) var unseen: [UInt8] = []
  /// Number of the last chunk that added to this text.
  var lastChunk = 0
  /// Work on the text since the last `takeSteps()`, in bytes and comparisons.
  private var steps = 0
  /// End of the releasable bytes of a long token: all but its last `window` bytes. The end never
  /// splits a character or an escape.
  private var releasableEnd = 0
  /// Number of bytes other than white space, counted up to `leastBeginning`.
  private var visibleBytes = 0
  /// End of the first `leastBeginning` bytes other than white space. `nil` means that fewer have
  /// arrived.
  private var beginningEnd: Int?
  /// Finds the beginning of a stop sequence at the end of the text. Such a beginning is held back.
  /// `nil` means that there are no stop sequences to find.
  private var stops: StopMatcher?

  /// Minimum bytes other than white space in the first release, unless the whole text is shorter.
  /// If the client had less, a repetition by the next host could not be recognised.
  private static let leastBeginning = 3
  /// Bytes between checkpoints. Scanning them takes half a millisecond.
  private static let checkpointBytes = 64 << 10

  /// - Parameters:
  ///   - isOneDocument: whether the whole answer must be one JSON text.
  ///   - stops: finds beginnings of stop sequences. `nil` means that there are none.
  init(_ part: AnswerPart, isOneDocument: Bool = false, stops: StopMatcher? = nil) {
    self.part = part
    self.stops = part == .content ? stops : nil
    if case .call = part {
      boundary = SafeBoundary(.json)
    } else {
      boundary = SafeBoundary(nil, isSequence: !isOneDocument)
    }
  }

  /// Memory in use: the capacity of the buffers, the boundary with its checkpoints, and the channel
  /// itself.
  var memory: Int {
    text.capacity + unseen.capacity + (1 + checkpoints.count) * SafeBoundary.memory
      + MemoryLayout<Self>.stride
  }

  mutating func append(_ bytes: some Collection<UInt8>) {
    if !unseen.isEmpty { unseen = [] }
    let start = text.count
    if start - (checkpoints.last?.offset ?? 0) >= Self.checkpointBytes {
      checkpoints = checkpoints.suffix(1) + [boundary]
    }
    text += bytes
    boundary.take(bytes)
    if part == .content { watch(from: start) }
    steps += text.count - start
  }

  /// Steps since the last call.
  mutating func takeSteps() -> Int {
    defer { steps = 0 }
    return steps
  }

  mutating func markBoundary() { boundary.markBoundary() }

  /// Counts the first visible bytes and runs the stop matcher over new text.
  private mutating func watch(from start: Int) {
    var index = start
    while beginningEnd == nil, index < text.count {
      if !Self.isSpace(text[index]) { visibleBytes += 1 }
      index += 1
      if visibleBytes == Self.leastBeginning { beginningEnd = index }
    }
    guard stops != nil else { return }
    for byte in text[start...] { stops?.take(byte) }
    steps += stops?.takeWork() ?? 0
  }

  /// Number of bytes that the client may have: all bytes of a closed text, otherwise the bytes up
  /// to the last safe boundary. If a token after the boundary is longer than `window`, all bytes
  /// except the last `window` ones. The beginning of a possible stop sequence is excluded.
  mutating func limit(window: Int) -> Int {
    if isClosed { return text.count }
    return atLeastBeginning(beforeStop(safeLimit(window: window), window))
  }

  /// Number of bytes up to the last safe boundary that the client may have. Unlike
  /// `limit(window:)`, it never includes bytes after the boundary.
  mutating func boundaryLimit(window: Int) -> Int {
    atLeastBeginning(beforeStop(boundary.boundary, window))
  }

  /// Returns 0 if the limit is too small for a first release, otherwise the limit.
  ///
  /// While the client has nothing, another host may start over. If the client had only an "I" or a
  /// bracket, a repetition of these bytes by the next host could not be recognised.
  private func atLeastBeginning(_ limit: Int) -> Int {
    guard part == .content, released == 0, limit > 0 else { return limit }
    guard let beginningEnd, beginningEnd <= limit else { return 0 }
    return limit
  }

  /// Lowers a limit to the beginning of a possible stop sequence within the last `window` bytes.
  /// White space before the sequence is held back too.
  private mutating func beforeStop(_ limit: Int, _ window: Int) -> Int {
    let earliest = max(released, text.count - window)
    guard stops != nil, earliest < limit else { return limit }
    let open = stops?.openLength(atMost: text.count - earliest) ?? 0
    steps += stops?.takeWork() ?? 0
    var start = text.count - open
    guard open > 0, start < limit else { return limit }
    let least = max(released, start - window)
    while start > least, Self.isSpace(text[start - 1]) {
      start -= 1
      steps += 1
    }
    return start
  }

  private mutating func safeLimit(window: Int) -> Int {
    let end = text.count - window
    guard end > boundary.boundary else { return boundary.boundary }
    releasableEnd = max(releasableEnd, boundary.boundary)
    let format = boundary.format
    while releasableEnd < end {
      let next = releasableEnd + format.atomLength(in: text, at: releasableEnd)
      guard next <= end else { break }
      releasableEnd = next
      steps += 1
    }
    return releasableEnd
  }

  /// Removes the text that the client does not have, because the host that sent it was given up.
  /// The beginning of this text is kept in `unseen`.
  mutating func forgetUnreleased() {
    guard released < text.count else { return }
    let place = boundary.boundary
    unseen = Array(text[released...].prefix(2 * AnswerStream.heldBytes))
    text.removeSubrange(released...)
    isClosed = false
    releasableEnd = min(releasableEnd, released)
    checkpoints.removeAll { $0.offset > released }
    let known = lastCheckpoint
    let unread = text[known.offset...]
    boundary = known
    boundary.take(unread)
    if place >= released { boundary.markBoundary() }
    if released == 0 {
      visibleBytes = 0
      beginningEnd = nil
    }
    stops?.reset()
    for byte in text.suffix(AnswerStream.heldBytes) { stops?.take(byte) }
    steps += unread.count
  }

  /// Maximum distance from the end of the text at which an anchor is tried. The anchor may begin
  /// earlier, at the safe boundary before it. If no distance is enough, the host starts over.
  private static let longestAnchor = 2_048

  /// Offset from which the next host repeats text, so that the joint can be found.
  ///
  /// The text after the offset occurs only once in the answer. Zero means that the host must start
  /// over.
  mutating func anchoredPlace() -> Int {
    var back = 2 * AnchoredText.leastBytes
    var known = AnchoredText(text)
    defer { steps += known.work }
    while back < text.count, back <= Self.longestAnchor {
      let place = boundary(before: text.count - back)
      guard place > AnchoredText.leastBytes / 2 else { return 0 }
      if known.isUnique(from: place) { return place }
      back = back.multipliedCapped(by: 2)
    }
    return 0
  }

  /// The last safe boundary at or before an offset.
  private mutating func boundary(before place: Int) -> Int {
    let format = boundary.isKnown ? boundary.format : nil
    var known =
      checkpoints.last {
        $0.offset <= place && $0.format.sharesBoundaries(with: boundary.format)
      } ?? SafeBoundary(format, isSequence: boundary.isSequence)
    steps += place - known.offset
    known.take(text[known.offset..<place])
    return known.boundary
  }

  /// The latest state from which the boundary scan can start again.
  private var lastCheckpoint: SafeBoundary {
    if let last = checkpoints.last(where: { $0.format.sharesBoundaries(with: boundary.format) }) {
      return last
    }
    let format = boundary.isKnown ? boundary.format : nil
    return SafeBoundary(format, isSequence: boundary.isSequence)
  }

  /// Frees the text of an answer that is too long to be resumed.
  mutating func dropText() {
    text = []
    released = 0
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
  }
}
