import CommandLineCore
import Testing

@Suite("Text of hosts on a terminal")
struct TerminalTextTests {
  /// Control characters that a terminal acts on: C0 except line feeds and tabs, DEL, and C1.
  private func controls(_ text: String) -> [Unicode.Scalar] {
    text.unicodeScalars.filter { scalar in
      switch scalar.value {
      case 0x09, 0x0A: false
      case 0x00..<0x20, 0x7F...0x9F: true
      default: false
      }
    }
  }

  /// Every character up to U+009F, each between two letters. All control characters are among them.
  private let hostile = (0x00...0x9F).compactMap { Unicode.Scalar(UInt32($0)) }
    .map { "a\(Character($0))b" }.joined()

  @Test("escape sequences are shown and not sent")
  func escapes() {
    #expect(TerminalText.visible("\u{1B}]0;title\u{07}") == "␛]0;title␇")
    #expect(TerminalText.visible("\u{1B}[2J\u{7F}") == "␛[2J␡")
    #expect(TerminalText.visible("\u{9B}31m") == "\\u{9B}31m")
    #expect(controls(TerminalText.visible(hostile)).isEmpty)
    #expect(controls(TextTable.printable(hostile)).isEmpty)
  }

  @Test("an answer's words, line ends and tabs stay as they are")
  func plain() {
    let text = "naïve 🎼 שלום\u{200F} 👩‍👩‍👧\n\tline\r\nend"
    #expect(TerminalText.visible(text) == text)
  }

  @Test("an escape cut anywhere between two pieces is not sent either, and line ends stay whole")
  func pieces() {
    let text = "one\r\ntwo\u{1B}[31mthree\rfour\r"
    let whole = TerminalText.visible(text)
    #expect(whole == "one\r\ntwo␛[31mthree␍four␍")
    let scalars = Array(text.unicodeScalars)
    for cut in 0...scalars.count {
      var filter = TerminalText()
      var shown = ""
      for part in [scalars[..<cut], scalars[cut...]] {
        var piece = String.UnicodeScalarView()
        piece.append(contentsOf: part)
        shown += filter.visible(String(piece))
      }
      #expect(shown + filter.end() == whole)
    }
  }

  @Test("a table's cell stays one line, and cannot change the direction of writing")
  func cell() {
    #expect(TextTable.printable("a\nb\tc") == "a b c")
    #expect(TextTable.printable("safe\u{202E}cod.exe") == "safe\\u{202E}cod.exe")
    #expect(TextTable.printable("a\u{200F}\u{61C}b") == "a\\u{200F}\\u{61C}b")
  }

  @Test("JSON keeps its meaning without a control byte")
  func json() {
    let text = "{\"a\": \"\u{7F}\u{9B}2Jé\u{80}\"}\n"
    let shown = String(decoding: TerminalText.json(Array(text.utf8)), as: UTF8.self)
    #expect(shown == "{\"a\": \"\\u007f\\u009b2Jé\\u0080\"}\n")
    // Invalid JSON is escaped too.
    let raw = TerminalText.json([0x1B, 0xC2])
    #expect(raw == Array("\\u001b".utf8) + [0xC2])
  }
}
