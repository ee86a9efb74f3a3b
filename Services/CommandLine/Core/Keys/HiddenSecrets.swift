import Access

/// Hides secrets of keys in text for people, for example in an error that repeats an argument.
public enum HiddenSecrets {
  private static let prefix = Array("tutti-".utf8)

  /// Returns the text with `***` in place of each key's secret. A mistyped secret is hidden, too,
  /// because it still contains most of the real one.
  public static func hide(in text: String) -> String {
    let bytes = Array(text.utf8)
    guard bytes.count > prefix.count + KeyID.characterCount else { return text }
    var shown: [UInt8] = []
    var index = 0
    while index < bytes.count {
      guard let end = secretStart(in: bytes, at: index) else {
        shown.append(bytes[index])
        index += 1
        continue
      }
      shown += bytes[index..<end] + Array("***".utf8)
      index = bytes[end...].firstIndex { !isSecretCharacter($0) } ?? bytes.count
    }
    return String(decoding: shown, as: UTF8.self)
  }

  /// Index of the secret of the key that begins at `start`. `nil` means that no key begins there.
  private static func secretStart(in bytes: [UInt8], at start: Int) -> Int? {
    let id = start + prefix.count
    let separator = id + KeyID.characterCount
    guard separator + 1 < bytes.count, bytes[start...].starts(with: prefix),
      KeyID(bytes[id..<separator]) != nil, bytes[separator] == UInt8(ascii: "-"),
      isSecretCharacter(bytes[separator + 1])
    else { return nil }
    return separator + 1
  }

  private static func isSecretCharacter(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}
