/// Cuts a byte stream into lines, wherever the network cut it before. Lines may end in LF or CRLF;
/// empty ones are dropped.
///
/// Memory is bounded: a line larger than the limit is an error, not a larger buffer.
public struct NDJSONSplitter: Sendable {
  public struct TooLarge: Error, Hashable, Sendable {
    public let limit: Int
  }

  private let maximumLineBytes: Int
  private var line: [UInt8] = []

  public init(maximumLineBytes: Int = SSESplitter.standardEventBytes) {
    self.maximumLineBytes = maximumLineBytes
  }

  /// The lines that these bytes complete.
  public mutating func append(_ bytes: some Collection<UInt8>) throws(TooLarge) -> [[UInt8]] {
    var lines: [[UInt8]] = []
    var rest = bytes[...]
    while let end = rest.firstIndex(of: 0x0A) {
      try grow(by: rest[..<end])
      rest = rest[rest.index(after: end)...]
      if let whole = takeLine() { lines.append(whole) }
    }
    try grow(by: rest)
    return lines
  }

  /// Bytes of the line that is not complete yet.
  public var pendingBytes: Int { line.count }

  /// The last line, when the stream ended properly without a line end.
  public mutating func end() -> [UInt8]? { takeLine() }

  private mutating func takeLine() -> [UInt8]? {
    if line.last == 0x0D { line.removeLast() }
    guard !line.isEmpty else { return nil }
    defer { line = [] }
    return line
  }

  private mutating func grow(by piece: some Collection<UInt8>) throws(TooLarge) {
    guard line.count + piece.count <= maximumLineBytes else {
      throw TooLarge(limit: maximumLineBytes)
    }
    line += piece
  }
}
