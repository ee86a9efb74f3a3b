public import ClusterModel
import Limits

/// The processes on the bus. Each process sends hellos, which renew its lease. A process whose
/// lease ends is removed.
///
/// A name belongs to one incarnation. A restarted process takes over its name, and the replaced
/// process is refused afterwards, so that two processes cannot alternate under one name. A process
/// with another name takes over a mailbox only after the holder's lease has ended. If frames are
/// sealed, the same applies to a process with another key that takes over a name. So no member of
/// the cluster can push another out.
public struct PeerLeases: Sendable {
  public static let capacity = Limits.busPeers.value
  /// Permitted lease durations.
  /// A shorter lease could end because of a short delay. A longer one would keep lost processes too
  /// long.
  public static let leases: ClosedRange<Duration> = .milliseconds(500)...(.seconds(300))
  /// Maximum replaced incarnations to remember per name. The incarnation that was replaced first is
  /// forgotten first.
  static let rememberedIncarnations = 16

  public enum Directive: Equatable, Sendable {
    case publish(PeerTable)
  }

  private struct Lease: Sendable {
    var peer: Peer
    /// `nil` means the registry's own entry, which ends with the registry.
    var ends: Instant?
    var replaced: [UInt64] = []

    func isOver(at now: Instant) -> Bool { ends.map { $0 <= now } ?? false }
  }

  private let epoch: UInt64
  private let own: PeerID
  private var revision: UInt64 = 1
  private var leases: [String: Lease] = [:]
  /// Processes whose leases ended since the last `takeLost`, at most `capacity`.
  private var lost: [Peer] = []

  /// - Parameters:
  ///   - epoch: the registry's incarnation.
  ///   - own: the registry's own entry, always in the table.
  public init(epoch: UInt64, own: Peer) {
    self.epoch = epoch
    self.own = own.id
    leases[own.id.name] = Lease(peer: own, ends: nil)
  }

  /// The present peer table. Peers are sorted by name.
  public var table: PeerTable {
    PeerTable(
      epoch: epoch, revision: revision,
      peers: leases.values.map(\.peer).sorted { $0.id < $1.id })
  }

  public var count: Int { leases.count }

  /// Time at which the next lease ends, unless it is renewed. `nil` means that no lease ends.
  public var nextExpiry: Instant? { leases.values.compactMap(\.ends).min() }

  /// Adds a process, or renews its lease.
  public mutating func hello(_ peer: Peer, now: Instant) throws(Failure) -> [Directive] {
    try Self.check(peer)
    let name = peer.id.name
    guard name != own.name else {
      throw Failure(
        .invalidRequest,
        "\(name) is the registry's own name; start the process with another --name.")
    }
    guard
      !leases.values.contains(where: {
        $0.peer.mailbox == peer.mailbox && $0.peer.id.name != name && !$0.isOver(at: now)
      })
    else {
      throw Failure(
        .overloaded,
        "Another process receives at \(peer.mailbox), and its lease has not ended.",
        retryAfter: .seconds(1))
    }
    // Nothing changes before the last check, because a refusal cannot return directives.
    var lease = Lease(peer: peer, ends: now.advanced(by: peer.ttl))
    let present = leases[name].flatMap { $0.isOver(at: now) ? nil : $0 }
    if let present {
      lease.replaced = present.replaced
      guard present.peer.key == peer.key else {
        throw Failure(
          .overloaded,
          "\(name) belongs to another process, whose lease has not ended; start this process with "
            + "another --name, or wait.",
          retryAfter: .seconds(1))
      }
      if present.peer.id != peer.id {
        guard !present.replaced.contains(peer.id.incarnation) else {
          throw Failure(
            .peerLost,
            "\(name) now belongs to another process; start this process with another --name.")
        }
        lease.replaced = Array(
          (present.replaced + [present.peer.id.incarnation]).suffix(Self.rememberedIncarnations))
      }
    } else if leases.values.count(where: { !$0.isOver(at: now) }) >= Self.capacity {
      throw Failure(
        .overloaded, "The cluster is full: \(Self.capacity) processes are on the bus.",
        retryAfter: .seconds(10))
    }
    var directives = expire(now: now)
    leases[name] = lease
    if present?.peer != peer {
      revision += 1
      directives = [.publish(table)]
    }
    return directives
  }

  /// Removes a process. A late message from a replaced incarnation has no effect.
  public mutating func goodbye(_ peer: PeerID, now: Instant) -> [Directive] {
    var directives = expire(now: now)
    if peer != own, leases[peer.name]?.peer.id == peer {
      leases[peer.name] = nil
      revision += 1
      directives = [.publish(table)]
    }
    return directives
  }

  /// Ends the leases that are over. For example, a lease of 2 s from t on is over at t + 2 s.
  public mutating func expire(now: Instant) -> [Directive] {
    let over = leases.values.filter { $0.isOver(at: now) }.map(\.peer)
    if over.isEmpty { return [] }
    for peer in over { leases[peer.id.name] = nil }
    lost += over.sorted { $0.id < $1.id }.prefix(Self.capacity - lost.count)
    revision += 1
    return [.publish(table)]
  }

  /// Takes the processes whose leases ended since the last call. A process that sent a goodbye, or
  /// whose name a new incarnation took over, is not among them.
  public mutating func takeLost() -> [Peer] {
    defer { lost = [] }
    return lost
  }

  private static func check(_ peer: Peer) throws(Failure) {
    let label = Limits.peerLabelBytes.value
    guard (1...label).contains(peer.id.name.utf8.count),
      peer.version.utf8.count <= label, peer.service.description.utf8.count <= label
    else {
      throw Failure(
        .invalidRequest,
        "A peer's name must have 1 to \(label) bytes, and its service and version at most that "
          + "many.")
    }
    guard peer.service != .registry else {
      throw Failure(.invalidRequest, "This cluster has a registry; it cannot have another.")
    }
    guard leases.contains(peer.ttl) else {
      throw Failure(.invalidRequest, "A lease must last from 0.5 to 300 seconds, not \(peer.ttl).")
    }
    let address = Limits.busAddressBytes.value
    guard (1...address).contains(peer.mailbox.utf8.count) else {
      throw Failure(.invalidRequest, "A peer's mailbox must have 1 to \(address) bytes.")
    }
    guard peer.key.isEmpty || peer.key.count == keyBytes else {
      throw Failure(.invalidRequest, "A peer's key must have \(keyBytes) bytes.")
    }
  }

  /// Bytes of an X25519 public key.
  private static let keyBytes = 32
}
