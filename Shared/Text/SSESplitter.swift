/// One server-sent event.
public struct SSEEvent: Hashable, Sendable {
  /// Value of its `event` field; nil: not given.
  public var name: String?
  /// Its `data` lines, joined by line feeds.
  public var data: [UInt8]

  public init(name: String? = nil, data: [UInt8]) {
    self.name = name
    self.data = data
  }
}

/// Cuts a byte stream into server-sent events, wherever the network cut it before. Lines may end in
/// LF, CRLF or CR; comments, `id` and `retry` are dropped.
///
/// Memory is bounded: an event, or a line, larger than the limit is an error, not a larger buffer.
public struct SSESplitter: Sendable {
  /// A chunk of a chat completion has some 300 bytes; 1 MiB leaves room for a whole tool call.
  public static let standardEventBytes = 1 << 20

  public struct TooLarge: Error, Hashable, Sendable {
    public let limit: Int
  }

  /// Capacity that a buffer keeps between events. A chunk has some 300 bytes.
  static let idleCapacity = 4_096
  /// An event's name beyond this is cut: names are words such as `content_block_delta`.
  static let longestName = 64

  private let maximumEventBytes: Int
  /// The beginning of a line whose end has not arrived.
  private var line: [UInt8] = []
  private var data: [UInt8] = []
  private var name: String?
  private var hasData = false
  private var lastWasCR = false
  private var isFirstLine = true
  /// Steps taken so far: bytes examined or copied, and lines.
  public private(set) var work = 0

  public init(maximumEventBytes: Int = SSESplitter.standardEventBytes) {
    self.maximumEventBytes = maximumEventBytes
  }

  /// The events that these bytes complete.
  public mutating func append(_ bytes: some Collection<UInt8>) throws(TooLarge) -> [SSEEvent] {
    try append(whole: Array(bytes))
  }

  /// Bytes of the event that is not complete yet.
  public var pendingBytes: Int { line.count + data.count }

  /// Memory that the buffers take.
  public var bufferBytes: Int { line.capacity + data.capacity }

  /// Whether bytes have come that belong to no complete event: the stream was cut there.
  public var hasUnfinishedEvent: Bool { !line.isEmpty || hasData }

  /// Not generic: the bytes are walked without a call for each.
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
      // The LF of a CRLF whose CR ended the line already.
      if lastWasCR, byte == 0x0A, piece.isEmpty, line.isEmpty {
        lastWasCR = false
        continue
      }
      lastWasCR = byte == 0x0D
      try checkSize(piece.count)
      if line.isEmpty {
        endLine(piece, &events)
      } else {
        line += piece
        let whole = line
        line = []
        endLine(whole[...], &events)
      }
    }
    if start < bytes.count {
      lastWasCR = false
      try checkSize(bytes.count - start)
      line += bytes[start...]
    }
    return events
  }

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
    }
  }

  /// The event gets a buffer of its own size: a capacity for the largest event in each would let a
  /// host use much more memory than it sends.
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
    work += data.count
    var own: [UInt8] = []
    own.reserveCapacity(data.count)
    own += data
    return SSEEvent(name: name, data: own)
  }
}
