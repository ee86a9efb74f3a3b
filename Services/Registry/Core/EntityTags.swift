/// Entity tags in headers of requests.
public enum EntityTags {
  /// Reads the values of `If-Match`.
  ///
  /// - Returns: the tags with their quotes. `nil` means that any tag is accepted, because there is
  ///   no header or one of them has `*`.
  public static func parse(ifMatch values: [String]) -> Set<String>? {
    guard !values.isEmpty else { return nil }
    var tags: Set<String> = []
    for value in values {
      for part in value.utf8.split(separator: UInt8(ascii: ",")) {
        let tag = trimmed(part)
        if tag.elementsEqual("*".utf8) { return nil }
        guard tag.count > 2, tag.first == UInt8(ascii: "\""), tag.last == UInt8(ascii: "\"") else {
          continue
        }
        tags.insert(String(Substring(tag)))
      }
    }
    return tags
  }

  private static func trimmed(_ part: Substring.UTF8View) -> Substring.UTF8View {
    var part = part.drop(while: isBlank)
    while let last = part.last, isBlank(last) { part.removeLast() }
    return part
  }

  private static func isBlank(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t")
  }
}
