public import ClusterModel
import Text

/// A piece of a document, small enough for a prompt to hold several.
public struct Passage: Hashable, Sendable {
  /// Index of the document in the task's list.
  public var document: Int
  /// Byte range in the document's text.
  public var range: Range<Int>
  public var text: String

  init(document: Int, range: Range<Int>, text: String) {
    self.document = document
    self.range = range
    self.text = text
  }

  /// Estimated tokens.
  var tokens: Int { TokenEstimate.tokens(of: text) }
}

/// Splits documents between paragraphs and before headings, and long paragraphs after a sentence.
/// Takes linear time. Up to `maximumPassages`, every byte is in exactly one passage, except white
/// space at borders.
public enum Passages {
  /// Paragraphs are joined up to this length, because a passage should make sense alone.
  static let targetBytes = 600
  /// Longer paragraphs are split. 1,200 bytes are some 300 tokens, so four passages fit into a
  /// small prompt.
  static let maximumBytes = 1_200
  /// Shorter paragraphs, mainly headings, are joined with the next one.
  static let leastBytes = 150
  /// Maximum passages of all documents. The 10 MB of a request need fewer, even in the shortest
  /// passages.
  public static let maximumPassages = 80_000

  public static func of(_ documents: [Document]) -> [Passage] {
    var passages: [Passage] = []
    for (number, document) in documents.enumerated() {
      let bytes = Array(document.text.utf8)
      for range in ranges(in: bytes) {
        guard passages.count < maximumPassages else { return passages }
        passages.append(
          Passage(
            document: number, range: range,
            text: String(decoding: bytes[range], as: UTF8.self)))
      }
    }
    return passages
  }

  private static func ranges(in bytes: [UInt8]) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    var open: Range<Int>?
    func close() {
      if let range = open { ranges.append(range) }
      open = nil
    }
    for paragraph in paragraphs(in: bytes) {
      let isHeading = bytes[paragraph.lowerBound] == UInt8(ascii: "#")
      if let range = open {
        let joined = range.lowerBound..<paragraph.upperBound
        let isShort = range.count < leastBytes && joined.count <= maximumBytes
        if isShort || !isHeading && joined.count <= targetBytes {
          open = joined
          continue
        }
        close()
      }
      var rest = paragraph
      while rest.count > maximumBytes {
        let end = cut(rest, bytes)
        ranges.append(trimmed(rest.lowerBound..<end, bytes))
        rest = trimmed(end..<rest.upperBound, bytes)
      }
      open = rest.isEmpty ? nil : rest
    }
    close()
    return ranges.filter { !$0.isEmpty }
  }

  /// Paragraphs are separated by blank lines. A Markdown heading also begins a paragraph.
  private static func paragraphs(in bytes: [UInt8]) -> [Range<Int>] {
    var paragraphs: [Range<Int>] = []
    var start: Int?
    var end = 0
    var line = 0
    while line < bytes.count {
      let stop = bytes[line...].firstIndex(of: 0x0A) ?? bytes.count
      let content = trimmed(line..<stop, bytes)
      if content.isEmpty {
        if let from = start { paragraphs.append(from..<end) }
        start = nil
      } else {
        if let from = start, bytes[content.lowerBound] == UInt8(ascii: "#") {
          paragraphs.append(from..<end)
          start = nil
        }
        start = start ?? content.lowerBound
        end = content.upperBound
      }
      line = stop + 1
    }
    if let from = start { paragraphs.append(from..<end) }
    return paragraphs
  }

  /// Returns the place to cut a paragraph that is too long.
  /// The best place is after a sentence, the second best before a word, and the last resort between
  /// two characters. The first piece always has at least half of `maximumBytes`.
  private static func cut(_ range: Range<Int>, _ bytes: [UInt8]) -> Int {
    let limit = range.lowerBound + maximumBytes
    let least = range.lowerBound + maximumBytes / 2
    var word: Int?
    for place in stride(from: limit, to: least, by: -1) where isSpace(bytes[place]) {
      if ".!?:;\n".utf8.contains(bytes[place - 1]) || bytes[place] == 0x0A { return place }
      word = word ?? place
    }
    if let word { return word }
    var place = limit
    while place > least, bytes[place] & 0b1100_0000 == 0b1000_0000 { place -= 1 }
    return place
  }

  private static func trimmed(_ range: Range<Int>, _ bytes: [UInt8]) -> Range<Int> {
    var lower = range.lowerBound
    var upper = range.upperBound
    while lower < upper, isSpace(bytes[lower]) { lower += 1 }
    while upper > lower, isSpace(bytes[upper - 1]) { upper -= 1 }
    return lower..<upper
  }

  private static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09
  }
}
