/// The words of a command line that a shell completes.
public enum CompletionWords {
  /// Maximum number of candidates. A shell asks before it lists that many.
  private static let maximumNames = 1_000
  /// Maximum bytes of a candidate. Longer names would not fit the terminal.
  private static let maximumNameBytes = 256

  /// Returns the value of an option, for example of `--url` in `--url X` or `--url=X`.
  ///
  /// - Parameter words: the words as they were typed.
  public static func value(of option: String, in words: [String]) -> String? {
    for (index, word) in words.enumerated() {
      if word == option {
        let next = words.index(after: index)
        return next < words.endIndex ? words[next] : nil
      }
      if word.hasPrefix(option + "=") { return String(word.dropFirst(option.count + 1)) }
    }
    return nil
  }

  /// Returns the names that can be candidates. Names are from hosts, and a line break in a name
  /// would be two candidates.
  public static func candidates(_ names: [String]) -> [String] {
    Array(
      names.lazy.filter { name in
        !name.isEmpty && name.utf8.count <= maximumNameBytes
          && name.unicodeScalars.allSatisfy {
            !$0.properties.isWhitespace && $0.properties.generalCategory != .control
          }
      }.prefix(maximumNames))
  }
}
