public import ClusterModel
import Limits

/// A host that lists a model, as admins see it.
public struct OfferStanding: Hashable, Sendable {
  public let host: HostID
  /// Whether the host table has the offer. It does if the records of models allow the offer and the
  /// offer fits.
  public let isApproved: Bool
  public let state: HostState
}

/// Applies the records of models to the models that hosts list.
extension HostRegistry {
  /// Replaces the rules. Offers that the new rules forbid end at once.
  public mutating func setModelRules(_ rules: ModelRules) -> [Directive] {
    guard rules != modelRules else { return [] }
    modelRules = rules
    var isChanged = false
    for entry in entries.values.sorted(by: { $0.added < $1.added }) {
      var entry = entry
      let before = entry.host
      offerListed(&entry)
      entries[entry.host.id] = entry
      isChanged = isChanged || entry.host != before
    }
    guard isChanged else { return [] }
    revision += 1
    return [.publish(table)]
  }

  /// Stores the models that a host lists, and offers those that the rules allow and that fit.
  mutating func list(_ models: [ModelOffer], of entry: inout Entry) {
    let room = modelRules.isEmpty ? offerRoom(of: entry) : listedRoom(of: entry)
    let selection = Self.select(
      models, count: limits.modelsPerHost, room: room, factsRoom: factsRoom(of: entry))
    listedBytes += selection.bytes - entry.listedBytes
    entry.listed = selection.offers
    entry.listedBytes = selection.bytes
    entry.omitted = (selection.leftOut, selection.gatewayNames)
    offerListed(&entry)
  }

  /// Offers those of the host's listed models that the rules allow and that fit. Sets the `reason`
  /// of a ready host: see `reason(of:leftOut:)`.
  mutating func offerListed(_ entry: inout Entry) {
    var selection = Self.select(
      modelRules.offers(of: entry.host, listed: entry.listed), count: limits.modelsPerHost,
      room: offerRoom(of: entry), factsRoom: factsRoom(of: entry))
    // Aliases get their room first, but in the row they follow the host's own models.
    let aliases = selection.offers.filter { $0.upstream != nil }
    if !aliases.isEmpty {
      selection.offers = selection.offers.filter { $0.upstream == nil } + aliases
    }
    let before = max(entry.offerBytes, limits.guaranteedOfferBytes)
    entry.host.models = selection.offers
    entry.offerBytes = selection.bytes
    committedOfferBytes += max(entry.offerBytes, limits.guaranteedOfferBytes) - before
    if entry.host.state == .ready {
      entry.host.reason = reason(of: entry, leftOut: selection.leftOut)
    }
  }

  /// Reason for which a ready host offers fewer names than it lists. Empty if no name is missing,
  /// or if rules forbid the missing ones and allow others.
  ///
  /// - Parameter offersLeftOut: number of offers that the rules allow and that do not fit.
  private func reason(of entry: Entry, leftOut offersLeftOut: Int) -> String {
    if entry.host.models.isEmpty, !entry.listed.isEmpty, offersLeftOut == 0 {
      return "no model record allows any of its models here (`tutti models list`)"
    }
    let leftOut = entry.omitted.leftOut + offersLeftOut
    if leftOut > 0 {
      return "\(leftOut) of its models are left out: a host may offer \(limits.modelsPerHost), "
        + "with names of at most \(HostTableLimits.modelNameBytes.value) bytes and "
        + "\(limits.hostOfferBytes >> 10) KiB in all"
    }
    if entry.omitted.gatewayNames > 0 {
      return "it is a gateway itself: its own names (\(ModelID.ownPrefix)…) are left out"
    }
    return ""
  }

  /// Maximum bytes of a host's list if rules select some of its models.
  private func listedRoom(of entry: Entry) -> Int {
    let others = listedBytes - entry.listedBytes
    return max(
      offerRoom(of: entry),
      min(limits.hostOfferBytes, HostTableLimits.listedModelBytes.value - others))
  }

  // MARK: - For admins

  /// Names of the models that hosts list, and the aliases that hosts offer.
  public var listedModels: Set<ModelID> {
    var models = Set(entries.values.lazy.flatMap(\.listed).map(\.id))
    models.formUnion(entries.values.lazy.flatMap(\.host.models).map(\.id))
    return models
  }

  /// The hosts that list each model, sorted by id. A host also counts for an alias if it lists one
  /// of the models that the alias stands for.
  public func standings(of models: [ModelID]) -> [ModelID: [OfferStanding]] {
    let wanted = Set(models)
    var standings: [ModelID: [OfferStanding]] = [:]
    for entry in entries.values.sorted(by: { $0.host.id < $1.host.id }) {
      let offered = Set(entry.host.models.map(\.id))
      var names: Set<ModelID> = []
      for offer in entry.listed {
        if wanted.contains(offer.id) { names.insert(offer.id) }
        names.formUnion(modelRules.aliases(of: offer.id).lazy.filter(wanted.contains))
      }
      for model in names {
        standings[model, default: []].append(
          OfferStanding(
            host: entry.host.id, isApproved: offered.contains(model), state: entry.host.state))
      }
    }
    return standings
  }
}
