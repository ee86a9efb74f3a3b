public import ClusterModel

/// Names a lease: one gateway process holds money of one key.
///
/// A gateway numbers its leases from 1 and never reuses a number. The registry thus needs one
/// number per gateway, and no list, to recognise messages about leases that have ended.
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
  /// Reads a lease's description. `nil` means that the text is not one.
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
