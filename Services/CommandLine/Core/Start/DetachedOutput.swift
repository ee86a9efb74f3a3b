/// Output of a `tutti up` that runs without a terminal, split into lines.
///
/// It ends with a table, whose first line begins with `ready` and whose last line begins with
/// `access`.
public struct DetachedOutput: Sendable {
  public struct Line: Hashable, Sendable {
    public var text: String
    /// Whether the line belongs to the table, which goes to standard output.
    public var isAnswer: Bool
  }

  /// Title of the table's last line.
  public static let lastTitle = "access"
  private static let firstTitle = "ready"

  private var rest: [UInt8] = []
  private var isInTable = false
  /// Whether the table is complete.
  public private(set) var isReady = false

  public init() {}

  /// Returns the lines that the bytes complete. Lines after the table are left out.
  public mutating func lines(of bytes: some Sequence<UInt8>) -> [Line] {
    var lines: [Line] = []
    for byte in bytes where !isReady {
      guard byte == UInt8(ascii: "\n") else {
        rest.append(byte)
        continue
      }
      let text = String(decoding: rest, as: UTF8.self)
      rest = []
      // Messages about progress come between, for example about a process that starts again.
      let isMessage = text.hasPrefix("tutti: ") || text.hasPrefix("  ")
      if !isMessage, text.hasPrefix(Self.firstTitle + " ") { isInTable = true }
      lines.append(Line(text: text, isAnswer: isInTable && !isMessage))
      if isInTable, !isMessage, text.hasPrefix(Self.lastTitle + " ") { isReady = true }
    }
    return lines
  }
}
