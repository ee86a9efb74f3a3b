public import ClusterModel
import HostModel

/// The records of models as rules for the offers of hosts.
///
/// The registry applies them before it publishes the host table, so that no other process needs
/// these rules.
public struct ModelRules: Equatable, Sendable {
  private struct Rule: Equatable {
    let record: ModelRecord
    let hosts: Set<HostID>
    let versions: EligibilityRules
  }

  private let approval: ModelApproval
  private let rules: [ModelID: Rule]
  /// Aliases of each model of a host, and the position of the model in the alias's list.
  private let aliases: [ModelID: [(alias: ModelID, rank: Int)]]

  public init(_ records: [ModelRecord] = [], approval: ModelApproval = .open) {
    self.approval = approval
    var rules: [ModelID: Rule] = [:]
    var aliases: [ModelID: [(alias: ModelID, rank: Int)]] = [:]
    for record in records {
      rules[record.id] = Rule(
        record: record, hosts: Set(record.hosts),
        // Cannot fail, because each minimum version was checked when the record was made.
        versions: (try? EligibilityRules(minimumVersions: record.minimumVersions))
          ?? EligibilityRules())
      for (rank, model) in record.standsFor.enumerated() {
        aliases[model, default: []].append((record.id, rank))
      }
    }
    self.rules = rules
    self.aliases = aliases
  }

  /// The aliases need no comparison, because equal rules give equal aliases.
  public static func == (left: Self, right: Self) -> Bool {
    left.approval == right.approval && left.rules == right.rules
  }

  /// Whether hosts offer everything that they list.
  var isEmpty: Bool { rules.isEmpty && approval == .open }

  /// The offers of a host.
  ///
  /// - Parameters:
  ///   - host: provides its id, tags and version.
  ///   - listed: the models that the host lists.
  /// - Returns: first the aliases, sorted by name, then the host's models in their order.
  func offers(of host: Host, listed: [ModelOffer]) -> [ModelOffer] {
    guard !isEmpty else { return listed }
    let names = aliases.isEmpty ? [] : Set(listed.map(\.id))
    var offers: [ModelOffer] = []
    var best: [ModelID: (rank: Int, offer: ModelOffer)] = [:]
    for listed in listed where isApproved(listed.id, on: host) {
      let offer = overridden(listed)
      offers.append(offer)
      for (alias, rank) in aliases[listed.id] ?? [] {
        // A host's own model with the alias's name takes precedence.
        guard !names.contains(alias), isApproved(alias, on: host, isAlias: true),
          best[alias].map({ rank < $0.rank }) ?? true
        else { continue }
        best[alias] = (
          rank,
          overridden(
            ModelOffer(
              id: alias, contextTokens: offer.contextTokens, upstream: listed.id, kind: offer.kind,
              rank: rules[alias]?.record.isRanked == true ? rank : 0))
        )
      }
    }
    return best.values.map(\.offer).sorted { $0.id < $1.id } + offers
  }

  /// Whether a host may serve a model that it lists.
  ///
  /// - Parameter isAlias: whether `model` is an alias, and the host lists a model that the alias
  ///   stands for. If the alias names no hosts, the approval of that model is enough.
  func isApproved(_ model: ModelID, on host: Host, isAlias: Bool = false) -> Bool {
    guard let rule = rules[model] else { return approval == .open }
    guard rule.versions.allow(host) else { return false }
    guard rule.record.limitsHosts else { return approval == .open || isAlias }
    return rule.hosts.contains(host.id)
      || rule.record.hostPools.contains { host.tags.contains($0) }
  }

  /// Aliases that stand for a model.
  func aliases(of model: ModelID) -> [ModelID] { aliases[model]?.map(\.alias) ?? [] }

  private func overridden(_ offer: ModelOffer) -> ModelOffer {
    guard let record = rules[offer.id]?.record else { return offer }
    var offer = offer
    offer.isHidden = record.isHidden
    offer.kind = record.kind ?? offer.kind
    if let tokens = record.contextTokens {
      offer.contextTokens = tokens
      // Without this, `/v1/models` would show the host's value.
      offer.facts = ModelListing.withoutContext(offer.facts)
    }
    return offer
  }
}
