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

/// Keys that `tutti keys list` selects.
public struct KeyListFilter: Hashable, Sendable {
  /// The parameters of the request, each with `&` before it. Empty means all keys.
  public let query: String

  /// - Parameters:
  ///   - account: an organisation or a team. `nil` means all accounts.
  ///   - state: state of the keys. `nil` means all states.
  public init(account: String?, state: String?) throws(ProcessFailure) {
    var query = ""
    if let account {
      guard let path = AccountPath(account) else {
        // A long argument may be a key.
        let shown = account.utf8.count <= 40 ? "“\(account)”" : "the value"
        throw ProcessFailure(
          .usage, "--account: \(shown) is not ORGANISATION or ORGANISATION/TEAM")
      }
      query += "&account=" + PathText.escaped("\(path)")
    }
    if let state {
      guard let known = KeyState(rawValue: state) else {
        let all = KeyState.allCases.map(\.rawValue).joined(separator: ", ")
        throw ProcessFailure(
          .usage, "--state: “\(state.cut(toBytes: 20))” is not one of \(all)")
      }
      query += "&state=\(known.rawValue)"
    }
    self.query = query
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
