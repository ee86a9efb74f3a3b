public import ClusterModel

/// Names of files for the secrets of new keys.
public enum KeyFileName {
  /// Maximum bytes of a key's name that its file's name contains.
  private static let maximumBytes = 128

  /// Returns the name of each key's file, by the name of the key.
  ///
  /// - Throws: if two keys would share a file.
  public static func names(for keys: [String]) throws(ProcessFailure) -> [String: String] {
    var names: [String: String] = [:]
    var owners: [String: String] = [:]
    for key in keys {
      let file = name(for: key)
      // Some file systems do not distinguish upper and lower case.
      if let owner = owners.updateValue(key, forKey: file.lowercased()) {
        throw ProcessFailure(
          .usage,
          "the secrets of the keys \(owner) and \(key) would both be in \(file); choose "
            + "names that differ more. Nothing was changed")
      }
      names[key] = file
    }
    return names
  }

  /// File name `NAME.key`. Each byte except ASCII letters, digits, `.`, `-` and `_` becomes `_`. So
  /// does a `.` or `-` at the beginning.
  static func name(for key: String) -> String {
    var bytes = key.utf8.prefix(maximumBytes).map { byte -> UInt8 in
      switch byte {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "."), UInt8(ascii: "-"),
        UInt8(ascii: "_"):
        byte
      default: UInt8(ascii: "_")
      }
    }
    if bytes.first == UInt8(ascii: ".") || bytes.first == UInt8(ascii: "-") {
      bytes[0] = UInt8(ascii: "_")
    }
    return String(decoding: bytes, as: UTF8.self) + ".key"
  }
}
