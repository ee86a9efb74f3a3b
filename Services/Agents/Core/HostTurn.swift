public import ClusterModel

/// Which hosts a task leaves alone, so that tasks which work side by side share them.
public enum HostTurn {
  /// Agents are processes of their own and see nothing of each other's load. But the members of an
  /// ensemble have seeds that follow each other, so each can tell whose turn it is: two hosts get
  /// two and one of three members, where chance gives all three to one of them every fourth time.
  ///
  /// - Returns: for `InferenceConstraints.avoid`, which is a wish: when the host whose turn it is
  ///   cannot answer, the others may.
  public static func avoided(
    by order: TaskOrder, model: ModelID?, hosts: HostTable
  ) -> [HostID] {
    // Whoever sees all tasks has chosen already.
    if let host = order.host { return order.avoidHosts.filter { $0 != host } }
    // The sink works alone, so the hosts' load can decide.
    guard !order.isSink, let model else { return order.avoidHosts }
    let able = hosts.hosts.filter {
      $0.state == .ready && $0.tier == .community && $0.trust >= order.dataPolicy
        && $0.offers(model)
    }
    guard able.count > 1 else { return order.avoidHosts }
    let sorted = able.map(\.id).sorted()
    let turn = sorted[Int(order.task.seed % UInt64(sorted.count))]
    return sorted.filter { $0 != turn }
  }
}
