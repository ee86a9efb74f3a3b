/// What is looked for in documents, in the words of a full-text index.
public struct PassageQuery: Equatable, Sendable {
  /// More words make every passage match a little.
  static let maximumTerms = 32
  private static let readBytes = 8_192

  /// Each once, in the order in which they were said.
  public private(set) var terms: [String] = []

  /// - Parameter texts: what was asked, the most important first.
  public init(_ texts: [String]) {
    var seen: Set<String> = []
    for text in texts {
      let read = String(decoding: text.utf8.prefix(Self.readBytes), as: UTF8.self)
      for word in Words.split(read, readsNumbers: false) {
        guard terms.count < Self.maximumTerms else { return }
        guard !Words.common.contains(word), word.utf8.count <= 64 else { continue }
        if seen.insert(word).inserted { terms.append(word) }
      }
    }
  }

  /// For SQLite's FTS5: any of the words. Each stands in quotes, so nothing in it is an operator.
  public var match: String {
    terms.map { "\"\($0.filter { $0 != "\"" })\"" }.joined(separator: " OR ")
  }

  /// A text as it is to be indexed: scripts without spaces are written apart, character by
  /// character, as the query's words are.
  public static func indexed(_ text: String) -> String {
    guard text.contains(where: Words.isUnspaced) else { return text }
    var apart = ""
    for character in text {
      if Words.isUnspaced(character) {
        apart.append(" ")
        apart.append(character)
        apart.append(" ")
      } else {
        apart.append(character)
      }
    }
    return apart
  }
}
