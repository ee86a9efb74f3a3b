/// A full-text query for passages of documents.
public struct PassageQuery: Equatable, Sendable {
  /// Maximum search terms. With more, every passage matches a little.
  static let maximumTerms = 32
  private static let readBytes = 8_192

  /// The search terms without duplicates, in order.
  public private(set) var terms: [String] = []

  /// - Parameter texts: the texts to find passages for, the most important first.
  public init(_ texts: [String]) {
    var seen: Set<String> = []
    for text in texts {
      let read = String(decoding: text.utf8.prefix(Self.readBytes), as: UTF8.self)
      for word in WordSplitter.split(read, readsNumbers: false) {
        guard terms.count < Self.maximumTerms else { return }
        guard !WordSplitter.common.contains(word), word.utf8.count <= 64 else { continue }
        if seen.insert(word).inserted { terms.append(word) }
      }
    }
  }

  /// The query for SQLite's FTS5, which matches any of the terms.
  /// Each term is quoted, so that none acts as an operator.
  public var match: String {
    terms.map { "\"\($0.filter { $0 != "\"" })\"" }.joined(separator: " OR ")
  }

  /// The text to index: characters of scripts without spaces are separated, as in the query.
  public static func indexed(_ text: String) -> String {
    guard text.contains(where: WordSplitter.isUnspaced) else { return text }
    var apart = ""
    for character in text {
      if WordSplitter.isUnspaced(character) {
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
