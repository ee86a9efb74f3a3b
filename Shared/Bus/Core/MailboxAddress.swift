import Limits

/// A parsed and checked mailbox address.
///
/// Addresses from the wire reach nanomsg only through this type, because nanomsg aborts the process
/// if an `ipc://` path exceeds 107 bytes, and accepts more than a host and a port in `tcp://`
/// addresses.
public struct MailboxAddress: Hashable, Sendable {
  public enum Target: Hashable, Sendable {
    case socket(path: String)
    case host(String, port: Int)
    /// A mailbox of an in-memory network.
    case name(String)
  }

  /// Maximum path length. `sun_path` holds 104 bytes on macOS, including its NUL, and 108 on Linux.
  static let pathBytes = 99

  /// The URL as written.
  public let url: String
  public let target: Target

  /// - Returns: `nil` if `url` is not the address of exactly one mailbox.
  public init?(_ url: String) {
    guard url.utf8.count <= Limits.busAddressBytes.value,
      url.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
      let separator = url.firstRange(of: "://")
    else { return nil }
    let scheme = url[..<separator.lowerBound]
    let rest = String(url[separator.upperBound...])
    switch scheme {
    case "ipc":
      guard rest.hasPrefix("/"), (2...Self.pathBytes).contains(rest.utf8.count),
        !rest.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
          .contains(where: { $0.isEmpty || $0 == "." || $0 == ".." })
      else { return nil }
      target = .socket(path: rest)
    case "tcp":
      guard let (host, port) = Self.hostAndPort(rest), host != "*" else { return nil }
      target = .host(host, port: port)
    default:
      guard !scheme.isEmpty, !rest.isEmpty else { return nil }
      target = .name(rest)
    }
    self.url = url
  }

  /// Parses an address from a peer. It must have the same scheme as `own` and, over `ipc://`, lie
  /// in the same directory.
  public init?(_ url: String, matching own: String) {
    guard let own = MailboxAddress(own), let address = MailboxAddress(url),
      url.prefix(while: { $0 != ":" }) == own.url.prefix(while: { $0 != ":" })
    else { return nil }
    if case .socket(let path) = address.target, case .socket(let ours) = own.target,
      Self.directory(path) != Self.directory(ours)
    {
      return nil
    }
    self = address
  }

  /// Parses `HOST:PORT`. The host is a name, an IPv4 address, an IPv6 address in brackets, or `*`.
  /// The port is 1 to 65,535.
  public static func hostAndPort(_ text: String) -> (host: String, port: Int)? {
    guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else { return nil }
    let host = text[..<colon]
    let digits = text[text.index(after: colon)...]
    guard (1...5).contains(digits.utf8.count),
      digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let port = Int(digits),
      (1...65_535).contains(port), (1...253).contains(host.utf8.count)
    else { return nil }
    func isName(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
        || byte == 0x2D || byte == 0x2E || byte == 0x5F
    }
    func isIPv6(_ byte: UInt8) -> Bool {
      (0x30...0x39).contains(byte) || (0x41...0x46).contains(byte) || (0x61...0x66).contains(byte)
        || byte == 0x3A || byte == 0x2E
    }
    if host.utf8.first == 0x5B, host.utf8.last == 0x5D, host.utf8.count > 2 {
      guard host.utf8.dropFirst().dropLast().allSatisfy(isIPv6) else { return nil }
    } else if host != "*" {
      guard host.utf8.allSatisfy(isName) else { return nil }
    }
    return (String(host), port)
  }

  private static func directory(_ path: String) -> Substring {
    path[..<(path.lastIndex(of: "/") ?? path.startIndex)]
  }
}
