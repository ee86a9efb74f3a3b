internal import Access
internal import Money

// Removal of organisations and teams. The ledger keeps their entries. An account that was removed
// has no credits and no holds, so no later transaction needs its record.

extension AccountBook {
  /// Finds the reasons for which an account cannot be removed.
  ///
  /// - Parameter keys: keys of the account that have not ended.
  func use(of account: AccountPath, keys: [String]) -> AccountUse {
    guard account.team == nil else {
      return AccountUse(
        keys: keys, teams: [], balance: .zero, hasHolds: hasHolds(of: account), isDefault: false)
    }
    let id = account.organisation
    let held = balance(of: .holds(of: id))
    let own = balance(of: .organisation(id))
    // A sum that does not fit into 64 bits is not zero.
    let total = (try? own.adding(held)) ?? own
    return AccountUse(
      keys: keys, teams: teams(of: id).map(\.account).sorted { "\($0)" < "\($1)" },
      balance: total, hasHolds: held != .zero, isDefault: id == KeyRegistry.defaultAccount)
  }

  /// Whether a lease has money of a key that belongs to the team, or belonged to it when the money
  /// was held.
  private func hasHolds(of team: AccountPath) -> Bool {
    funds.contains { key, account in account == team || register.keys[key]?.account == team }
  }

  /// Removes an account whose keys have ended.
  ///
  /// A key that a newer one replaced is active until it is revoked. Nothing limits it any more, so
  /// it gets no more money.
  mutating func remove(_ account: AccountPath, at time: AccountTime) throws(BookFault) {
    let id = account.organisation
    let owner = account.team == nil ? BudgetOwner.organisation(id) : .team(account)
    register.remove(account)
    register.endKeys(of: owner)
    if account.team == nil { ledger.setPrepaid(false, organisation: id) }
    try set([], of: owner, at: time)
    if account.team == nil { issuer.removeCeiling(.balance(of: id)) }
  }
}
