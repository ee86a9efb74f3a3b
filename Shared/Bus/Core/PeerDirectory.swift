public import ClusterModel

/// The known peers: those in the registry's table, and those that no current table lists yet. The
/// latter are kept for a time, so that no peer disappears because the registry was restarted. A
/// peer found dead stays known but is not live.
public struct PeerDirectory: Equatable, Sendable {
  public private(set) var table = PeerTable.empty
  private var byID: [PeerID: Peer] = [:]
  /// Peers found dead, each with the time until which it is skipped. A message from the peer makes
  /// it live immediately.
  private var dead: [PeerID: Instant] = [:]
  /// Peers that reported that they are shutting down; they get no more requests.
  private var leaving: Set<PeerID> = []
  /// Peers that no current table lists, each with the time until which it is kept.
  private var carried: [PeerID: Instant] = [:]

  public subscript(id: PeerID) -> Peer? { byID[id] }

  public var all: [Peer] { byID.values.sorted { $0.id < $1.id } }

  public func live(_ service: ServiceName) -> [Peer] {
    all.filter { $0.service == service && isLive($0.id) }
  }

  /// Whether the peer can be sent a request now.
  public func isLive(_ id: PeerID) -> Bool {
    byID[id] != nil && dead[id] == nil && !leaving.contains(id)
  }

  public func peer(at mailbox: String) -> Peer? {
    byID.values.first { $0.mailbox == mailbox }
  }

  /// Peers that get publications.
  var reachable: [Peer] { all.filter { dead[$0.id] == nil } }

  /// - Parameter isCurrent: whether the table comes from the registry that answered the last hello.
  ///   Such a table applies even if its epoch is lower, which happens if the registry's clock is
  ///   set back.
  /// - Returns: peers that left with this table. `nil` means that the table is not newer than
  ///   the known one.
  mutating func apply(
    _ new: PeerTable, isCurrent: Bool = false, now: Instant
  ) -> [Peer]? {
    let isOther = isCurrent && new.epoch != table.epoch
    guard isOther || (new.epoch, new.revision) > (table.epoch, table.revision) else { return nil }
    let isNewRegistry = new.epoch != table.epoch && table.epoch != 0
    let listed = Dictionary(new.peers.map { ($0.id, $0) }) { first, _ in first }
    let listedNames = Set(new.peers.map(\.id.name))
    var gone: [Peer] = []
    for (id, peer) in byID where listed[id] == nil {
      // A new incarnation with the same name replaces the old one immediately.
      let mayBeLate = isNewRegistry || carried[id] != nil
      if mayBeLate, !listedNames.contains(id.name), peer.service != .registry {
        carried[id] = carried[id] ?? now + peer.ttl
      } else {
        gone.append(peer)
      }
    }
    for peer in gone { forget(peer.id) }
    for (id, peer) in listed {
      byID[id] = peer
      carried[id] = nil
    }
    table = new
    return gone.sorted { $0.id < $1.id }
  }

  /// Adds a peer that introduced itself before the table lists it.
  /// - Parameters:
  ///   - until: when the peer is removed if no table lists it. `nil` means never.
  ///   - limit: maximum number of peers that no table lists.
  /// - Returns: the peer that was removed to make room.
  @discardableResult
  mutating func introduce(
    _ peer: Peer, until: Instant?, limit: Int = .max
  ) -> Peer? {
    guard byID[peer.id] == nil else { return nil }
    var forgotten: Peer?
    if until != nil, carried.count >= limit,
      let oldest = carried.min(by: { ($0.value, $0.key) < ($1.value, $1.key) })?.key
    {
      forgotten = byID[oldest]
      forget(oldest)
    }
    byID[peer.id] = peer
    carried[peer.id] = until
    return forgotten
  }

  mutating func recordReceived(from id: PeerID) { dead[id] = nil }

  mutating func leaves(_ id: PeerID) {
    if byID[id] != nil { leaving.insert(id) }
  }

  mutating func foundDead(_ id: PeerID, now: Instant) {
    if let peer = byID[id] { dead[id] = now + peer.ttl }
  }

  /// - Returns: peers that were kept until now and that no table lists.
  mutating func expire(now: Instant) -> [Peer] {
    for (id, until) in dead where until <= now { dead[id] = nil }
    let late = carried.filter { $0.value <= now }.keys.sorted().compactMap { byID[$0] }
    for peer in late { forget(peer.id) }
    return late
  }

  private mutating func forget(_ id: PeerID) {
    byID[id] = nil
    dead[id] = nil
    carried[id] = nil
    leaving.remove(id)
  }
}
