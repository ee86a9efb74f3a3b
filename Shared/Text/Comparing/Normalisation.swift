/// Cleans a model's output for a reader or for another model's prompt.
///
/// It removes control tokens and reasoning, and normalises white space. It applies to the outputs
/// of tasks. A direct answer is never normalised.
///
/// Code is left unchanged, because control tokens in it are the subject of the text. Code is a
/// fenced block, in which only line breaks are normalised, or text between backticks on one line.
///
/// The normaliser works byte by byte and holds back bytes that may become a token, so the result
/// does not depend on how a stream was cut. Normalising a result again does not change it.
public struct Normaliser: Sendable {
  /// Maximum bytes from a token in quoted code to the end of the quotation. They are held back
  /// until the quotation ends, so a higher limit could mean a long silence for the client.
  static let maximumQuoteBytes = 4_096

  private enum Mode {
    case text
    /// The text after a header token, which may be the name of a role.
    case role([UInt8])
    /// After a token that may be part of quoted code. `waiting` holds the bytes from the token to
    /// the run of backticks that ends the quotation.
    case quoted(length: Int, run: Int)
    /// Within reasoning that ends with these bytes. `waiting` holds the last bytes of the
    /// reasoning.
    case reasoning(end: [UInt8])
  }

  private let table: ControlTokens.Table
  private var mode = Mode.text
  private var out: [UInt8] = []
  /// Bytes that may become a token.
  private var held: [UInt8] = []
  private var waiting: [UInt8] = []
  private var lastWasCR = false

  // State of the output.
  private var line = NormalisedLine()
  private var openFence: NormalisedLine.Fence?
  private var hasContent = false
  private var newlines = 0
  private var spaces: [UInt8] = []
  /// End of the output since the last white space. It is checked so that the bytes on both sides of
  /// a removed token never form another token.
  private var word: [UInt8] = []
  private var swallowsSpaces = false
  private var hasJustRemoved = false
  private var openTags: [[UInt8]: Int] = [:]
  /// Number of bytes examined so far. A byte that is examined twice counts twice.
  private(set) var work = 0

  /// - Parameters:
  ///   - keepsReasoning: whether reasoning is passed on like any text, because the client asked for
  ///     it.
  ///   - startsInReasoning: whether the answer starts within reasoning, because the host's template
  ///     already wrote `<think>`.
  ///   - fence: fence of the prompt. Its marks are removed, because they mean nothing in an answer.
  public init(
    keepsReasoning: Bool = false, startsInReasoning: Bool = false, removing fence: Fence? = nil
  ) {
    let known = keepsReasoning ? ControlTokens.withoutReasoning : ControlTokens.withReasoning
    table =
      fence.map { fence in
        ControlTokens.Table(
          known.tokens
            + [fence.opening, fence.closing].map {
              ControlTokens.Token(bytes: Array($0.utf8), kind: .control)
            })
      } ?? known
    if startsInReasoning, !keepsReasoning {
      mode = .reasoning(end: Array("</think>".utf8))
    }
  }

  public static func normalised(_ text: String, keepsReasoning: Bool = false) -> String {
    String(
      decoding: normalised(Array(text.utf8), keepsReasoning: keepsReasoning), as: UTF8.self)
  }

  public static func normalised(_ bytes: [UInt8], keepsReasoning: Bool = false) -> [UInt8] {
    var normaliser = Normaliser(keepsReasoning: keepsReasoning)
    normaliser.out.reserveCapacity(bytes.count)
    return normaliser.append(bytes) + normaliser.finish()
  }

  /// Returns the output that is certain after these bytes.
  public mutating func append(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    for byte in bytes {
      if byte == 0x0A, lastWasCR {
        lastWasCR = false
        continue
      }
      lastWasCR = byte == 0x0D
      lex(lastWasCR ? 0x0A : byte)
    }
    return taken()
  }

  public mutating func append(_ text: String) -> String {
    String(decoding: append(text.utf8), as: UTF8.self)
  }

  /// Returns the rest of the output when the text has ended.
  public mutating func finish() -> [UInt8] {
    endMode()
    while !held.isEmpty {
      release()
      endMode()
    }
    if let openFence, !line.closes(openFence) { flushSpaces() }
    return taken()
  }

  private mutating func taken() -> [UInt8] {
    defer { out.removeAll(keepingCapacity: true) }
    return out
  }

  // MARK: - Finding tokens

  private mutating func lex(_ byte: UInt8) {
    work += 1
    switch mode {
    case .text: lexText(byte)
    case .role(let word): lexRole(word, byte)
    case .quoted(let length, let run): lexQuoted(length, run, byte)
    case .reasoning(let end):
      // Keep only the last bytes, so that long reasoning needs no more memory than short reasoning.
      waiting.append(byte)
      if waiting.count > end.count { waiting.removeFirst() }
      guard waiting == end else { return }
      waiting = []
      mode = .text
      removed()
    }
  }

  private mutating func lexText(_ byte: UInt8) {
    if held.isEmpty, !table.canStart(byte) || !looksForTokens {
      write(byte)
      return
    }
    held.append(byte)
    while !held.isEmpty, !table.match(held).mayGrow {
      release()
      guard case .text = mode else { return }
    }
  }

  /// Takes the token or the byte at the front of the held bytes, and examines the rest again.
  private mutating func release() {
    let bytes = held
    held = []
    let count: Int
    if table.canStart(bytes[0]), looksForTokens, let token = table.match(bytes).token {
      count = token.bytes.count
      found(token)
    } else {
      count = 1
      write(bytes[0])
    }
    for byte in bytes[count...] { lex(byte) }
  }

  /// Whether tokens are recognised here. In a fenced block they are code, except on the line that
  /// closes the block, because models write their end token right after the fence.
  private var looksForTokens: Bool { openFence.map { line.closes($0) } ?? true }

  private mutating func lexRole(_ word: [UInt8], _ byte: UInt8) {
    let isLetter = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
    if isLetter, word.count < ControlTokens.maximumRoleBytes {
      mode = .role(word + [byte])
      return
    }
    mode = .text
    let endsThere = byte == 0x0A || byte == UInt8(ascii: "<")
    if !endsThere || !ControlTokens.roles.contains(word) {
      for letter in word { write(letter) }
    }
    lex(byte)
  }

  private mutating func lexQuoted(_ length: Int, _ run: Int, _ byte: UInt8) {
    if byte == UInt8(ascii: "`") {
      waiting.append(byte)
      mode = .quoted(length: length, run: run + 1)
    } else if run == length {
      endQuote(isCode: true)
      lex(byte)
    } else if byte == 0x0A || waiting.count >= Self.maximumQuoteBytes {
      endQuote(isCode: false)
      lex(byte)
    } else {
      waiting.append(byte)
      if run > 0 { mode = .quoted(length: length, run: 0) }
    }
  }

  private mutating func endQuote(isCode: Bool) {
    let bytes = waiting
    waiting = []
    mode = .text
    line.hasNoQuotes = line.hasNoQuotes || !isCode
    for byte in bytes {
      if isCode { write(byte) } else { lex(byte) }
    }
  }

  private mutating func endMode() {
    switch mode {
    case .text: break
    case .role(let word):
      mode = .text
      if !ControlTokens.roles.contains(word) {
        for letter in word { write(letter) }
      }
    case .quoted(let length, let run):
      endQuote(isCode: run == length)
      endMode()
    case .reasoning: mode = .text
    }
  }

  private mutating func found(_ token: ControlTokens.Token) {
    line.endRun()
    if openFence == nil, let length = line.quoteLength {
      waiting = token.bytes
      mode = .quoted(length: length, run: 0)
      return
    }
    switch token.kind {
    case .control: remove()
    case .header:
      remove()
      mode = .role([])
    case .sequenceStart:
      if !hasContent || hasJustRemoved { remove() } else { keep(token, opening: "</s>") }
    case .sequenceEnd, .reasoningEnd:
      guard let open = openTags[token.bytes], open > 0 else {
        remove()
        return
      }
      openTags[token.bytes] = open - 1
      for byte in token.bytes { write(byte) }
    case .reasoningStart(let end, let anywhere):
      if anywhere || !line.hasContent {
        if !line.hasContent { spaces = [] }
        remove()
        mode = .reasoning(end: end.bytes)
      } else {
        keep(token, opening: String(decoding: end.bytes, as: UTF8.self))
      }
    }
  }

  /// Keeps a tag that is part of the text, and later the tag that closes it.
  private mutating func keep(_ token: ControlTokens.Token, opening end: String) {
    openTags[Array(end.utf8), default: 0] += 1
    for byte in token.bytes { write(byte) }
  }

  private mutating func remove() {
    if spaces.isEmpty, line.hasContent, joinsBadly { spaces = [0x20] }
    removed()
  }

  /// Records the removal of a token. If it begins its line, or white space precedes it, the white
  /// space after it is dropped.
  private mutating func removed() {
    hasJustRemoved = true
    swallowsSpaces = !spaces.isEmpty || !line.hasContent
  }

  /// Whether the next bytes could form a token or a run of backticks or tildes with the last bytes
  /// written.
  private var joinsBadly: Bool {
    guard let last = word.last else { return false }
    return last == UInt8(ascii: "`") || last == UInt8(ascii: "~") || table.endsInside(word)
  }

  // MARK: - Writing

  private mutating func write(_ byte: UInt8) {
    switch byte {
    case 0x0A: writeNewline()
    case 0x20, 0x09:
      if !swallowsSpaces { spaces.append(byte) }
    default:
      swallowsSpaces = false
      hasJustRemoved = false
      flushNewlines()
      flushSpaces()
      out.append(byte)
      line.write(byte)
      word.append(byte)
      if word.count > 4 * table.longest { word.removeFirst(3 * table.longest) }
    }
  }

  private mutating func flushNewlines() {
    if hasContent {
      for _ in 0..<min(newlines, 2) { out.append(0x0A) }
    } else if spaces == [0x20] {
      // Many tokenisers begin every text with a space, which is dropped.
      spaces = []
    }
    hasContent = true
    newlines = 0
  }

  private mutating func flushSpaces() {
    guard !spaces.isEmpty else { return }
    out += spaces
    spaces = []
    word = []
    line.writeSpace()
  }

  private mutating func writeNewline() {
    swallowsSpaces = false
    if let open = openFence {
      if line.closes(open) {
        spaces = []
        openFence = nil
        newlines = 1
      } else {
        flushSpaces()
        out.append(0x0A)
      }
    } else {
      spaces = []
      openFence = line.opening
      // In a fenced block every line break is kept, including the one after the opening fence.
      if openFence != nil { out.append(0x0A) } else { newlines += 1 }
    }
    line = NormalisedLine()
    word = []
  }
}
