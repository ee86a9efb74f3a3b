import ClusterModel

/// The host names and web origins that a server without keys accepts, and the web origins whose
/// pages may read answers, with keys or without (CORS).
///
/// While a server requires no key, any web page in a browser on this machine can send requests to a
/// loopback port. The request's `Origin` header names the page's site. A page that has rebound its
/// own name to this machine's address (DNS rebinding) can also read the answers. In this case, the
/// `Host` header contains the page's name. Addresses, and names that cannot be registered publicly,
/// cannot be rebound.
struct HTTPAccess: Hashable, Sendable {
  /// The address the server listens on; its host is in lower case.
  private let listen: HostAndPort
  /// Host name of this machine; empty if it is unknown.
  private let machine: String
  /// Additional host names: `name`, `.domain` for all names below it, or `*`.
  private let hosts: [String]
  /// Web origins that may read answers: `https://chat.example`, `null` or `*`.
  let origins: [String]

  init(
    listen: HostAndPort, machine: String = "", hosts: [String] = [], origins: [String] = []
  ) {
    self.listen = HostAndPort(host: listen.host.lowercased(), port: listen.port)
    self.machine = Self.trimmed(machine, of: ".")
    self.hosts = hosts.map { Self.trimmed($0, of: ".") }
    self.origins = origins.map { Self.trimmed($0, of: "/") }
  }

  /// The reason to refuse a request with these headers; `nil` means that it is accepted.
  func refusal(host: String?, origin: String?) -> Failure? {
    let name = host.flatMap { AuthorityName($0[...]) }
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
    return origins.contains(Self.trimmed(origin, of: "/")) ? origin : nil
  }

  // MARK: - Names

  private func accepts(origin: String, on host: AuthorityName?) -> Bool {
    if readableOrigin(origin) != nil { return true }
    guard let name = AuthorityName(origin: origin[...]) else { return false }
    return name == host || name.isLoopback || isListed(name) || isMachine(name)
  }

  private func isOwn(_ name: AuthorityName) -> Bool {
    if name.isLoopback || isListed(name) || isMachine(name) || hosts.contains("*") { return true }
    if name.matches(listen.host) { return true }
    guard !listen.isLoopback else { return false }
    // Names in a compose network, local network or cluster cannot be registered publicly.
    return name.isAddress || !name.hasDot || Self.privateDomains.contains(where: name.hasSuffix)
  }

  private static let privateDomains = [".local", ".internal", ".home.arpa", ".lan", ".svc"]

  private func isMachine(_ name: AuthorityName) -> Bool { name.matches(machine) }

  /// Whether the operator named this host. `*` accepts every `Host`, but no page of another site.
  private func isListed(_ name: AuthorityName) -> Bool {
    hosts.contains { name.matches($0) || $0.hasPrefix(".") && name.hasSuffix($0) }
  }

  /// The text in lower case, without this suffix.
  private static func trimmed(_ text: String, of suffix: String) -> String {
    let small = text.lowercased()
    return small.hasSuffix(suffix) ? String(small.dropLast(suffix.count)) : small
  }

  private static func shown(_ text: String) -> String { text.cut(toBytes: 100) }

  /// The end of an error message if a setting's text is not an origin; `nil` if it is one.
  static func problem(ofOrigin text: String) -> String? {
    if ["*", "null"].contains(text) { return nil }
    return AuthorityName(origin: trimmed(text, of: "/")[...]) == nil
      ? "is not an origin like https://chat.example:3000, null or *" : nil
  }

  /// The end of an error message if a setting's text is not a host name; `nil` if it is one.
  static func problem(ofHost text: String) -> String? {
    if text == "*" { return nil }
    let name = text.hasPrefix(".") ? text.dropFirst() : text[...]
    return AuthorityName(name) == nil || name.contains(":")
      ? "is not a host name like chat.example, .example for all names below it, or *" : nil
  }
}
