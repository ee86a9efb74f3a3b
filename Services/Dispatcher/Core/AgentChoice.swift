public import ClusterModel

/// Which agent gets a task.
public enum AgentChoice {
  /// The one with least of our work among those that have not just lost this task; among those that
  /// have, if there is nobody else. Ties go round by `turn`, so that equal agents share the work.
  /// - Parameter load: tasks of ours that an agent has now.
  public static func pick(
    from live: [PeerID], avoiding: [PeerID], load: (PeerID) -> Int, turn: Int
  ) -> PeerID? {
    let fresh = live.filter { !avoiding.contains($0) }
    let candidates = fresh.isEmpty ? live : fresh
    guard let least = candidates.map(load).min() else { return nil }
    let idle = candidates.filter { load($0) == least }
    return idle[((turn % idle.count) + idle.count) % idle.count]
  }
}
