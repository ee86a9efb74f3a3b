public import Limits

/// Identifier of one accepted connection of a server.
public struct ConnectionID: Hashable, Sendable {
  let number: UInt64
}

/// Limits on a server's connections.
public struct ConnectionLimits: Hashable, Sendable {
  public var total: Int
  var perClient: Int
  /// Limit for all programs on this machine together.
  var perLocalClient: Int
  /// Additional connections beyond `total`. They serve only health and metrics.
  public var reserved: Int
  /// Maximum connections whose request was refused.
  var refused: Int

  public init(
    total: Int = Limits.connections.value, perClient: Int = Limits.connectionsPerClient.value,
    perLocalClient: Int = Limits.connectionsPerLocalClient.value,
    reserved: Int = Limits.reservedConnections.value,
    refused: Int = Limits.refusedConnections.value
  ) {
    self.total = total
    self.perClient = perClient
    self.perLocalClient = perLocalClient
    self.reserved = reserved
    self.refused = refused
  }
}

/// Decides which connections a server keeps.
///
/// If a client has reached its share, one of its own connections is evicted. This is the one that
/// has been idle longest. If none is idle, but incomplete requests take a quarter of the share, it
/// is the one whose request has been incomplete longest.
///
/// If the server is full, an idle connection of any client is evicted. If none is idle, a
/// connection with an incomplete request is evicted, if its client has more connections than the
/// new connection's client will have.
///
/// New connections are evicted last, because their requests may have arrived without having been
/// read. A new connection counts as idle after the table has changed as many times as the server
/// may have connections.
///
/// A connection whose request was refused stays for a moment, so that its client can read the error.
/// If there are too many of these, the oldest one of the client with the most connections is evicted.
///
/// If no connection can be evicted, the new connection joins a small reserve that serves only
/// health and metrics.
public struct ConnectionTable: Sendable {
  public enum Activity: Hashable, Sendable {
    /// No byte has been read from the connection yet.
    case new
    /// The last request was answered, and no byte of the next one has arrived.
    case idle
    /// Only a part of a request has arrived, or its answer is delayed.
    case receiving
    /// A request was refused. Further bytes are discarded until the connection closes.
    case refused
    /// A request is being answered.
    case answering
  }

  /// A connection to close.
  public struct Eviction: Hashable, Sendable {
    public let id: ConnectionID
    /// Activity of the connection when it was selected. If the connection has become more active
    /// since, call `reinstate`.
    public let activity: Activity
  }

  /// The decision on a new connection.
  public enum Admission: Hashable, Sendable {
    /// The connection serves all requests.
    case served(ConnectionID, evicting: Eviction?)
    /// The connection serves only health and metrics, because this limit is reached.
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
    var activity = Activity.new
    /// Value of the logical clock at the last change of activity.
    var since: UInt64
  }

  private let limits: ConnectionLimits
  private var entries: [ConnectionID: Entry] = [:]
  private var served: [ClientID: Int] = [:]
  private var servedCount = 0
  private var refusedCount = 0
  private var clock: UInt64 = 0

  public init(_ limits: ConnectionLimits) { self.limits = limits }

  public var count: Int { entries.count }

  public func connections(of client: ClientID) -> Int { served[client] ?? 0 }

  /// Registers a new connection of a client.
  public mutating func open(_ client: ClientID) -> Admission {
    let held = connections(of: client)
    let isLocal = client == .local
    let share = isLocal ? limits.perLocalClient : limits.perClient
    if held >= share {
      let row = isLocal ? Limits.connectionsPerLocalClient : Limits.connectionsPerClient
      return admit(
        client,
        evicting: idlest { $0 == client } ?? slowest(of: client, share)
          ?? pick(.new) { $0.client == client },
        limit: row.with(share))
    }
    guard servedCount >= limits.total else {
      return .served(add(client, isReserved: false), evicting: nil)
    }
    return admit(
      client,
      evicting: idlest { _ in true } ?? slowest(exceeding: held) ?? pick(.new) { _ in true },
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
      // Health probes end quickly, so the oldest reserved connection is a finished probe or no
      // probe.
      evicted = entries.filter(\.value.isReserved).min { $0.value.since < $1.value.since }
        .map { Eviction(id: $0.key, activity: .receiving) }
      if let evicted { close(evicted.id) }
    }
    return .reserved(add(client, isReserved: true), evicting: evicted, limit)
  }

  /// The connection that has been idle longest, of the client with the most connections.
  private func idlest(_ isEligible: (ClientID) -> Bool) -> Eviction? {
    pick(.refused) { isEligible($0.client) }
      ?? pick(.idle) { isEligible($0.client) }
      ?? pick(.new) { isEligible($0.client) && clock - $0.since >= UInt64(limits.total) }
  }

  /// The connection whose request has been incomplete for the longest time, of the client with the
  /// most connections. `nil` means that no client with an incomplete request has more connections
  /// than the new connection's client will have.
  private func slowest(exceeding held: Int) -> Eviction? {
    pick(.receiving) { connections(of: $0.client) > held + 1 }
  }

  /// The connection of the client whose request has been incomplete for the longest time. `nil`
  /// means that incomplete requests take less than a quarter of the client's share.
  ///
  /// Requests usually arrive within milliseconds, so many incomplete ones are a flood. A flood must
  /// not keep out the client's other requests.
  private func slowest(of client: ClientID, _ share: Int) -> Eviction? {
    let incomplete = entries.values.count { $0.client == client && $0.activity == .receiving }
    guard incomplete.multipliedCapped(by: 4) >= share else { return nil }
    return pick(.receiving) { $0.client == client }
  }

  /// The connection that has had this activity for the longest time, of the client with the most
  /// connections.
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

  /// Records that a request began to arrive, has arrived completely, was answered or refused.
  ///
  /// - Returns: a connection to close, because the requests of too many were refused.
  public mutating func change(_ id: ConnectionID, to activity: Activity) -> Eviction? {
    guard let entry = entries[id], entry.activity != activity else { return nil }
    clock += 1
    entries[id]?.activity = activity
    entries[id]?.since = clock
    guard !entry.isReserved else { return nil }
    if entry.activity == .refused { refusedCount -= 1 }
    guard activity == .refused else { return nil }
    refusedCount += 1
    guard refusedCount > limits.refused, let oldest = pick(.refused, { _ in true }) else {
      return nil
    }
    close(oldest.id)
    return oldest
  }

  /// Restores an evicted connection that became active before it was closed.
  public mutating func reinstate(_ id: ConnectionID, of client: ClientID, _ activity: Activity) {
    guard entries[id] == nil else { return }
    clock += 1
    entries[id] = Entry(client: client, isReserved: false, activity: activity, since: clock)
    served[client, default: 0] += 1
    servedCount += 1
    if activity == .refused { refusedCount += 1 }
  }

  /// Removes a connection that has closed or is about to close. Calling it again has no effect.
  public mutating func close(_ id: ConnectionID) {
    guard let entry = entries.removeValue(forKey: id), !entry.isReserved else { return }
    servedCount -= 1
    if entry.activity == .refused { refusedCount -= 1 }
    let left = connections(of: entry.client) - 1
    served[entry.client] = left > 0 ? left : nil
  }
}

extension Limit {
  /// The same limit with a configured value.
  public func with(_ value: Int) -> Limit { Limit(name, value, unit, reason) }
}
