/// One server-sent event.
public struct SSEEvent: Hashable, Sendable {
  /// Value of the `event` field. `nil` means that the event has none.
  public var name: String?
  /// The `data` lines, joined by line feeds.
  public var data: [UInt8]

  public init(name: String? = nil, data: [UInt8]) {
    self.name = name
    self.data = data
  }
}

/// Splits a byte stream into server-sent events, wherever the network cut it.
///
/// Lines may end in LF, CRLF or CR. Comments are counted and, if wanted, returned as events. The
/// fields `id` and `retry` are dropped. Lines that are neither fields nor comments are kept up to a
/// limit, because some hosts write the cause of a failure there. Memory is bounded: an event or a
/// line larger than the limit is an error.
public struct SSESplitter: Sendable {
  /// Default limit of an event. A chunk of a chat completion has some 300 bytes; 1 MiB leaves room
  /// for a whole tool call.
  public static let standardEventBytes = 1 << 20

  public struct TooLarge: Error, Hashable, Sendable {
    public let limit: Int
  }

  /// Capacity that a buffer keeps between events. A chunk has some 300 bytes.
  static let idleCapacity = 4_096
  /// An event or a line larger than this is returned in the splitter's own buffer. A smaller one is
  /// copied into a buffer of its own size.
  static let movedBytes = 1 << 20
  /// Name of the events that are made from JSON objects on stray lines. Such events exist only if
  /// stray lines are kept.
  public static let strayName = "\u{0}stray"
  /// Name of the events made from comment lines, if they are wanted.
  public static let commentName = "\u{0}comment"
  /// Maximum bytes of an event's name. A longer name is cut. Names are words such as
  /// `content_block_delta`.
  static let longestName = 64

  private let maximumEventBytes: Int
  private let maximumStrayBytes: Int
  private let keepsComments: Bool
  /// The beginning of a line that has not ended.
  private var line: [UInt8] = []
  private var data: [UInt8] = []
  private var name: String?
  private var hasData = false
  private var lastWasCR = false
  private var isFirstLine = true
  /// Steps taken so far: bytes examined or copied, and lines.
  public private(set) var work = 0
  /// Number of comment lines so far.
  public private(set) var comments = 0
  /// The lines that are neither fields nor comments, joined by line feeds and cut at the limit.
  public private(set) var stray: [UInt8] = []

  public init(
    maximumEventBytes: Int = SSESplitter.standardEventBytes, maximumStrayBytes: Int = 0,
    keepsComments: Bool = false
  ) {
    self.maximumEventBytes = maximumEventBytes
    self.maximumStrayBytes = maximumStrayBytes
    self.keepsComments = keepsComments
  }

  /// Returns the events that these bytes complete.
  public mutating func append(_ bytes: some Collection<UInt8>) throws(TooLarge) -> [SSEEvent] {
    try append(whole: Array(bytes))
  }

  /// Bytes of the incomplete event.
  public var pendingBytes: Int { line.count + data.count }

  /// Capacity of the buffers, in bytes.
  public var bufferBytes: Int { line.capacity + data.capacity }

  /// Whether an incomplete event is pending. If one is pending at the end of a stream, the stream
  /// was cut, or it lacks the empty line after its last event.
  public var hasUnfinishedEvent: Bool { !line.isEmpty || hasData }

  /// The function is not generic, so that the loop does not make a call per byte.
  private mutating func append(whole bytes: [UInt8]) throws(TooLarge) -> [SSEEvent] {
    var events: [SSEEvent] = []
    var start = 0
    var position = 0
    work += bytes.count
    while position < bytes.count {
      let byte = bytes[position]
      guard byte == 0x0A || byte == 0x0D else {
        position += 1
        continue
      }
      let piece = bytes[start..<position]
      position += 1
      start = position
      // The LF of a CRLF whose CR has already ended the line.
      if lastWasCR, byte == 0x0A, piece.isEmpty, line.isEmpty {
        lastWasCR = false
        continue
      }
      lastWasCR = byte == 0x0D
      try checkSize(piece.count)
      if line.isEmpty {
        endLine(piece, &events)
      } else {
        keep(piece)
        endKeptLine(&events)
      }
    }
    if start < bytes.count {
      lastWasCR = false
      try checkSize(bytes.count - start)
      keep(bytes[start...])
    }
    return events
  }

  /// Returns the last event of a stream that ended without an empty line after it.
  public mutating func end() -> SSEEvent? {
    var events: [SSEEvent] = []
    if !line.isEmpty { endKeptLine(&events) }
    return dispatch()
  }

  private mutating func keep(_ piece: ArraySlice<UInt8>) {
    if line.count + piece.count > Self.idleCapacity {
      line.makeRoom(for: piece.count, limit: maximumEventBytes)
    }
    line += piece
  }

  private mutating func endKeptLine(_ events: inout [SSEEvent]) {
    var whole: [UInt8] = []
    swap(&whole, &line)
    guard whole.count > Self.idleCapacity, !hasData, !isFirstLine, whole.starts(with: Self.field)
    else {
      endLine(whole[...], &events)
      return
    }
    // The value of a large line is moved within its buffer instead of copied.
    work += 1 + whole.count
    whole.removeFirst(whole[Self.field.count] == 0x20 ? Self.field.count + 1 : Self.field.count)
    data = whole
    hasData = true
  }

  private static let field = Array("data:".utf8)

  private func checkSize(_ more: Int) throws(TooLarge) {
    guard line.count + more + data.count <= maximumEventBytes else {
      throw TooLarge(limit: maximumEventBytes)
    }
  }

  private mutating func endLine(_ whole: ArraySlice<UInt8>, _ events: inout [SSEEvent]) {
    var whole = whole
    work += 1
    if isFirstLine {
      isFirstLine = false
      if whole.starts(with: [0xEF, 0xBB, 0xBF]) { whole = whole.dropFirst(3) }
    }
    guard !whole.isEmpty else {
      if let event = dispatch() { events.append(event) }
      return
    }
    work += whole.count
    let colon = whole.firstIndex(of: UInt8(ascii: ":")) ?? whole.endIndex
    let field = whole[..<colon]
    var value = whole[colon...].dropFirst()
    if value.first == 0x20 { value = value.dropFirst() }
    if field.elementsEqual("data".utf8) {
      if hasData { data.append(0x0A) }
      data += value
      hasData = true
    } else if field.elementsEqual("event".utf8) {
      name = String(decoding: value.prefix(Self.longestName), as: UTF8.self)
    } else if field.elementsEqual("error".utf8) {
      // Some versions of llama.cpp put an error where `data` belongs.
      name = "error"
      data += value
      hasData = true
    } else if field.isEmpty {
      comments += 1
      if keepsComments { events.append(SSEEvent(name: Self.commentName, data: Array(value))) }
    } else if !field.elementsEqual("id".utf8), !field.elementsEqual("retry".utf8) {
      keep(stray: whole, &events)
    }
  }

  private mutating func keep(stray whole: ArraySlice<UInt8>, _ events: inout [SSEEvent]) {
    guard maximumStrayBytes > 0 else { return }
    if whole.first == UInt8(ascii: "{"), !hasData {
      events.append(SSEEvent(name: Self.strayName, data: Array(whole)))
    }
    guard stray.count < maximumStrayBytes else { return }
    if !stray.isEmpty { stray.append(0x0A) }
    stray += whole.prefix(maximumStrayBytes - stray.count)
  }

  /// Returns the complete event. An event of at most `movedBytes` gets a buffer of its own size. If
  /// each event kept the capacity of the splitter's buffer, a host could use much more memory than
  /// it sends.
  private mutating func dispatch() -> SSEEvent? {
    defer {
      if data.capacity > Self.idleCapacity {
        data = []
      } else {
        data.removeAll(keepingCapacity: true)
      }
      hasData = false
      name = nil
    }
    guard hasData else { return nil }
    if data.count > Self.movedBytes {
      var own: [UInt8] = []
      swap(&own, &data)
      return SSEEvent(name: name, data: own)
    }
    work += data.count
    var own: [UInt8] = []
    own.reserveCapacity(data.count)
    own += data
    return SSEEvent(name: name, data: own)
  }
}
