import ClusterModel
import CommandLineCore
import Files
import Foundation

/// Writes answers to standard output and everything else to standard error.
enum Terminal {
  static func progress(_ text: String) {
    write("tutti: \(TextTable.printable(HiddenSecrets.hide(in: text)))\n", to: 2)
  }

  /// Writes a line of the answer and makes control characters visible.
  static func line(_ text: String) {
    write(TextTable.printable(text) + "\n", to: 1)
  }

  static func note(_ text: String) {
    write(TextTable.printable(text) + "\n", to: 2)
  }

  /// Writes lines of text and makes control characters visible.
  static func text(_ text: String) {
    write(TerminalText.visible(text), to: 1)
  }

  /// Writes JSON on a line of its own.
  static func json(_ bytes: some Collection<UInt8>) {
    write(TerminalText.json(bytes) + [0x0A], to: 1)
  }

  /// Writes each element of a list object's `data` as JSON on a line of its own.
  static func jsonLines(ofList body: Data) throws {
    guard let list = try? JSONSerialization.jsonObject(with: body) as? [String: Any],
      let elements = list["data"] as? [Any]
    else {
      throw ProcessFailure(.failed, "the registry's answer is not a list; is the address right?")
    }
    for element in elements {
      json(
        try JSONSerialization.data(
          withJSONObject: element,
          options: [.sortedKeys, .withoutEscapingSlashes, .fragmentsAllowed]))
    }
  }

  /// Asks a person for consent.
  ///
  /// - Throws: if the answer is not yes, or if no person can answer.
  static func confirm(_ question: String) throws(ProcessFailure) {
    guard isatty(0) == 1, isatty(2) == 1 else {
      throw ProcessFailure(
        .usage, "this needs a confirmation, and there is no terminal; confirm with --yes")
    }
    write("\(TextTable.printable(question)) Type yes to confirm: ", to: 2)
    guard Confirmation.isGiven(by: readLine()) else {
      throw ProcessFailure(.failed, "not confirmed; nothing was changed")
    }
  }

  /// Whether standard error is a terminal on which lines can be erased.
  static let canDraw: Bool = {
    let kind = ProcessInfo.processInfo.environment["TERM"] ?? ""
    return isatty(2) == 1 && !kind.isEmpty && kind != "dumb"
  }()

  /// Current columns and lines of the terminal on standard error.
  static var size: (columns: Int, lines: Int) {
    var size = winsize()
    guard unsafe ioctl(2, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0
    else { return (80, 24) }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  /// Where standard output and standard error lead.
  static let arrangement = OutputArrangement(
    output: kind(1), error: kind(2),
    areOne: OpenFile(descriptor: 1).isSameFile(as: OpenFile(descriptor: 2)))

  private static func kind(_ descriptor: Int32) -> OutputArrangement.Kind {
    isatty(descriptor) == 1
      ? .terminal : OpenFile(descriptor: descriptor).isPipe ? .pipe : .other
  }

  /// Writes the text without a buffer, so that an answer is shown while it arrives.
  /// The terminal acts on control characters, so the caller must have made the text safe.
  static func write(_ text: String, to descriptor: Int32) {
    write(Array(text.utf8), to: descriptor)
  }

  static func write(_ bytes: [UInt8], to descriptor: Int32) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = unsafe rest.withUnsafeBytes { buffer in
        unsafe Foundation.write(descriptor, buffer.baseAddress, buffer.count)
      }
      let code = errno
      if count < 0, code == EINTR || code == EAGAIN { continue }
      guard count > 0 else {
        // If the reader of a pipe is gone, the rest is dropped. After any other error, such as a full
        // disk, a script must not take the beginning of the output for all of it.
        if descriptor == 1, code != EPIPE { endIncomplete(code) }
        return
      }
      rest = rest.dropFirst(count)
    }
  }

  private static func endIncomplete(_ code: CInt) -> Never {
    let reason = ErrorSentence.of(errno: code)
    progress("standard output cannot be written (\(reason)); the output is incomplete")
    Foundation.exit(ExitStatus.failed.rawValue)
  }
}

/// The clock of this machine.
enum WallClock {
  /// Milliseconds since 1970.
  static var milliseconds: Int64 { Int64(Date().timeIntervalSince1970 * 1_000) }
}
