public import ClusterModel
import HostModel
import Limits

/// Lookup tables for one revision of the host table, built once instead of at every decision.
public final class HostIndex: Sendable {
  struct Offer: Sendable {
    var row: Int
    /// Maximum tokens of prompt and completion. `Int.max` means that the host does not report it.
    var contextTokens: Int
    /// Rank of the model at the host (`ModelOffer.rank`).
    var rank = 0
  }

  public let table: HostTable
  let rules: EligibilityRules
  /// Row of each host. If the table lists a host twice, the later row counts.
  private let rows: [HostID: Int]
  /// Offers by model, in the table's order. Hosts that are ineligible by the table alone are left
  /// out.
  private let offers: [ModelID: [Offer]]
  /// Each host's first chat model. Hosts that are ineligible by the table alone are left out.
  private let chatOffers: [Offer]
  private let chatModels: [ModelID?]
  /// The hosts' own names of models that are aliases, by alias and row. Most tables have no
  /// aliases.
  private let upstreams: [ModelID: [Int: ModelID]]
  let trust: [DataPolicy]
  /// A number for each tag in the table, in the order of first occurrence.
  let tagNumbers: [String: Int]
  /// Numbers of the tags of each host.
  let tags: [[Int]]
  let isFallback: [Bool]
  let isPriced: [Bool]
  /// Rows of the community's ready hosts.
  let readyRows: [Int]
  let hashes: [UInt64]
  /// Sum of the prices of prompt and completion of each host, to compare hosts. A host without a
  /// stated price that may cost something counts as the dearest.
  let prices: [Int64]
  /// Whether the prices differ, so that they may decide.
  let hasPrices: Bool

  init(_ table: HostTable, rules: EligibilityRules = EligibilityRules()) {
    self.table = table
    self.rules = rules
    var rows: [HostID: Int] = [:]
    var offers: [ModelID: [Offer]] = [:]
    var chatOffers: [Offer] = []
    var chatModels: [ModelID?] = []
    var upstreams: [ModelID: [Int: ModelID]] = [:]
    rows.reserveCapacity(table.hosts.count)
    let need = HostNeed(.any)
    for (row, host) in table.hosts.enumerated() {
      rows[host.id] = row
      // A model is preferred to an alias. The table lists an alias without its model only if it has
      // no room for both.
      let chat =
        host.models.first { $0.isChat && $0.upstream == nil }
        ?? host.models.first(where: \.isChat)
      chatModels.append(chat?.id)
      guard need.refusal(of: host, rules: rules) == nil else { continue }
      for offer in host.models {
        if let upstream = offer.upstream { upstreams[offer.id, default: [:]][row] = upstream }
        offers[offer.id, default: []].append(
          Offer(row: row, contextTokens: offer.contextTokens ?? .max, rank: offer.rank))
      }
      if let chat {
        chatOffers.append(Offer(row: row, contextTokens: chat.contextTokens ?? .max))
      }
    }
    self.rows = rows
    self.offers = offers
    self.chatOffers = chatOffers
    self.chatModels = chatModels
    self.upstreams = upstreams
    trust = table.hosts.map(\.trust)
    var tagNumbers: [String: Int] = [:]
    tags = table.hosts.map { host in
      host.tags.map { tag in
        let number = tagNumbers[tag] ?? tagNumbers.count
        tagNumbers[tag] = number
        return number
      }
    }
    self.tagNumbers = tagNumbers
    isFallback = table.hosts.map { $0.tier == .fallback }
    isPriced = table.hosts.map { !$0.isFree }
    readyRows = table.hosts.indices.filter {
      table.hosts[$0].state == .ready && table.hosts[$0].tier == .community
    }
    hashes = table.hosts.map { StableHash.of($0.id.name.utf8) }
    let prices = table.hosts.map { host -> Int64 in
      host.isFree ? 0 : host.price.map { $0.input.addingCapped($0.output) } ?? .max
    }
    self.prices = prices
    hasPrices = prices.contains { $0 != prices.first }
  }

  public var count: Int { table.hosts.count }

  func row(of host: HostID) -> Int? { rows[host] }

  func offers(of model: ModelID?) -> [Offer] {
    guard let model else { return chatOffers }
    return offers[model] ?? []
  }

  func chatModel(_ row: Int) -> ModelID? { chatModels[row] }

  /// The host's own name of a model that is an alias. `nil` means that the model is not an alias.
  func upstream(of model: ModelID, _ row: Int) -> ModelID? {
    upstreams.isEmpty ? nil : upstreams[model]?[row]
  }

  /// Whether the index was built from this table. Compares epoch, revision and number of hosts, but
  /// not the hosts' IDs.
  func isCurrent(_ other: HostTable) -> Bool {
    table.epoch == other.epoch && table.revision == other.revision && count == other.hosts.count
  }
}

/// A hash that is the same on every machine and in every process, unlike `Hasher`.
enum StableHash {
  /// FNV-1a with one more mixing step, because its low bits are similar for similar names.
  static func of(_ bytes: some Sequence<UInt8>) -> UInt64 {
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
    return mixed(hash)
  }

  /// The last steps of SplitMix64.
  @inline(__always)
  static func mixed(_ value: UInt64) -> UInt64 {
    var mixed = value
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
