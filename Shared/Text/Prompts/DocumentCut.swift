/// Cuts a text into parts of about equal length.
///
/// A part ends after a paragraph if possible, otherwise after a sentence or a line, otherwise
/// before a word, otherwise between two characters. Every byte is in exactly one part.
public enum DocumentCut {
  /// A part is at most about this much longer than an equal share, in percent.
  public static let excessPercent = 25

  /// - Parameters:
  ///   - number: from 1 to `count`. Another number gives an empty text.
  public static func part(_ number: Int, of count: Int, in text: String) -> String {
    guard count > 0, (1...count).contains(number) else { return "" }
    let bytes = Array(text.utf8)
    let range = border(number - 1, count, bytes)..<border(number, count, bytes)
    return String(decoding: bytes[range], as: UTF8.self)
  }

  /// Index of the first byte after part `number`.
  ///
  /// The border lies in the last quarter of the equal share. If there is no white space, it is the
  /// start of the character at the end of the share. So a later part never has an earlier border.
  private static func border(_ number: Int, _ count: Int, _ bytes: [UInt8]) -> Int {
    guard number > 0 else { return 0 }
    guard number < count else { return bytes.count }
    let share = bytes.count / count
    let wanted = share * number
    let least = wanted - share * excessPercent / 100
    var sentence: Int?
    var word: Int?
    for place in stride(from: wanted, to: least, by: -1) where isSpace(bytes[place - 1]) {
      guard place > least + 1 else { break }
      let before = bytes[place - 2]
      if bytes[place - 1] == 0x0A, before == 0x0A { return place }
      if bytes[place - 1] == 0x0A || ".!?".utf8.contains(before) { sentence = sentence ?? place }
      word = word ?? place
    }
    if let place = sentence ?? word { return place }
    var place = wanted
    while place > 0, bytes[place] & 0b1100_0000 == 0b1000_0000 { place -= 1 }
    return place
  }

  private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x0A }
}
