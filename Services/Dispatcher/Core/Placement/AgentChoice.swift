public import ClusterModel

/// Chooses the agent for a task.
public enum AgentChoice {
  /// Returns the agent with the fewest of this dispatcher's tasks.
  /// Agents in `avoiding` are candidates only if there is no other agent. `turn` breaks ties round
  /// robin, so that equal agents share the work.
  /// - Parameter load: the number of this dispatcher's tasks that an agent has now.
  /// - Returns: `nil` if no agent is live.
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
