import ClusterModel
import Limits

/// Which of a host's models stand in the table, so that the table always fits into one message and no
/// host takes the room of the others.
extension HostRegistry {
  /// What is taken of a list of models.
  struct OfferSelection: Equatable, Sendable {
    var offers: [ModelOffer] = []
    /// Of the table.
    var bytes = 0
    /// Different models that do not fit.
    var leftOut = 0
    /// Names of a gateway's own.
    var gatewayNames = 0
    /// Bytes looked at, and one for each entry.
    var work = 0
  }

  /// Takes models from the front of the list, each name once, as long as they fit.
  ///
  /// A host that is a gateway lists its patterns too. They are not models: a plan's task would become
  /// a plan there, and our own list would have them twice.
  ///
  /// - Parameter factsRoom: bytes up to which more than names is taken; `nil` means `room`.
  static func select(
    _ models: [ModelOffer], count: Int, room: Int, factsRoom: Int? = nil
  ) -> OfferSelection {
    var selection = OfferSelection()
    var seen: Set<ModelID> = []
    var facts: [(index: Int, text: String)] = []
    for offer in models {
      let length = offer.id.name.utf8.count
      selection.work += 1
      // Names of any length are counted, and only short ones looked at.
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
    // Only if every name fits: models count for more than what their hosts say of them.
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

  /// Bytes of the table that a host's models may use now.
  func offerRoom(of entry: Entry) -> Int {
    let others = committedOfferBytes - max(entry.offerBytes, limits.guaranteedOfferBytes)
    return max(
      limits.guaranteedOfferBytes, min(limits.hostOfferBytes, limits.offerBytes - others))
  }

  /// The same for facts about them: names of other hosts' models have three quarters of the table.
  func factsRoom(of entry: Entry) -> Int {
    let others = committedOfferBytes - max(entry.offerBytes, limits.guaranteedOfferBytes)
    return max(0, limits.offerBytes / 4 - others)
  }

  /// Shortens the longest lists until what is kept free for every host fits.
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
  /// In the published table: the name, the context size, and what the encoding adds.
  fileprivate var tableBytes: Int { nameBytes + facts.utf8.count }
  fileprivate var nameBytes: Int { id.name.utf8.count + 16 }
}

extension ModelID {
  var isGatewaysOwn: Bool { name.utf8.starts(with: Self.ownPrefix.utf8) }
}
