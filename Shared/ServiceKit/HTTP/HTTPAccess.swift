import ClusterModel

/// The host names and web origins that a server accepts.
///
/// The server requires no key, so any web page in a browser on this machine can send requests to a
/// loopback port. The request's `Origin` header names the page's site. A page that has rebound its
/// own name to this machine's address (DNS rebinding) can also read the answers; then the `Host`
/// header contains the page's name. Addresses, and names that cannot be registered publicly, cannot
/// be rebound.
public struct HTTPAccess: Hashable, Sendable {
  /// The address the server listens on.
  public var listen: HostAndPort
  /// Host name of this machine.
  public var machine: String
  /// Additional host names: `name`, `.domain` for all names below it, or `*`.
  public var hosts: [String]
  /// Web origins that may read answers: `https://chat.example`, `null` or `*`.
  public var origins: [String]

  public init(
    listen: HostAndPort, machine: String = "", hosts: [String] = [], origins: [String] = []
  ) {
    self.listen = listen
    self.machine = machine.lowercased()
    self.hosts = hosts.map { $0.lowercased() }
    self.origins = origins.map(Self.trimmed)
  }

  /// The reason to refuse a request with these headers; `nil` means that it is accepted.
  func refusal(host: String?, origin: String?) -> Failure? {
    let name = host.flatMap(Self.name)
    if let host, !(name.map(isOwn) ?? false) {
      return Failure(
        .permissionDenied,
        "The request is for \"\(Self.shown(host))\", which is not a name of this server. It "
          + "requires no key, so it accepts only its own names, which a web page cannot take over: "
          + "localhost, its address, and those of --allowed-hosts (TUTTI_ALLOWED_HOSTS).")
    }
    guard let origin, !accepts(origin: origin, on: name) else { return nil }
    return Failure(
      .permissionDenied,
      "The request comes from the web page \"\(Self.shown(origin))\". The server requires no "
        + "key, so it refuses pages of other sites; allow this one with --allowed-origins "
        + "(TUTTI_ALLOWED_ORIGINS).")
  }

  /// The value of `Access-Control-Allow-Origin`; `nil` means that the page may not read answers.
  func readableOrigin(_ origin: String) -> String? {
    if origins.contains("*") { return "*" }
    return origins.contains(Self.trimmed(origin)) ? origin : nil
  }

  // MARK: - Names

  private func accepts(origin: String, on host: String?) -> Bool {
    if readableOrigin(origin) != nil { return true }
    guard let scheme = origin.firstRange(of: "://"),
      let name = Self.name(of: String(origin[scheme.upperBound...]))
    else { return false }
    return name == host || Self.isLoopback(name) || isListed(name) || isMachine(name)
  }

  private func isOwn(_ name: String) -> Bool {
    if Self.isLoopback(name) || isListed(name) || isMachine(name) { return true }
    if name == listen.host.lowercased() { return true }
    guard !listen.isLoopback else { return false }
    // Names in a compose network, local network or cluster cannot be registered publicly.
    return Self.isAddress(name) || !name.contains(".")
      || Self.privateDomains.contains { name.hasSuffix($0) }
  }

  private static let privateDomains = [".local", ".internal", ".home.arpa", ".lan", ".svc"]

  private func isMachine(_ name: String) -> Bool { !machine.isEmpty && name == machine }

  private func isListed(_ name: String) -> Bool {
    hosts.contains { entry in
      entry == "*" || entry == name || entry.hasPrefix(".") && name.hasSuffix(entry)
    }
  }

  private static func isLoopback(_ name: String) -> Bool {
    name == "localhost" || name.hasSuffix(".localhost")
      || ["::1", "0:0:0:0:0:0:0:1"].contains(name)
      || name.hasPrefix("::ffff:127.") && isIPv4(name.dropFirst(7))
      || name.hasPrefix("127.") && isIPv4(name[...])
  }

  private static func isAddress(_ name: String) -> Bool {
    name.contains(":") || isIPv4(name[...])
  }

  private static func isIPv4(_ name: Substring) -> Bool {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4 && parts.allSatisfy { UInt8($0) != nil }
  }

  /// The host in `name`, `name:port`, `[v6]` or `[v6]:port`, in lower case and without a trailing
  /// dot; `nil` if the text has none of these forms.
  static func name(of authority: String) -> String? {
    var name = authority.lowercased()[...]
    if let colon = name.lastIndex(of: ":"), !name.hasPrefix("[") || name[..<colon].hasSuffix("]") {
      let port = name[name.index(after: colon)...]
      guard port.utf8.count <= 5, port.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
        return nil
      }
      name = name[..<colon]
    }
    if name.hasPrefix("[") {
      guard name.hasSuffix("]") else { return nil }
      name = name.dropFirst().dropLast()
      guard name.utf8.allSatisfy({ isHexadecimal($0) || $0 == 0x3A || $0 == 0x2E }) else {
        return nil
      }
    } else {
      if name.hasSuffix(".") { name = name.dropLast() }
      guard name.utf8.allSatisfy({ isNameByte($0) }) else { return nil }
    }
    return name.isEmpty ? nil : String(name)
  }

  private static func isHexadecimal(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x66).contains(byte)
  }

  private static func isNameByte(_ byte: UInt8) -> Bool {
    (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte)
      || [0x2D, 0x2E, 0x5F].contains(byte)
  }

  private static func trimmed(_ origin: String) -> String {
    let small = origin.lowercased()
    return small.hasSuffix("/") ? String(small.dropLast()) : small
  }

  private static func shown(_ text: String) -> String { text.cut(toBytes: 100) }

  /// The end of an error message if a setting's text is not an origin; `nil` if it is one.
  static func problem(ofOrigin text: String) -> String? {
    if ["*", "null"].contains(text) { return nil }
    guard let scheme = text.firstRange(of: "://"), scheme.lowerBound != text.startIndex,
      name(of: trimmed(String(text[scheme.upperBound...]))) != nil
    else { return "is not an origin like https://chat.example:3000, null or *" }
    return nil
  }

  /// The end of an error message if a setting's text is not a host name; `nil` if it is one.
  static func problem(ofHost text: String) -> String? {
    if text == "*" { return nil }
    let name = text.hasPrefix(".") ? String(text.dropFirst()) : text
    return Self.name(of: name) == nil || name.contains(":")
      ? "is not a host name like chat.example, .example for all names below it, or *" : nil
  }
}
