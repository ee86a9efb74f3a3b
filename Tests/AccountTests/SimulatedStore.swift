import Access
import Money
import RegistryCore

/// The registry's store, in memory: records, keys and the ledger.
struct SimulatedStore {
  var records: [String: AccountRecord] = [:]
  var prices: [AccountRecord] = []
  var keys: [String: (account: AccountPath, isActive: Bool)] = [:]
  var log: [LedgerTransaction] = []
  private var ids: Set<String> = []

  mutating func save(_ record: AccountRecord) {
    switch record {
    case .organisation(let organisation): records["o/\(organisation.id)"] = record
    case .team(let team): records["t/\(team.account)"] = record
    case .keyBudgets(let budgets): records["k/\(budgets.key)"] = record
    case .price, .withdrawnPrice: prices.append(record)
    case .payoutRule: records["rule"] = record
    case .unknownPrice: records["unknown"] = record
    case .removedAccount(let account):
      records[(account.team == nil ? "o/" : "t/") + "\(account)"] = nil
    }
  }

  /// - Returns: `false` if the ledger has one of the ids already.
  mutating func append(_ transactions: [LedgerTransaction]) -> Bool {
    var isNew = true
    for transaction in transactions {
      guard ids.insert(transaction.id).inserted else {
        isNew = false
        continue
      }
      log.append(transaction)
    }
    return isNew
  }

  func book(at time: AccountTime) throws -> (AccountBook, [AccountBook.Directive]) {
    var replay = try replay(at: time)
    for transaction in log { try replay.add(transaction) }
    return try replay.finish(keys: keys)
  }

  /// A replay with all records and no transactions.
  func replay(at time: AccountTime) throws -> AccountReplay {
    var replay = try AccountReplay(at: time)
    for (_, record) in records.sorted(by: { $0.key < $1.key }) { replay.add(record) }
    for price in prices { replay.add(price) }
    return replay
  }
}
