public import ClusterModel

/// Protects a server that requires no key from web pages in a browser on this machine.
///
/// A page can send requests to a loopback port; the `Origin` header names its site. A page that has
/// rebound its own name to 127.0.0.1 can also read the answers; the `Host` header contains that
/// name. So both headers must name this machine, or a host that the operator listed.
public struct OpenMode: Hashable, Sendable {
  private let listedNames: Set<String>

  /// - Parameter listedNames: further host names of this server, without ports.
  public init(listedNames: [String] = []) {
    self.listedNames = Set(listedNames.map { $0.lowercased() })
  }

  /// The reason to refuse a request; `nil` means that it is accepted.
  ///
  /// - Parameters:
  ///   - host: the `Host` header or `:authority`. Clients of HTTP/1.0 send none. They are not
  ///     browsers, and may only read.
  ///   - origin: the `Origin` header. Programs send none.
  public func refusal(host: String?, origin: String?, method: String) -> Failure? {
    if let host {
      guard let authority = Authority(host), isOwn(authority.name) else {
        return Failure(
          .permissionDenied,
          "The request's Host header does not name this machine. No key exists yet, so only "
            + "requests to localhost and 127.0.0.1 are accepted. Use one of these names, list this "
            + "one in --allowed-hosts (TUTTI_ALLOWED_HOSTS), or create a key with "
            + "\"tutti keys create\".")
      }
    } else if !["GET", "HEAD"].contains(method) {
      return Failure(
        .permissionDenied,
        "The request has no Host header. No key exists yet, so \(Self.shown(method)) requests "
          + "must name this machine in it: send \"Host: localhost\", or create a key with "
          + "\"tutti keys create\".")
    }
    guard let origin, !isOwn(origin: origin) else { return nil }
    return Failure(
      .permissionDenied,
      "The request comes from a web page of another site, which its Origin header shows. No key "
        + "exists yet, so pages of other sites are refused. Create a key with "
        + "\"tutti keys create\" and send it in \"Authorization: Bearer KEY\".")
  }

  private func isOwn(_ name: String) -> Bool {
    Authority.isLoopback(name) || listedNames.contains(name)
  }

  /// `null`, which sandboxed pages and files send, has no scheme and is refused.
  private func isOwn(origin: String) -> Bool {
    guard origin.utf8.count <= Authority.maximumBytes else { return false }
    let small = origin.lowercased()
    for scheme in ["http://", "https://"] where small.hasPrefix(scheme) {
      return Authority(String(small.dropFirst(scheme.utf8.count))).map { isOwn($0.name) } ?? false
    }
    return false
  }

  /// A method is a short word; other text is not repeated.
  private static func shown(_ method: String) -> String {
    ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"].contains(method) ? method : "such"
  }
}
