/// Compares text that a host repeats with the text that the client has, and drops the repetition.
///
/// White space is ignored, because hosts indent and wrap differently. White space within strings
/// of JSON is compared.
struct RepeatedText: Sendable {
  private let known: [UInt8]
  private let format: AnswerFormat
  private var position: Int
  private var isInString = false
  private var isEscaped = false
  /// Number of white space bytes at the end of the known text. If the host repeats these bytes,
  /// they are dropped.
  private var space = 0

  init(of known: [UInt8], from position: Int = 0, in format: AnswerFormat) {
    self.known = known
    self.position = position
    self.format = format
    skipWhitespace()
  }

  /// Whether the host has repeated all of the known text.
  var isDone: Bool { position == known.count }

  /// - Returns: number of bytes that repeat the known text. `nil` means that the bytes differ from
  ///   it.
  mutating func take(_ bytes: some Collection<UInt8>) -> Int? {
    var taken = 0
    for byte in bytes {
      if isDone {
        guard space > 0, JSONCursor.isWhitespace(byte) else { break }
        space -= 1
        taken += 1
        continue
      }
      if !isInString, JSONCursor.isWhitespace(byte) {
        taken += 1
        continue
      }
      guard byte == known[position] else { return nil }
      follow(byte)
      position += 1
      taken += 1
      if !isInString { skipWhitespace() }
    }
    return taken
  }

  /// Follows where strings begin and end.
  private mutating func follow(_ byte: UInt8) {
    switch format {
    case .prose, .markdown: break
    case .json: followJSON(byte)
    }
  }

  private mutating func followJSON(_ byte: UInt8) {
    if isEscaped {
      isEscaped = false
    } else if isInString, byte == UInt8(ascii: "\\") {
      isEscaped = true
    } else if byte == UInt8(ascii: "\"") {
      isInString.toggle()
    }
  }

  private mutating func skipWhitespace() {
    let start = position
    while position < known.count, JSONCursor.isWhitespace(known[position]) { position += 1 }
    if isDone { space = position - start }
  }
}

/// The bytes of a text that are not white space, and their positions.
struct NonSpaceText: Sendable {
  var bytes: [UInt8] = []
  var positions: [Int] = []

  init(_ text: ArraySlice<UInt8>) {
    for index in text.indices where !JSONCursor.isWhitespace(text[index]) {
      bytes.append(text[index])
      positions.append(index)
    }
  }

  /// Returns, for every index of `text`, how many bytes from there on equal the beginning of
  /// `start`. Takes linear time (the Z function).
  static func agreement(of text: [UInt8], withStartOf start: [UInt8]) -> [Int] {
    let joined = start + text
    guard !start.isEmpty else { return Array(repeating: 0, count: text.count) }
    var lengths = Array(repeating: 0, count: joined.count)
    var left = 0
    var right = 0
    for index in 1..<max(joined.count, 1) {
      if index < right { lengths[index] = min(right - index, lengths[index - left]) }
      while index + lengths[index] < joined.count,
        joined[lengths[index]] == joined[index + lengths[index]]
      {
        lengths[index] += 1
      }
      if index + lengths[index] > right {
        left = index
        right = index + lengths[index]
      }
    }
    return lengths[start.count...].map { min($0, start.count) }
  }

  static func contains(_ text: ArraySlice<UInt8>, _ part: ArraySlice<UInt8>) -> Bool {
    agreement(of: Array(text), withStartOf: Array(part)).contains { $0 == part.count }
  }
}
