/// Splits a byte stream into lines, wherever the network cut it.
///
/// Lines may end in LF or CRLF. Empty lines are dropped. Memory is bounded: a line larger than the
/// limit is an error.
public struct NDJSONSplitter: Sendable {
  public struct TooLarge: Error, Hashable, Sendable {
    let limit: Int
  }

  private let maximumLineBytes: Int
  private var line: [UInt8] = []
  /// Steps taken so far: bytes examined or copied, and lines.
  public private(set) var work = 0

  public init(maximumLineBytes: Int = SSESplitter.standardEventBytes) {
    self.maximumLineBytes = maximumLineBytes
  }

  /// Returns the lines that these bytes complete. A line larger than `SSESplitter.movedBytes` may
  /// be returned in the splitter's own buffer. A smaller one is copied into a buffer of its own
  /// size.
  public mutating func append(_ bytes: some Collection<UInt8>) throws(TooLarge) -> [[UInt8]] {
    try append(whole: Array(bytes))
  }

  /// Bytes of the incomplete line.
  public var pendingBytes: Int { line.count }

  /// Capacity of the buffer, in bytes.
  public var bufferBytes: Int { line.capacity }

  /// Returns the last line if the stream ended without a line end.
  public mutating func end() -> [UInt8]? {
    taken()
  }

  /// The function is not generic, so that the loop does not make a call per byte.
  private mutating func append(whole bytes: [UInt8]) throws(TooLarge) -> [[UInt8]] {
    var lines: [[UInt8]] = []
    var start = 0
    var position = 0
    work += bytes.count
    while position < bytes.count {
      defer { position += 1 }
      guard bytes[position] == 0x0A else { continue }
      let piece = bytes[start..<position]
      start = position + 1
      try checkSize(piece.count)
      work += piece.count + line.count + 1
      if line.isEmpty {
        if let whole = Self.trimmed(piece) { lines.append(whole) }
      } else {
        line += piece
        if let whole = taken() { lines.append(whole) }
      }
    }
    try checkSize(bytes.count - start)
    keep(bytes[start...])
    return lines
  }

  private mutating func keep(_ piece: ArraySlice<UInt8>) {
    if line.count + piece.count > SSESplitter.idleCapacity {
      line.makeRoom(for: piece.count, limit: maximumLineBytes)
    }
    line += piece
  }

  /// Takes the line out of the splitter.
  private mutating func taken() -> [UInt8]? {
    defer { line = [] }
    guard line.count > SSESplitter.movedBytes else { return Self.trimmed(line[...]) }
    var whole: [UInt8] = []
    swap(&whole, &line)
    if whole.last == 0x0D { whole.removeLast() }
    return whole
  }

  private static func trimmed(_ line: ArraySlice<UInt8>) -> [UInt8]? {
    let line = line.last == 0x0D ? line.dropLast() : line
    return line.isEmpty ? nil : Array(line)
  }

  private func checkSize(_ more: Int) throws(TooLarge) {
    guard line.count + more <= maximumLineBytes else { throw TooLarge(limit: maximumLineBytes) }
  }
}
