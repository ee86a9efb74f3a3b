import ClusterModel
import Text

/// Rules for the addresses a port may listen on.
enum ListenSafety {
  /// The toggle that allows unsafe addresses.
  static let setting = "cluster.insecure_listen"

  /// The reason why a port at this address is unsafe; `nil` means that it is safe.
  ///
  /// - Parameters:
  ///   - hasTLS: whether the port serves HTTPS.
  ///   - asksForKeys: whether the port refuses requests without a valid key or token.
  static func danger(
    of address: HostAndPort, hasTLS: Bool, asksForKeys: Bool
  ) -> String? {
    guard !address.isLoopback else { return nil }
    var missing: [String] = []
    if !hasTLS { missing.append("without TLS") }
    if !asksForKeys { missing.append("without keys") }
    guard !missing.isEmpty else { return nil }
    return "\(address) can be reached from other machines \(missing.joined(separator: " and "))"
  }
}

extension SettingValues {
  /// Rejects a port that is reachable from other machines without TLS or without keys. If the
  /// operator allowed it, adds a warning instead.
  public mutating func checkListening(
    _ key: String, _ address: HostAndPort, asksForKeys: Bool
  ) {
    let hasTLS = optionalText("cluster.tls_certificate") != nil
    guard
      let danger = ListenSafety.danger(of: address, hasTLS: hasTLS, asksForKeys: asksForKeys)
    else { return }
    if toggle(ListenSafety.setting) {
      warn(key, danger)
    } else {
      let remedy = hasTLS ? "" : ", set --tls-certificate and --tls-key"
      reject(
        key,
        "\(danger); listen on 127.0.0.1\(remedy), or allow it with --insecure-listen")
    }
  }
}

extension HostAndPort {
  /// Whether only this machine can reach the address.
  var isLoopback: Bool { host.isLoopbackName }
}
