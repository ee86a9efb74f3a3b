public import Limits

/// Finds YAML texts whose aliases (`*name`) could take a parser very long.
///
/// A parser shares the values of aliases, but it compares the names of members in full. In YAML, a
/// list may be a name. Comparing a name whose list has aliases of further lists of aliases would
/// take a year.
public enum YAMLAliases {
  /// The limit that the text exceeds. `nil` means that the text has few aliases.
  public static func exceededLimit(in text: String) -> Limit? {
    let limit = Limits.yamlAliases
    return count(in: text, atMost: limit.value) > limit.value ? limit : nil
  }

  /// Counts the asterisks that may begin an alias. Counting ends above `most`.
  private static func count(in text: String, atMost most: Int) -> Int {
    var count = 0
    var isComment = false
    var isIndented = true
    var isSeparated = true
    var isPending = false
    for byte in text.utf8 {
      let isBlank = byte <= 0x20
      if isPending, !isBlank, !isComment { count += 1 }
      guard count <= most else { return count }
      if isIndented, byte == UInt8(ascii: "#") { isComment = true }
      isPending = byte == UInt8(ascii: "*") && isSeparated
      isSeparated = !isWord(byte)
      isIndented = isIndented && isBlank
      if byte == 0x0A || byte == 0x0D { (isComment, isIndented) = (false, true) }
    }
    return count
  }

  /// Whether an asterisk after this byte is within a word, and begins no alias.
  private static func isWord(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "\""), UInt8(ascii: "'"),
      UInt8(ascii: "*"), UInt8(ascii: "/"), UInt8(ascii: "."):
      true
    default: false
    }
  }
}
