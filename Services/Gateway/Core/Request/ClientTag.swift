/// Distinguishes clients without revealing their keys. Dispatchers are fair between tags.
public enum ClientTag {
  /// Returns the tag of a client.
  /// Programs on this machine share one address and are distinguished by their keys. A remote
  /// client is identified by its address: otherwise it could send another key with each request.
  ///
  /// - Parameters:
  ///   - authorization: the header's value.
  ///   - address: the client's address; `nil` means this machine.
  /// - Returns: the same 16 digits for the same client, in every gateway; empty for a program on this
  ///   machine without a key.
  public static func tag(authorization: String?, address: String?) -> String {
    let words = address ?? authorization?.split(separator: " ").last.map(String.init) ?? ""
    let key = Array(words.utf8)
    guard !key.isEmpty else { return "" }
    // FNV-1a: the hash must distinguish keys, not resist an attacker.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in key { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
}
