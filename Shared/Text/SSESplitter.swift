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

  private let maximumEventBytes: Int
  private var line: [UInt8] = []
  private var data: [UInt8] = []
  private var name: String?
  private var hasData = false
  private var lastWasCR = false
  private var isFirstLine = true

  public init(maximumEventBytes: Int = SSESplitter.standardEventBytes) {
    self.maximumEventBytes = maximumEventBytes
  }

  /// The events that these bytes complete.
  public mutating func append(_ bytes: some Collection<UInt8>) throws(TooLarge) -> [SSEEvent] {
    var events: [SSEEvent] = []
    var rest = bytes[...]
    while let end = rest.firstIndex(where: { $0 == 0x0A || $0 == 0x0D }) {
      let terminator = rest[end]
      let piece = rest[..<end]
      rest = rest[rest.index(after: end)...]
      // The LF of a CRLF whose CR ended the line already.
      if lastWasCR, terminator == 0x0A, piece.isEmpty, line.isEmpty {
        lastWasCR = false
        continue
      }
      lastWasCR = terminator == 0x0D
      try grow(by: piece)
      if let event = endLine() { events.append(event) }
    }
    if !rest.isEmpty {
      lastWasCR = false
      try grow(by: rest)
    }
    return events
  }

  /// Whether bytes have come that belong to no complete event: the stream was cut there.
  public var hasUnfinishedEvent: Bool { !line.isEmpty || hasData }

  /// Bytes of the event that is not complete yet.
  public var pendingBytes: Int { line.count + data.count }

  private mutating func grow(by piece: some Collection<UInt8>) throws(TooLarge) {
    guard line.count + piece.count + data.count <= maximumEventBytes else {
      throw TooLarge(limit: maximumEventBytes)
    }
    line += piece
  }

  private mutating func endLine() -> SSEEvent? {
    defer { line.removeAll(keepingCapacity: true) }
    if isFirstLine {
      isFirstLine = false
      if line.starts(with: [0xEF, 0xBB, 0xBF]) { line.removeFirst(3) }
    }
    guard !line.isEmpty else { return dispatch() }
    let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
    var value = line[colon...].dropFirst()
    if value.first == 0x20 { value = value.dropFirst() }
    switch String(decoding: line[..<colon], as: UTF8.self) {
    case "data":
      if hasData { data.append(0x0A) }
      data += value
      hasData = true
    case "event":
      name = String(decoding: value, as: UTF8.self)
    case "error":
      // Some versions of llama.cpp put an error where `data` belongs.
      name = "error"
      data += value
      hasData = true
    default: break
    }
    return nil
  }

  private mutating func dispatch() -> SSEEvent? {
    defer {
      data.removeAll(keepingCapacity: true)
      hasData = false
      name = nil
    }
    return hasData ? SSEEvent(name: name, data: data) : nil
  }
}
