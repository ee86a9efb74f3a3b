public import ClusterModel
import Limits

/// The hosts at one moment: the table, and what each host is doing.
///
/// A process that sends no requests itself builds the view from the published load. A process that
/// sends requests builds it from its own measurements, which include the published ones
/// (`ClusterView`).
public struct HostView: Sendable {
  /// A host of the view, with what it is doing.
  public struct Entry: Sendable {
    public let host: Host
    public let activity: HostActivity

    /// Number of slots minus requests in flight, at least 0.
    public var freeSlots: Int {
      max(0, (host.slots ?? HostSharing.assumedSlots).subtractingCapped(activity.inFlight))
    }
  }

  /// The hosts in the table's order.
  public let entries: [Entry]
  private let rules: EligibilityRules

  /// - Parameter activities: in the table's order. A host without an activity counts as idle and
  ///   unmeasured.
  public init(
    _ table: HostTable, activities: [HostActivity], rules: EligibilityRules = EligibilityRules()
  ) {
    entries = table.hosts.enumerated().map { row, host in
      Entry(
        host: host, activity: row < activities.count ? activities[row] : HostActivity())
    }
    self.rules = rules
  }

  /// - Parameters:
  ///   - load: the published load. `nil` means that none was published.
  ///   - age: time since the load was published.
  public init(
    _ table: HostTable, load: LoadTable? = nil, age: Duration = .zero,
    rules: EligibilityRules = EligibilityRules()
  ) {
    var loads: [HostID: HostLoad] = [:]
    for host in load?.hosts ?? [] { loads[host.host] = host }
    self.init(
      table,
      activities: table.hosts.map { host in
        loads[host.id].map { HostActivity($0, age: age) } ?? HostActivity()
      }, rules: rules)
  }

  /// Why the host may not serve. `nil` means that it may.
  public func refusal(of entry: Entry, for need: HostNeed) -> HostNeed.Refusal? {
    need.refusal(of: entry.host, in: entry.activity, rules: rules)
  }

  /// Whether at least one host of either tier may serve.
  public func hasServing(_ need: HostNeed) -> Bool {
    entries.contains { refusal(of: $0, for: need) == nil }
  }

  /// Hosts of both tiers that may serve.
  public func serving(_ need: HostNeed) -> [Entry] {
    entries.filter { refusal(of: $0, for: need) == nil }
  }

  /// Hosts that `infer()` asks first. These are the community's hosts that may serve, otherwise the
  /// operator's own ones. If no host may serve, they are the hosts that only a passing reason
  /// excludes.
  ///
  /// - Parameter models: models from which the caller may choose. If the need is any chat or
  ///   embedding model, hosts without one of them are left out.
  public func firstAsked(for need: HostNeed, models: AllowedModels = .all) -> [Entry] {
    let able = entries.filter { need.models.isMet(by: $0.host, models) }
    let serving = preferringCommunity(able.filter { refusal(of: $0, for: need) == nil })
    return serving.isEmpty
      ? preferringCommunity(able.filter { refusal(of: $0, for: need)?.isPassing == true })
      : serving
  }

  /// Leaves out fallback hosts if there is a community host.
  private func preferringCommunity(_ entries: [Entry]) -> [Entry] {
    let community = entries.filter { $0.host.tier == .community }
    return community.isEmpty ? entries : community
  }

  /// Chat models from which Tutti may choose, sorted: the `choices` of the hosts that may serve. If
  /// no host may serve, the `choices` of the hosts that only a passing reason excludes.
  ///
  /// - Parameter named: models that the client names. They are included even if a passing reason
  ///   excludes their hosts, because `infer()` waits for such a host or asks it.
  public func chatModels(
    policy: DataPolicy, pools: HostPools = .all, named: [ModelID] = []
  ) -> [ModelID] {
    let need = HostNeed(.anyChat, dataPolicy: policy, pools: pools)
    let named = Set(named)
    func models(_ entries: [Entry]) -> Set<ModelID> {
      var models: Set<ModelID> = []
      for entry in entries { models.formUnion(entry.host.choices(named: named).map(\.id)) }
      return models
    }
    let now = models(serving(need))
    let soon = models(entries.filter { refusal(of: $0, for: need)?.isPassing == true })
    return (now.isEmpty ? soon : now.union(soon.intersection(named))).sorted()
  }

  /// Embedding models of hosts that may serve or that only a passing reason excludes, sorted and
  /// without aliases.
  public func embeddingModels(policy: DataPolicy, pools: HostPools = .all) -> [ModelID] {
    let need = HostNeed(.anyEmbedding, dataPolicy: policy, pools: pools)
    var models: Set<ModelID> = []
    for entry in entries where refusal(of: entry, for: need)?.isPassing ?? true {
      for offer in entry.host.models where offer.isEmbedding && offer.upstream == nil {
        models.insert(offer.id)
      }
    }
    return models.sorted()
  }

  /// Facts for the planner about the hosts that may work on a request now.
  ///
  /// Fallback hosts are included only if no community host may serve with one of the models. A plan
  /// must not rely on them otherwise.
  ///
  /// - Parameters:
  ///   - named: as for `chatModels(policy:named:)`.
  ///   - models: models from which the planner may choose. Hosts without one of them are left out.
  ///   - limit: maximum number of hosts. Hosts with free slots come first, then the fastest.
  /// - Returns: the facts, sorted by host ID.
  public func facts(
    policy: DataPolicy, pools: HostPools = .all, named: [ModelID] = [],
    models: AllowedModels = .all, limit: Int = PlanValidation.maximumHosts
  ) -> [HostFacts] {
    let need = HostNeed(.anyChat, dataPolicy: policy, pools: pools)
    let named = Set(named)
    let able = serving(need).filter { entry in
      !models.isLimited
        || entry.host.choices(named: named).contains { models.admits($0.id) }
    }
    let all = preferringCommunity(able).map { HostFacts($0, named: named, models) }
    guard all.count > limit else { return all.sorted { $0.id < $1.id } }
    func rank(_ host: HostFacts) -> (Int, Int, HostID) {
      (host.freeSlots > 0 ? 0 : 1, -host.rateMilli, host.id)
    }
    let best = all.sorted { rank($0) < rank($1) }
    return best.prefix(limit).sorted { $0.id < $1.id }
  }
}

extension HostFacts {
  fileprivate init(_ entry: HostView.Entry, named: Set<ModelID>, _ models: AllowedModels) {
    let speed = entry.activity.speed
    let offers = entry.host.choices(named: named).filter { models.admits($0.id) }
    var contexts: [ModelID: Int] = [:]
    for offer in offers { contexts[offer.id] = offer.contextTokens }
    self.init(
      id: entry.host.id, models: offers.map(\.id).sorted(),
      freeSlots: entry.freeSlots,
      rateMilli: speed.tokensPerSecond.map { Int(clamping: ($0 * 1_000).rounded()) } ?? 0,
      firstTokenMilliseconds: speed.firstToken.map { Int($0.wholeMilliseconds) } ?? 0,
      slowdownPercent: speed.slowdown.map { Int(clamping: ($0 * 100).rounded()) },
      contextTokens: contexts)
  }
}

extension HostNeed.Models {
  /// Whether the host has a model of this kind that is allowed. The limit does not apply to models
  /// that the need names.
  fileprivate func isMet(by host: Host, _ allowed: AllowedModels) -> Bool {
    guard allowed.isLimited else { return true }
    return switch self {
    case .any, .oneOf: true
    case .anyChat: host.models.contains { $0.isChat && allowed.admits($0.id) }
    case .anyEmbedding: host.models.contains { $0.isEmbedding && allowed.admits($0.id) }
    }
  }
}

extension Host {
  /// Chat models of the host from which Tutti may choose for a request or a plan: the named ones,
  /// and the first `table.host_choices` others of its list. Aliases are left out unless they are
  /// named, because they would repeat the models that they stand for.
  public func choices(named: Set<ModelID> = []) -> [ModelOffer] {
    var choices: [ModelOffer] = []
    var unnamed = 0
    for offer in models where offer.isChat {
      if !named.isEmpty, named.contains(offer.id) {
        choices.append(offer)
      } else if unnamed < Limits.hostChoices.value, offer.upstream == nil {
        unnamed += 1
        choices.append(offer)
      }
    }
    return choices
  }
}
