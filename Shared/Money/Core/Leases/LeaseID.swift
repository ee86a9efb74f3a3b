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
