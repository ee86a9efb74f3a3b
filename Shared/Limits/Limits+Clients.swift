extension Limits {
  static let clients: [Limit] = [tlsFileBytes, tlsHandshake]

  public static let tlsFileBytes = Limit(
    "tls.file_bytes", 1 << 20, .bytes, "A certificate chain has some kilobytes.")
  public static let tlsHandshake = Limit(
    "tls.handshake", 10_000, .milliseconds,
    "As long as the head of a request may take; a handshake is two round trips.")
}
