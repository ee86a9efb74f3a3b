import Limits
public import ClusterModel

extension ClusterView {
  /// Facts for the planner about the hosts that may work on a request. They are ready, trusted with
  /// the request's data, admitted by their breakers, and offer a chat model. Fallback hosts are
  /// included only if no community host is usable, because a plan must not be made for them.
  ///
  /// - Parameter limit: maximum number of hosts. Hosts with free slots come first, then the
  ///   fastest.
  /// - Returns: the facts, sorted by host ID.
  public func hostFacts(
    policy: DataPolicy, limit: Int = PlanValidation.maximumHosts
  ) -> [HostFacts] {
    let usable = table.hosts.indices.filter { row in
      let host = table.hosts[row]
      return host.state == .ready && host.trust >= policy
        && standings[row].breaker.admits(at: moment)
        && host.models.contains { $0.id.looksLikeChat }
    }
    let community = usable.filter { table.hosts[$0].tier == .community }
    let all = (community.isEmpty ? usable : community).map { facts(row: $0) }
    guard all.count > limit else { return all.sorted { $0.id < $1.id } }
    func rank(_ host: HostFacts) -> (Int, Int, HostID) {
      (host.freeSlots > 0 ? 0 : 1, -host.rateMilli, host.id)
    }
    let best = all.sorted { rank($0) < rank($1) }
    return best.prefix(limit).sorted { $0.id < $1.id }
  }

  private func facts(row: Int) -> HostFacts {
    let host = table.hosts[row]
    let standing = standings[row]
    let isMeasured = standing.isMeasured(at: moment)
    return HostFacts(
      id: host.id, models: host.models.map(\.id).filter(\.looksLikeChat).sorted(),
      freeSlots: standing.freeSlots,
      rateMilli: standing.tokensPerSecond.map { Int(clamping: ($0 * 1_000).rounded()) } ?? 0,
      firstTokenMilliseconds: isMeasured
        ? standing.firstTokenP50.map { Int($0.wholeMilliseconds) } ?? 0 : 0,
      slowdownPercent: standing.slowdown.map { Int(clamping: ($0 * 100).rounded()) })
  }
}
