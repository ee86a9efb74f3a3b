/// Tells clients apart without saying who they are: dispatchers are fair between tags, and a tag goes
/// where a key must not.
public enum ClientTag {
  /// - Parameter authorization: the header's value; nil or without a key: nobody in particular.
  /// - Returns: the same 16 digits for the same key, in every gateway; empty for nobody.
  public static func tag(authorization: String?) -> String {
    guard let authorization else { return "" }
    let key = authorization.split(separator: " ").last.map { Array($0.utf8) } ?? []
    guard !key.isEmpty else { return "" }
    // FNV-1a: it has to tell keys apart, not to withstand anybody.
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in key { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
}
