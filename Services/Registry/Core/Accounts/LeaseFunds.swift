internal import Access
internal import Money

/// The accounts that pay for the leases that have money.
///
/// All money of a lease is from one organisation. A key that moves to another organisation gets no
/// money until its leases have none, so that holds and balances of the two organisations never mix.
struct LeaseFunds: Sendable {
  private struct Fund {
    let key: AccountID
    var account: AccountPath
    var amount: MicroCredits
  }

  private var funds: [LeaseID: Fund] = [:]
  /// Leases with money, by key.
  private var leases: [AccountID: Set<LeaseID>] = [:]

  func account(of lease: LeaseID) -> AccountPath? { funds[lease]?.account }

  /// The account that pays the leases of a key. `nil` means that the leases have no money.
  func account(ofKey key: AccountID) -> AccountPath? {
    leases[key]?.max().flatMap { funds[$0]?.account }
  }

  /// Whether a lease with money is one of these, by its key and its account.
  func contains(where isWanted: (_ key: AccountID, _ account: AccountPath) -> Bool) -> Bool {
    funds.values.contains { isWanted($0.key, $0.account) }
  }

  mutating func add(
    _ amount: MicroCredits, to lease: LeaseID, key: AccountID, account: AccountPath
  ) throws(MoneyError) {
    var fund = funds[lease] ?? Fund(key: key, account: account, amount: .zero)
    fund.account = account
    fund.amount = try fund.amount.adding(amount)
    funds[lease] = fund
    leases[key, default: []].insert(lease)
  }

  /// Removes money that was returned or charged.
  /// - Returns: the key, if none of its leases has money left. Otherwise `nil`.
  mutating func remove(
    _ amount: MicroCredits, from lease: LeaseID
  ) throws(MoneyError) -> AccountID? {
    guard var fund = funds[lease] else { return nil }
    fund.amount = try fund.amount.subtracting(amount)
    guard fund.amount <= .zero else {
      funds[lease] = fund
      return nil
    }
    funds[lease] = nil
    leases[fund.key]?.remove(lease)
    guard leases[fund.key]?.isEmpty == true else { return nil }
    leases[fund.key] = nil
    return fund.key
  }
}
