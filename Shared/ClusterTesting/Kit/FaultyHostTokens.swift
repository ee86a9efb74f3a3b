import ClusterModel

/// How the host splits an answer into tokens.
public enum FaultyHostTokens: Hashable, Sendable {
  /// Words, each with the white space before it.
  case words
  /// Pieces of that many characters.
  case characters(Int)
  /// Pieces of 1 to `longest` code points. The seed decides their lengths, so that hosts can have
  /// different tokenizers.
  case seeded(UInt64, longest: Int)

  func split(_ text: String) -> [String] {
    switch self {
    case .words:
      var tokens: [String] = []
      var token = ""
      var hasWord = false
      for character in text {
        if character.isWhitespace, hasWord {
          tokens.append(token)
          token = ""
          hasWord = false
        }
        hasWord = hasWord || !character.isWhitespace
        token.append(character)
      }
      return token.isEmpty ? tokens : tokens + [token]
    case .characters(let count):
      var rest = text[...]
      var tokens: [String] = []
      while !rest.isEmpty {
        tokens.append(String(rest.prefix(max(count, 1))))
        rest = rest.dropFirst(max(count, 1))
      }
      return tokens
    case .seeded(let seed, let longest):
      var rng = SplitMix64(seed: seed)
      var rest = text.unicodeScalars[...]
      var tokens: [String] = []
      while !rest.isEmpty {
        let count = Int.random(in: 1...max(longest, 1), using: &rng)
        tokens.append(String(Substring(rest.prefix(count))))
        rest = rest.dropFirst(count)
      }
      return tokens
    }
  }
}
