/// Identifies clients without revealing their keys. Dispatchers share capacity fairly between tags.
public enum ClientTag {
  /// Returns the tag of a client.
  ///
  /// A checked key identifies its client. If the cluster requires no key, a remote client is
  /// identified by its address, because it could send another key with each request. Programs on
  /// this machine share one address, so they are identified by the text that they send as a key.
  ///
  /// - Parameters:
  ///   - key: id of the checked key. `nil` means that the cluster requires no key.
  ///   - authorization: value of the header `Authorization`. It is not read if `key` is known.
  ///   - address: the client's address. `nil` means this machine. It is not read if `key` is known.
  /// - Returns: 16 digits, which are the same for the same client in every gateway. Empty for a
  ///   program on this machine without a key.
  public static func tag(
    key: String? = nil, authorization: @autoclosure () -> String?,
    address: @autoclosure () -> String?
  ) -> String {
    var hash = Hash()
    if let key {
      hash.add("tutti-".utf8)
      hash.add(key.utf8)
    } else {
      let words = address() ?? authorization()?.split(separator: " ").last.map(String.init) ?? ""
      guard !words.isEmpty else { return "" }
      hash.add(words.utf8)
    }
    return hash.digits
  }

  /// FNV-1a. The hash must distinguish keys. It does not have to resist an attacker.
  private struct Hash {
    private var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ bytes: String.UTF8View) {
      for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }

    /// 16 hexadecimal digits.
    var digits: String {
      let digits = String(value, radix: 16)
      let missing = 16 - digits.utf8.count
      return missing == 0 ? digits : String(repeating: "0", count: missing) + digits
    }
  }
}
