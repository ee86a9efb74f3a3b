import ClusterModel
import InferenceCore
import Limits

/// Names of the client headers that are forwarded to the host. Cloud hosts bill by some of them,
/// and operators can add more.
public struct ForwardedHeaders: Hashable, Sendable {
  /// A name that must not be forwarded.
  public struct Forbidden: Error, Hashable, Sendable {
    public var name: String

    public init(name: String) { self.name = name }
  }

  private static let standard = ["openai-organization", "openai-project", "user-agent"]

  /// Last parts of the names of headers that carry a credential.
  private static let credentials = [
    "-authorization", "-api-key", "-apikey", "-auth", "-password", "-secret", "-token", "-cookie",
    "-assertion", "-credential", "-subscription-key", "-auth-key", "-functions-key",
    "-authorization-auxiliary",
  ]

  /// Whether a header of this name carries a credential. Underscores count as hyphens, because some
  /// programs treat both alike.
  private static func isCredential(_ name: String) -> Bool {
    let name = "-" + name.map { $0 == "_" ? "-" : String($0) }.joined()
    return credentials.contains { name.hasSuffix($0) }
  }

  /// Headers of hosts' dialects, which adapters add.
  private static let dialects = Set(
    HostDialect.allCases.flatMap { $0.headers(secret: "") }.map { $0.name.lowercased() })

  /// Headers that belong to one connection, one body or one trace.
  private static let connection: Set<String> = [
    "host", "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding",
    "upgrade", "expect", "accept", "accept-encoding", "content-type", "content-length",
    "content-encoding", "traceparent", "tracestate", "forwarded",
  ]

  /// Names in lower case.
  public let names: [String]

  /// Number of headers that are always forwarded.
  public static var standardCount: Int { standard.count }
  public static let none = ForwardedHeaders(names: [])

  private init(names: [String]) { self.names = names }

  /// - Parameter more: names in addition to the standard ones.
  /// - Throws: `Forbidden` for a header that carries a secret, belongs to one connection, or is set
  ///   by Tutti itself.
  public init(_ more: [String] = []) throws(Forbidden) {
    var names = Self.standard
    for name in more.map({ $0.lowercased() }) {
      guard !Self.isCredential(name), !Self.connection.contains(name),
        !Self.dialects.contains(name), !name.hasPrefix("x-tutti-")
      else {
        throw Forbidden(name: name)
      }
      if !names.contains(name) { names.append(name) }
    }
    self.names = names
  }

  /// Selects the headers of a request that are forwarded, up to limits in number and bytes.
  /// - Parameter value: returns a header's value by name. `nil` means that the request does not
  ///   have the header.
  public func select(_ value: (String) -> String?) -> [(name: String, value: String)] {
    var left = Limits.forwardedHeaderBytes.value
    var selected: [(name: String, value: String)] = []
    for name in names.prefix(Limits.forwardedHeaders.value) {
      guard let value = value(name), !value.isEmpty, value.utf8.count <= left,
        value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 })
      else { continue }
      left -= value.utf8.count
      selected.append((name, value))
    }
    return selected
  }
}
