import Limits

/// All hosts that the registry knows, as last published.
public struct HostTable: Sendable {
  /// The registry's incarnation. A new registry restarts the count of revisions.
  public var epoch: UInt64
  public var revision: UInt64
  public var hosts: [Host] {
    didSet {
      lists = nil
      rows = nil
    }
  }
  private var lists: HostTableLists?
  /// Row of each host. If an id occurs twice, the first row counts. `nil` after a change of
  /// `hosts`, because a table that is limited for one request is asked for very few hosts.
  private var rows: [HostID: Int]?

  public static let empty = HostTable(epoch: 0, revision: 0, hosts: [])

  public init(epoch: UInt64, revision: UInt64, hosts: [Host]) {
    self.init(epoch: epoch, revision: revision, hosts: hosts, rows: Self.rows(of: hosts))
  }

  private init(epoch: UInt64, revision: UInt64, hosts: [Host], rows: [HostID: Int]) {
    self.epoch = epoch
    self.revision = revision
    self.hosts = hosts
    self.rows = rows
  }

  private static func rows(of hosts: [Host]) -> [HostID: Int] {
    Dictionary(hosts.enumerated().map { ($1.id, $0) }) { first, _ in first }
  }

  /// The host with this id, the first one if the table has two. `nil` means that the table does not
  /// have it.
  ///
  /// The time does not grow with the number of hosts, unless `hosts` was changed after the table
  /// was made.
  public func host(_ id: HostID) -> Host? {
    guard let rows else { return hosts.first { $0.id == id } }
    return rows[id].map { hosts[$0] }
  }

  /// The same table with its lists of models. A process that needs the lists for each request makes
  /// them once, because a host may list a thousand names of 256 bytes. A change of `hosts` discards
  /// the lists.
  public func indexed() -> HostTable {
    var copy = self
    copy.lists = HostTableLists(of: hosts)
    return copy
  }

  /// The same table without its lists, to be kept for long.
  public func withoutLists() -> HostTable {
    var copy = self
    copy.lists = nil
    return copy
  }

  /// The table with the changes. New hosts are at the end. The lists are kept if they are still
  /// true, and both tables share one index if they have the same hosts.
  public func applying(_ changes: HostChanges) -> HostTable {
    let removed = Set(changes.removed)
    var hosts = hosts.filter { !removed.contains($0.id) }
    var listsAreTrue = hosts.count == self.hosts.count
    let kept = listsAreTrue ? rows : nil
    var positions = kept ?? Self.rows(of: hosts)
    for host in changes.changed {
      if let position = positions[host.id] {
        let isListedAlike =
          hosts[position].models == host.models
          && (hosts[position].state == .ready) == (host.state == .ready)
        listsAreTrue = listsAreTrue && isListedAlike
        hosts[position] = host
      } else {
        listsAreTrue = false
        positions[host.id] = hosts.count
        hosts.append(host)
      }
    }
    var table = HostTable(
      epoch: changes.epoch, revision: changes.revision, hosts: hosts, rows: positions)
    if listsAreTrue { table.lists = lists }
    return table
  }

  /// Whether the table has its lists.
  public var hasLists: Bool { lists != nil }

  /// Models that at least one ready host offers, without duplicates, sorted.
  public var readyModels: [ModelID] {
    Set(hosts.lazy.filter { $0.state == .ready }.flatMap(\.models).map(\.id)).sorted()
  }

  /// The ready models that an admin has not hidden, without duplicates, sorted.
  public var listedModels: [ModelID] { lists?.listed ?? HostTableLists.listed(of: hosts) }

  /// Whether any host offers the model, ready or not.
  public func offers(_ model: ModelID) -> Bool {
    lists.map { $0.contexts[model] != nil } ?? hosts.contains { $0.offers(model) }
  }

  /// Tokens of the longest context that any host offers for one of the models. `nil` means that no
  /// host reports one.
  public func longestContext(of models: [ModelID]) -> Int? {
    if let lists { return models.compactMap { lists.contexts[$0] ?? nil }.max() }
    let models = Set(models)
    var longest: Int?
    for host in hosts {
      for offer in host.models where models.contains(offer.id) {
        longest = max(longest, offer.contextTokens)
      }
    }
    return longest
  }

  /// Names that an error may suggest: models of all hosts, except hidden ones. Each name occurs
  /// once, in the order of the table. The limit `names.examined` bounds their number.
  public func suggestedModels(where isSuggested: (ModelID) -> Bool) -> [ModelID] {
    var models: [ModelID] = []
    for model in lists?.suggested ?? HostTableLists.suggested(of: hosts) where isSuggested(model) {
      models.append(model)
      guard models.count < Limits.examinedNames.value else { break }
    }
    return models
  }

  /// The host's own name of a model. An unknown host has no other name for it.
  public func hostModel(of model: ModelID, at host: HostID) -> ModelID {
    self.host(host)?.hostModel(of: model) ?? model
  }
}

extension HostTable: Equatable {
  /// The lists and the index follow from the hosts, so they are not compared.
  public static func == (one: HostTable, other: HostTable) -> Bool {
    one.epoch == other.epoch && one.revision == other.revision && one.hosts == other.hosts
  }
}

/// Lists of models that many requests need from one table.
private struct HostTableLists {
  let listed: [ModelID]
  /// The models of all hosts, each with the longest context that a host reports for it.
  let contexts: [ModelID: Int?]
  let suggested: [ModelID]

  init(of hosts: [Host]) {
    listed = Self.listed(of: hosts)
    contexts = Dictionary(
      hosts.lazy.flatMap(\.models).map { ($0.id, $0.contextTokens) }, uniquingKeysWith: max)
    suggested = Self.suggested(of: hosts)
  }

  static func listed(of hosts: [Host]) -> [ModelID] {
    var models: Set<ModelID> = []
    for host in hosts where host.state == .ready {
      for offer in host.models where !offer.isHidden { models.insert(offer.id) }
    }
    return models.sorted()
  }

  static func suggested(of hosts: [Host]) -> [ModelID] {
    var models: [ModelID] = []
    var seen: Set<ModelID> = []
    for offer in hosts.lazy.flatMap(\.models).prefix(examinedOffers)
    where !offer.isHidden && seen.insert(offer.id).inserted {
      models.append(offer.id)
    }
    return models
  }

  /// Maximum offers that are read for suggestions. Most are duplicates, because hosts that offer
  /// the same models repeat their names.
  private static let examinedOffers = 8 * Limits.examinedNames.value
}

private func max(_ one: Int?, _ other: Int?) -> Int? {
  guard let one, let other else { return one ?? other }
  return Swift.max(one, other)
}
