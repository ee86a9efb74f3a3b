/// Lines of text that arrive in pieces, made safe to print.
///
/// A piece may end within a character, so only whole lines are printed.
public struct VisibleLines: Sendable {
  private var held: [UInt8] = []

  /// Maximum bytes of a line that is printed whole. A longer line is printed in parts. The line of
  /// a transaction has at most some 600 KB.
  private static let longestLine = 1 << 20

  public init() {}

  /// The lines that are complete after this piece.
  public mutating func visible(_ piece: [UInt8]) -> String {
    guard let end = piece.lastIndex(of: UInt8(ascii: "\n")) else {
      held += piece
      return held.count > Self.longestLine ? end() : ""
    }
    let lines = held + piece[...end]
    held = Array(piece[(end + 1)...])
    return Self.visible(lines)
  }

  /// The last line, if it has no line end.
  public mutating func end() -> String {
    defer { held = [] }
    return Self.visible(held)
  }

  private static func visible(_ bytes: [UInt8]) -> String {
    TerminalText.visible(String(decoding: bytes, as: UTF8.self))
  }
}
