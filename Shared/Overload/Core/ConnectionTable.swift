public import Limits

/// One accepted connection of a server.
public struct ConnectionID: Hashable, Sendable {
  let number: UInt64
}

/// Shares of a server's connections.
public struct ConnectionLimits: Hashable, Sendable {
  public var total: Int
  public var perClient: Int
  /// For programs on this machine together.
  public var perLocalClient: Int
  /// On top of `total`.
  public var reserved: Int

  public init(
    total: Int = Limits.connections.value, perClient: Int = Limits.connectionsPerClient.value,
    perLocalClient: Int = Limits.connectionsPerLocalClient.value,
    reserved: Int = Limits.reservedConnections.value
  ) {
    self.total = total
    self.perClient = perClient
    self.perLocalClient = perLocalClient
    self.reserved = reserved
  }
}

/// Decides which connections a server keeps. A client at its share, or a full server, loses the
/// connection that has been idle longest. If none is idle, the new connection is admitted to a small
/// reserve, where only health and metrics are answered.
public struct ConnectionTable: Sendable {
  public enum Activity: Hashable, Sendable {
    /// No byte of a request has come since the last answer.
    case idle
    /// Some bytes of a request are there and others are missing.
    case receiving
    /// A request is being answered.
    case answering
  }

  /// A connection to close.
  public struct Eviction: Hashable, Sendable {
    public let id: ConnectionID
    /// What it was chosen for. A connection that does more by now is to be reinstated.
    public let activity: Activity
  }

  /// What becomes of a new connection.
  public enum Admission: Hashable, Sendable {
    /// It is served like any other.
    case served(ConnectionID, evicting: Eviction?)
    /// It gets answers for health and metrics only, because this limit is reached.
    case reserved(ConnectionID, evicting: Eviction?, Limit)

    public var id: ConnectionID {
      switch self {
      case .served(let id, _), .reserved(let id, _, _): id
      }
    }

    public var evicting: Eviction? {
      switch self {
      case .served(_, let evicted), .reserved(_, let evicted, _): evicted
      }
    }
  }

  private struct Entry {
    let client: ClientID
    let isReserved: Bool
    var activity = Activity.idle
    /// Order of the last change of activity.
    var since: UInt64
  }

  private let limits: ConnectionLimits
  private var entries: [ConnectionID: Entry] = [:]
  private var served: [ClientID: Int] = [:]
  private var servedCount = 0
  private var clock: UInt64 = 0

  public init(_ limits: ConnectionLimits) { self.limits = limits }

  public var count: Int { entries.count }

  public func connections(of client: ClientID) -> Int { served[client] ?? 0 }

  /// A client has connected.
  public mutating func open(_ client: ClientID) -> Admission {
    let held = connections(of: client)
    let isLocal = client == .local
    let share = isLocal ? limits.perLocalClient : limits.perClient
    if held >= share {
      let row = isLocal ? Limits.connectionsPerLocalClient : Limits.connectionsPerClient
      return admit(client, evicting: idlest { $0 == client }, limit: row.with(share))
    }
    guard servedCount >= limits.total else {
      return .served(add(client, isReserved: false), evicting: nil)
    }
    return admit(
      client, evicting: idlest { _ in true } ?? slowest(besides: held),
      limit: Limits.connections.with(limits.total))
  }

  private mutating func admit(
    _ client: ClientID, evicting victim: Eviction?, limit: Limit
  ) -> Admission {
    if let victim {
      close(victim.id)
      return .served(add(client, isReserved: false), evicting: victim)
    }
    var evicted: Eviction?
    if entries.count - servedCount >= limits.reserved {
      // A probe is answered at once: the oldest is none, or is done.
      evicted = entries.filter(\.value.isReserved).min { $0.value.since < $1.value.since }
        .map { Eviction(id: $0.key, activity: .receiving) }
      if let evicted { close(evicted.id) }
    }
    return .reserved(add(client, isReserved: true), evicting: evicted, limit)
  }

  /// The connection that has been idle longest; of the client that has most, if several have idle
  /// ones.
  private func idlest(_ isEligible: (ClientID) -> Bool) -> Eviction? {
    pick(.idle) { isEligible($0.client) }
  }

  /// The request that has been incomplete longest, of a client that has more connections than the
  /// newcomer would have.
  private func slowest(besides held: Int) -> Eviction? {
    pick(.receiving) { connections(of: $0.client) > held + 1 }
  }

  private func pick(_ activity: Activity, _ isEligible: (Entry) -> Bool) -> Eviction? {
    var best: (id: ConnectionID, count: Int, since: UInt64)?
    for (id, entry) in entries
    where !entry.isReserved && entry.activity == activity && isEligible(entry) {
      let count = connections(of: entry.client)
      if let best, (count, best.since) <= (best.count, entry.since) { continue }
      best = (id, count, entry.since)
    }
    return best.map { Eviction(id: $0.id, activity: activity) }
  }

  private mutating func add(_ client: ClientID, isReserved: Bool) -> ConnectionID {
    clock += 1
    let id = ConnectionID(number: clock)
    entries[id] = Entry(client: client, isReserved: isReserved, since: clock)
    if !isReserved {
      served[client, default: 0] += 1
      servedCount += 1
    }
    return id
  }

  /// A connection's request began to arrive, arrived, or was answered.
  public mutating func change(_ id: ConnectionID, to activity: Activity) {
    guard let entry = entries[id], entry.activity != activity else { return }
    clock += 1
    entries[id]?.activity = activity
    entries[id]?.since = clock
  }

  /// A connection that was to be closed turned out to be at work.
  public mutating func reinstate(_ id: ConnectionID, of client: ClientID, _ activity: Activity) {
    guard entries[id] == nil else { return }
    clock += 1
    entries[id] = Entry(client: client, isReserved: false, activity: activity, since: clock)
    served[client, default: 0] += 1
    servedCount += 1
  }

  /// A connection is gone, or about to be closed. Calling it again has no effect.
  public mutating func close(_ id: ConnectionID) {
    guard let entry = entries.removeValue(forKey: id), !entry.isReserved else { return }
    servedCount -= 1
    let left = connections(of: entry.client) - 1
    served[entry.client] = left > 0 ? left : nil
  }
}

extension Limit {
  /// The same limit with the value that the configuration sets.
  public func with(_ value: Int) -> Limit { Limit(name, value, unit, reason) }
}
