public import Access
public import ClusterModel

/// The key that an argument names.
public enum KeyReference {
  /// Parses an argument that names a key.
  ///
  /// - Parameter text: the id, or the key's beginning `tutti-ID`. A whole key is refused, and the
  ///   message does not repeat it.
  public static func id(_ text: String) throws(ProcessFailure) -> KeyID {
    if let key = APIKey(text) {
      throw ProcessFailure(
        .usage,
        "the argument is a whole key; commands take only its id, \(key.id). Other users of this "
          + "machine can read arguments, and the shell's history keeps them: replace the key with "
          + "`tutti keys rotate \(key.id)`")
    }
    let bare = text.hasPrefix("tutti-") ? String(text.dropFirst(6)) : text
    guard let id = KeyID(bare) else {
      // A longer argument may be a part of a secret.
      let shown = text.utf8.count <= 20 ? "“\(text)”" : "the argument"
      throw ProcessFailure(
        .usage,
        "\(shown) is not the id of a key, which has \(KeyID.characterCount) characters of a–z and "
          + "2–7; `tutti keys list` shows the ids")
    }
    return id
  }
}

/// A person's answer to a question for consent.
public enum Confirmation {
  /// - Parameter answer: the typed line. `nil` means end of file.
  public static func isGiven(by answer: String?) -> Bool {
    guard let answer, answer.utf8.count <= 20 else { return false }
    return ["yes", "y"].contains(answer.lowercased().filter { !$0.isWhitespace })
  }
}
