public import ClusterModel

/// How much work the hosts can use at once.
public enum HostRoom {
  /// One request that is answered and one that waits, for each slot: no host is ever idle while there
  /// is work, and it is decided as late as can be which host does what, so that one that joins gets
  /// its part and a slow one does not sit on the last task of a plan.
  public static let perSlot = 2

  /// Tasks that may be under way on these hosts; nil: not known, because one that is ready does not
  /// tell how many requests it answers at once, or none is ready.
  public static func tasks(on hosts: some Sequence<Host>) -> Int? {
    var slots = 0
    for host in hosts where host.state == .ready && host.tier == .community {
      guard let own = host.slots else { return nil }
      slots += max(1, own)
    }
    return slots == 0 ? nil : perSlot * slots
  }
}
