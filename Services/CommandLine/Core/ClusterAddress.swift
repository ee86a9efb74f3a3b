public import ClusterModel

/// Addresses of a cluster.
/// `tutti up` writes them to `cluster.json` in the data directory, where the other commands read
/// them.
public struct ClusterAddress: Codable, Hashable, Sendable {
  /// Base URLs, without a path.
  public var gateway: String
  public var registry: String
  public var monitor: String
  /// Process id of `tutti up`. `nil` means that the address is not from `cluster.json`.
  public var pid: Int32?
  /// Path of the file with the token of the registry's admin API.
  public var adminTokenFile: String?
  /// Path of the file in which `tutti up` records the crashes of its children.
  public var crashFile: String?

  public init(
    gateway: String, registry: String, monitor: String, pid: Int32? = nil,
    adminTokenFile: String? = nil, crashFile: String? = nil
  ) {
    self.gateway = gateway
    self.registry = registry
    self.monitor = monitor
    self.pid = pid
    self.adminTokenFile = adminTokenFile
    self.crashFile = crashFile
  }

  enum CodingKeys: String, CodingKey {
    case gateway, registry, monitor, pid
    case adminTokenFile = "admin_token_file"
    case crashFile = "crash_file"
  }

  /// Derives the addresses from a gateway's URL. The registry and the monitor use the next two
  /// ports.
  /// - Parameter url: `http://HOST:PORT`, with or without `/v1` at its end.
  public init(gatewayURL url: String) throws(ProcessFailure) {
    var base = Substring(url)
    while base.last == "/" { base.removeLast() }
    if base.hasSuffix("/v1") { base.removeLast(3) }
    while base.last == "/" { base.removeLast() }
    let scheme = base.hasPrefix("https://") ? "https://" : "http://"
    guard base.hasPrefix(scheme) else {
      throw ProcessFailure(
        .usage, "“\(url)” is not the address of a gateway; it should be like http://127.0.0.1:8080")
    }
    let authority = base.dropFirst(scheme.count)
    // A colon within the brackets of an IPv6 address does not begin a port.
    let colon = authority.lastIndex(of: ":")
    let host: Substring
    let port: Int
    if let colon, !authority[colon...].contains("]") {
      host = authority[..<colon]
      guard let number = Int(authority[authority.index(after: colon)...]),
        (1...65_533).contains(number)
      else {
        throw ProcessFailure(
          .usage, "“\(url)” has no usable port; it should be like http://127.0.0.1:8080")
      }
      port = number
    } else {
      host = authority
      port = scheme == "https://" ? 443 : 80
    }
    guard !host.isEmpty, !host.contains(where: { "/?#@".contains($0) }) else {
      throw ProcessFailure(
        .usage, "“\(url)” is not the address of a gateway; it should be like http://127.0.0.1:8080")
    }
    self.init(
      gateway: "\(scheme)\(host):\(port)", registry: "\(scheme)\(host):\(port + 1)",
      monitor: "\(scheme)\(host):\(port + 2)")
  }
}
