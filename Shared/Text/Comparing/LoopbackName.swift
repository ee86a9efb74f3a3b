extension StringProtocol {
  /// Whether the text always means this machine: `localhost`, `::1`, or an IPv4 address that begins
  /// with 127.
  ///
  /// Only spellings that cannot mean another machine count: `127.evil.example` is a domain name.
  public var isLoopbackName: Bool {
    if self == "localhost" || self == "::1" { return true }
    let parts = split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts[0] == "127"
      && parts.allSatisfy { part in
        // Check the digits, because `UInt8` also accepts a sign.
        part.utf8.allSatisfy { (0x30...0x39).contains($0) } && UInt8(part) != nil
      }
  }
}
