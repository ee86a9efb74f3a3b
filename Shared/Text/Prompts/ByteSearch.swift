/// Finds a byte sequence in time linear in both inputs (Knuth, Morris, Pratt).
public enum ByteSearch {
  public static func contains(_ text: [UInt8], _ words: [UInt8]) -> Bool {
    var work = 0
    return contains(text, words, work: &work)
  }

  /// - Parameter work: grows by one per comparison.
  public static func contains(_ text: [UInt8], _ words: [UInt8], work: inout Int) -> Bool {
    guard !words.isEmpty else { return true }
    guard text.count >= words.count else { return false }
    let borders = borders(of: words, work: &work)
    var matched = 0
    for byte in text {
      while matched > 0, words[matched] != byte {
        work += 1
        matched = borders[matched - 1]
      }
      work += 1
      if words[matched] == byte { matched += 1 }
      if matched == words.count { return true }
    }
    return false
  }

  /// For each prefix of the words, the length of its longest proper suffix that is also a prefix.
  private static func borders(of words: [UInt8], work: inout Int) -> [Int] {
    var borders = [Int](repeating: 0, count: words.count)
    var length = 0
    for index in words.indices.dropFirst() {
      while length > 0, words[length] != words[index] {
        work += 1
        length = borders[length - 1]
      }
      work += 1
      if words[length] == words[index] { length += 1 }
      borders[index] = length
    }
    return borders
  }
}
