public import ClusterModel

/// Chooses the hosts that a task avoids, so that concurrent tasks share the hosts.
public enum HostTurn {
  /// Assigns hosts in turn by seed. Agents are separate processes and do not see each other's load,
  /// but the members of an ensemble have consecutive seeds. So two hosts get two and one of three
  /// members; a random choice gives all three to one host in every fourth case.
  ///
  /// - Returns: hosts for `InferenceConstraints.avoid`, which is a preference: if the host whose
  ///   turn it is cannot answer, the avoided hosts may.
  public static func avoided(
    by order: TaskOrder, model: ModelID?, hosts: HostTable
  ) -> [HostID] {
    // The dispatcher, which sees all tasks, has already chosen.
    if let host = order.host { return order.avoidHosts.filter { $0 != host } }
    // The sink runs alone, so the hosts' load can decide.
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
