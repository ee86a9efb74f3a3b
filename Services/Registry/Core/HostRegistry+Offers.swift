import ClusterModel
import Limits

/// Selects the models of each host for the host table.
/// The table always fits into one message, and no host uses the room that is guaranteed to others.
extension HostRegistry {
  /// The models selected from a list.
  struct OfferSelection: Equatable, Sendable {
    var offers: [ModelOffer] = []
    /// Bytes of the selected models in the table.
    var bytes = 0
    /// Number of entries that do not fit, or whose name is empty or too long.
    var leftOut = 0
    /// Number of names that belong to a gateway, such as patterns.
    var gatewayNames = 0
    /// Cost of the selection: bytes that were examined, plus one per entry.
    var work = 0
  }

  /// Selects models in the order of the list, each once, if they fit.
  ///
  /// A host that is a gateway also lists its patterns. They are not models: a task sent to a
  /// pattern would become a plan there, and this cluster's own list of models would have the name
  /// twice.
  ///
  /// - Parameter factsRoom: bytes up to which facts are added to names. `nil` means `room`.
  static func select(
    _ models: [ModelOffer], count: Int, room: Int, factsRoom: Int? = nil
  ) -> OfferSelection {
    var selection = OfferSelection()
    var seen: Set<ModelID> = []
    var facts: [(index: Int, text: String)] = []
    for offer in models {
      let length = offer.id.name.utf8.count
      selection.work += 1
      // A name that is empty or too long is counted but not examined.
      guard (1...HostTableLimits.modelNameBytes.value).contains(length) else {
        selection.leftOut += 1
        continue
      }
      selection.work += length
      guard !offer.id.isGatewaysOwn else {
        selection.gatewayNames += 1
        continue
      }
      guard seen.insert(offer.id).inserted else { continue }
      let bytes = offer.nameBytes
      guard selection.offers.count < count, selection.bytes + bytes <= room else {
        selection.leftOut += 1
        continue
      }
      selection.bytes += bytes
      var named = offer
      named.facts = ""
      selection.offers.append(named)
      if !offer.facts.isEmpty { facts.append((selection.offers.count - 1, offer.facts)) }
    }
    // Facts are added only if every name fits, because models matter more than facts about them.
    let factsRoom = min(room, factsRoom ?? room)
    for (index, text) in facts {
      let bytes = text.utf8.count
      selection.work += bytes
      guard selection.leftOut == 0, bytes <= HostTableLimits.modelFactsBytes.value,
        selection.bytes + bytes <= factsRoom
      else { continue }
      selection.bytes += bytes
      selection.offers[index].facts = text
    }
    return selection
  }

  /// Maximum bytes of the host table for one host's models, given the bytes that other hosts use
  /// now.
  func offerRoom(of entry: Entry) -> Int {
    let others = committedOfferBytes - max(entry.offerBytes, limits.guaranteedOfferBytes)
    return max(
      limits.guaranteedOfferBytes, min(limits.hostOfferBytes, limits.offerBytes - others))
  }

  /// Maximum bytes of one host's models with facts. Facts are added only while the models of all
  /// hosts take at most a quarter of the room in the host table. The rest stays free for names.
  func factsRoom(of entry: Entry) -> Int {
    let others = committedOfferBytes - max(entry.offerBytes, limits.guaranteedOfferBytes)
    return max(0, limits.offerBytes / 4 - others)
  }

  /// Shortens the longest lists until the table has room for all lists and for every host's
  /// guaranteed bytes.
  mutating func trimOffers() {
    while committedOfferBytes > limits.offerBytes,
      var entry = entries.values.max(by: { $0.offerBytes < $1.offerBytes }),
      entry.offerBytes > limits.guaranteedOfferBytes
    {
      let before = entry.offerBytes
      let excess = committedOfferBytes - limits.offerBytes
      let room = max(limits.guaranteedOfferBytes, before - excess)
      for index in entry.host.models.indices.reversed() where entry.offerBytes > room {
        entry.offerBytes -= entry.host.models[index].facts.utf8.count
        entry.host.models[index].facts = ""
      }
      let isCut = entry.offerBytes > room
      while entry.offerBytes > room, let last = entry.host.models.popLast() {
        entry.offerBytes -= last.tableBytes
      }
      if isCut {
        entry.host.reason = "models are left out: other hosts need room in the host table"
      }
      committedOfferBytes -= before - max(entry.offerBytes, limits.guaranteedOfferBytes)
      entries[entry.host.id] = entry
    }
  }
}

extension ModelOffer {
  /// Bytes of the offer in the published table, 16 of them for the context size and the encoding.
  fileprivate var tableBytes: Int { nameBytes + facts.utf8.count }
  fileprivate var nameBytes: Int { id.name.utf8.count + 16 + recordBytes }

  /// Bytes that the model's record adds to the offer.
  private var recordBytes: Int {
    (upstream.map { $0.name.utf8.count + 4 } ?? 0) + (kind.map { $0.rawValue.utf8.count + 2 } ?? 0)
      + (isHidden ? 2 : 0) + (rank > 0 ? 3 : 0)
  }
}

extension ModelID {
  var isGatewaysOwn: Bool { name.utf8.starts(with: Self.ownPrefix.utf8) }
}
