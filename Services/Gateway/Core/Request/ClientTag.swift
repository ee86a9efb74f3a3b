public import Access

/// Distinguishes clients without revealing their keys. Dispatchers are fair between tags.
public enum ClientTag {
  /// Returns the tag of a client.
  ///
  /// A checked key identifies its client. If the cluster requires no key, programs on this machine,
  /// which share one address, are distinguished by what they send as a key. A remote client is
  /// then identified by its address: it could send another text with each request.
  ///
  /// - Parameters:
  ///   - key: id of the checked key.
  ///   - authorization: the header's value.
  ///   - address: the client's address; `nil` means this machine.
  /// - Returns: the same 16 digits for the same client, in every gateway; empty for a program on this
  ///   machine without a key.
  public static func tag(
    key: KeyID? = nil, authorization: String?, address: String?
  ) -> String {
    var hash = Hash()
    if let key {
      hash.add("tutti-".utf8)
      hash.add(key.description.utf8)
    } else {
      let words = address ?? authorization?.split(separator: " ").last.map(String.init) ?? ""
      guard !words.isEmpty else { return "" }
      hash.add(words.utf8)
    }
    return hash.digits
  }

  /// FNV-1a: the hash must distinguish keys, not resist an attacker.
  private struct Hash {
    private var value: UInt64 = 0xCBF2_9CE4_8422_2325

    mutating func add(_ bytes: String.UTF8View) {
      for byte in bytes { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
    }

    /// 16 hexadecimal digits.
    var digits: String {
      let digits = String(value, radix: 16)
      return String(repeating: "0", count: 16 - digits.utf8.count) + digits
    }
  }
}
