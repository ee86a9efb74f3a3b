public import ClusterModel

/// Splits a `text/event-stream` into items as it arrives, in pieces of any size.
public struct EventStream: Sendable {
  public enum Item: Equatable, Sendable {
    /// The value of a `data:` line.
    case data([UInt8])
    /// The text after the colon of a comment line.
    case comment([UInt8])
  }

  /// Maximum bytes of a line. A line is one chunk of an answer, some hundred bytes; no Tutti
  /// service sends a megabyte without a line end.
  public static let longestLine = 1 << 20

  private var line: [UInt8] = []

  public init() {}

  public mutating func append(_ bytes: some Sequence<UInt8>) throws(ProcessFailure) -> [Item] {
    var items: [Item] = []
    for byte in bytes {
      guard byte == 0x0A else {
        line.append(byte)
        guard line.count <= Self.longestLine else {
          throw ProcessFailure(.failed, "the server sent a line of more than 1 MiB")
        }
        continue
      }
      if line.last == 0x0D { line.removeLast() }
      if let item = Self.item(line) { items.append(item) }
      line.removeAll(keepingCapacity: true)
    }
    return items
  }

  private static func item(_ line: [UInt8]) -> Item? {
    if line.first == 0x3A { return .comment(trimmed(line.dropFirst())) }
    if line.starts(with: "data:".utf8) { return .data(trimmed(line.dropFirst(5))) }
    return nil
  }

  /// Drops the one space that may follow the colon.
  private static func trimmed(_ value: ArraySlice<UInt8>) -> [UInt8] {
    Array(value.first == 0x20 ? value.dropFirst() : value)
  }
}
