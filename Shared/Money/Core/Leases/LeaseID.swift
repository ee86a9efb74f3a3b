public import ClusterModel

/// Identifies a lease, in which one gateway process holds money of one key.
///
/// A gateway numbers its leases from 1 and never reuses a number. So the registry recognises
/// messages about ended leases by one number per gateway, and needs no list of them.
public struct LeaseID: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let gateway: PeerID
  public let number: UInt64

  public init(gateway: PeerID, number: UInt64) {
    self.gateway = gateway
    self.number = number
  }

  public var description: String { "\(gateway)/\(number)" }

  public static func < (left: LeaseID, right: LeaseID) -> Bool {
    (left.gateway, left.number) < (right.gateway, right.number)
  }
}

extension LeaseID {
  /// Parses a lease's description. `nil` means that the text is no such description.
  public init?(_ description: some StringProtocol) {
    guard let slash = description.lastIndex(of: "/"),
      let number = UInt64(description[description.index(after: slash)...])
    else { return nil }
    let peer = description[..<slash]
    guard let mark = peer.lastIndex(of: "#"),
      let incarnation = UInt64(peer[peer.index(after: mark)...], radix: 16)
    else { return nil }
    self.init(
      gateway: PeerID(name: String(peer[..<mark]), incarnation: incarnation), number: number)
  }
}
