/// Tells clients apart without saying who they are: dispatchers are fair between tags, and a tag goes
/// where a key must not.
public enum ClientTag {
  /// Programs on this machine share one address and are distinguished by their keys. Any other client is
  /// its address: a stranger could send another key with each request.
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
    // FNV-1a: it has to tell keys apart, not to withstand anybody.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in key { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
}
