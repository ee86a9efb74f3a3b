internal import Access
internal import ClusterModel
internal import Money

/// Everything that a replay of the ledger computes, at one place in the ledger.
///
/// The size of a checkpoint is bounded by the numbers of accounts, leases, rows of usage and
/// remembered transactions. Records of accounts are not part of a checkpoint.
public struct AccountCheckpoint: Hashable, Sendable {
  struct Balance: Hashable, Codable {
    let account: AccountID
    let amount: MicroCredits
  }

  /// Account that pays for a lease. Only leases with money have one.
  struct Payer: Hashable, Codable {
    let lease: String
    let account: AccountPath
  }

  struct Budget: Hashable, Codable {
    let id: CeilingID
    let afterPosition: Int64
    let spending: SpendingBudget.Spending
  }

  /// Number of transactions that the checkpoint covers.
  public let position: Int64
  /// Sorted by account.
  let balances: [Balance]
  let leases: LeaseSnapshot
  /// In the order of `leases`.
  let payers: [Payer]
  /// Sorted by ceiling.
  let budgets: [Budget]
  let usage: DailyUsage.Snapshot
  /// Ids of recent transactions. They are not part of the JSON.
  public private(set) var rememberedIDs: [UInt8]

  init(_ book: AccountBook) {
    position = book.position
    balances = book.ledger.balances.sorted { $0.key < $1.key }
      .map { Balance(account: $0.key, amount: $0.value) }
    leases = book.issuer.snapshot
    payers = leases.leases.compactMap { id, lease in
      guard lease.outstanding > .zero else { return nil }
      return book.funds.account(of: id).map { Payer(lease: "\(id)", account: $0) }
    }
    budgets = book.budgets.entries.sorted { $0.key < $1.key }.map { id, entry in
      Budget(id: id, afterPosition: entry.afterPosition, spending: entry.budget.spending)
    }
    usage = book.usage.snapshot
    rememberedIDs = book.ledger.rememberedIDs
  }
}

// MARK: - JSON

extension AccountCheckpoint: Codable {
  /// Version of the JSON. It changes if the meaning of any member changes. A checkpoint of another
  /// version is not used.
  private static let format = 1

  private enum CodingKeys: String, CodingKey {
    case format, position, balances, leases, payers, budgets, usage
  }

  /// Decodes a checkpoint without `rememberedIDs`: see `adding(rememberedIDs:)`.
  public init(from decoder: any Decoder) throws {
    let members = try decoder.container(keyedBy: CodingKeys.self)
    guard try members.decode(Int.self, forKey: .format) == Self.format else {
      throw CheckpointFault("another version of Tutti wrote it")
    }
    position = try members.decode(Int64.self, forKey: .position)
    balances = try members.decode([Balance].self, forKey: .balances)
    leases = try members.decode(LeaseSnapshot.self, forKey: .leases)
    payers = try members.decode([Payer].self, forKey: .payers)
    budgets = try members.decode([Budget].self, forKey: .budgets)
    usage = try members.decode(DailyUsage.Snapshot.self, forKey: .usage)
    rememberedIDs = []
  }

  public func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encode(Self.format, forKey: .format)
    try members.encode(position, forKey: .position)
    try members.encode(balances, forKey: .balances)
    try members.encode(leases, forKey: .leases)
    try members.encode(payers, forKey: .payers)
    try members.encode(budgets, forKey: .budgets)
    try members.encode(usage, forKey: .usage)
  }

  public func adding(rememberedIDs: [UInt8]) -> AccountCheckpoint {
    var checkpoint = self
    checkpoint.rememberedIDs = rememberedIDs
    return checkpoint
  }
}
