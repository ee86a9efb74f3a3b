/// Tracks whether streamed text is inside a fenced code block.
struct CodeFences: Sendable {
  private enum Line { case start, run(UInt8, Int), info, closing, other }
  private var line = Line.start
  private(set) var isOpen = false
  private(set) var hasMarkdown = false

  mutating func take(_ byte: UInt8) {
    guard byte != 0x0A else {
      line = .start
      return
    }
    switch line {
    case .other, .info: break
    case .start:
      switch byte {
      case 0x20, 0x09: break
      case UInt8(ascii: "`"), UInt8(ascii: "~"): line = .run(byte, 1)
      case UInt8(ascii: "#"), UInt8(ascii: "-"), UInt8(ascii: "*"), UInt8(ascii: "|"),
        UInt8(ascii: ">"):
        hasMarkdown = true
        line = .other
      default: line = .other
      }
    case .run(let mark, let count):
      guard byte == mark else {
        line = .other
        return
      }
      guard count == 2 else {
        line = .run(mark, count + 1)
        return
      }
      hasMarkdown = true
      line = isOpen ? .closing : .info
      isOpen.toggle()
    case .closing:
      // A closing fence stands alone on its line. If words follow it, the line is code.
      guard byte != 0x20, byte != 0x0D, byte != UInt8(ascii: "`"), byte != UInt8(ascii: "~") else {
        return
      }
      isOpen = true
      line = .other
    }
  }
}
