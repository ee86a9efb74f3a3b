internal import Access
internal import Limits
import Money

/// Organisations, teams and keys.
struct AccountRegister: Sendable {
  struct Key: Hashable, Sendable {
    var account: AccountPath
    var isActive: Bool
    /// Account to which the key moves as soon as its leases have no money. `nil` means that the key
    /// stays.
    var next: AccountPath?
  }

  private(set) var organisations: [String: OrganisationRecord] = [:]
  private(set) var teams: [AccountPath: TeamRecord] = [:]
  private(set) var keyBudgets: [String: KeyBudgetsRecord] = [:]
  /// Keys by their ledger accounts, `key/ID`.
  private(set) var keys: [AccountID: Key] = [:]

  // MARK: - Queries

  /// Owners of the budgets that a charge counts against.
  func owners(key: AccountID, account: AccountPath) -> [BudgetOwner] {
    var owners = [BudgetOwner.organisation(account.organisation)]
    if account.team != nil { owners.append(.team(account)) }
    if let id = key.keyID { owners.append(.key(id)) }
    return owners
  }

  /// Ceilings of a key: first those of its organisation, then of its team, last its own.
  func path(of key: AccountID, _ budgets: BudgetTable) -> [CeilingID] {
    guard let entry = keys[key] else { return [] }
    let organisation = entry.account.organisation
    let balance =
      organisations[organisation]?.isPrepaid == true
      ? [CeilingID.balance(of: organisation)] : []
    return balance
      + owners(key: key, account: entry.account).flatMap { budgets.ceilings(of: $0) }
  }

  func keys(of owner: BudgetOwner) -> [AccountID] {
    let found =
      switch owner {
      case .key(let id): [AccountID.key(id)].filter { keys[$0] != nil }
      case .team(let account): keys.filter { $0.value.account == account }.map(\.key)
      case .organisation(let id):
        keys.filter { $0.value.account.organisation == id }.map(\.key)
      }
    return found.sorted()
  }

  // MARK: - Changes

  mutating func set(_ organisation: OrganisationRecord) {
    organisations[organisation.id] = organisation
  }
  mutating func set(_ team: TeamRecord) { teams[team.account] = team }

  mutating func remove(_ account: AccountPath) {
    if account.team == nil {
      organisations[account.organisation] = nil
    } else {
      teams[account] = nil
    }
  }

  mutating func set(_ budgets: KeyBudgetsRecord) {
    keyBudgets[budgets.key] = budgets.budgets.isEmpty ? nil : budgets
  }

  /// - Parameter paying: account that pays the key's leases now. `nil` means that the leases have
  ///   no money.
  mutating func setKey(
    _ key: AccountID, account: AccountPath, isActive: Bool, paying: AccountPath?
  ) {
    if let paying, paying.organisation != account.organisation {
      let present = keys[key]?.account
      keys[key] = Key(
        account: present?.organisation == paying.organisation ? present ?? paying : paying,
        isActive: isActive, next: account)
    } else {
      keys[key] = Key(account: account, isActive: isActive)
    }
  }

  mutating func endKeys(of owner: BudgetOwner) {
    for key in keys(of: owner) { keys[key]?.isActive = false }
  }

  mutating func removeKey(_ key: AccountID) { keys[key] = nil }

  /// Completes the move of a key whose leases have no money. Returns whether it moved.
  mutating func move(_ key: AccountID) -> Bool {
    guard let next = keys[key]?.next else { return false }
    keys[key]?.account = next
    keys[key]?.next = nil
    return true
  }

  // MARK: - Checks

  /// Makes the records of an account's budgets. A budget with the same window as an old one keeps
  /// the old one's place in the ledger.
  func budgets(
    _ terms: [BudgetTerms], replacing old: [BudgetRecord], position: Int64
  ) throws(AccountRefusal) -> [BudgetRecord] {
    guard terms.count <= Limits.accountBudgets.value else { throw .tooManyBudgets }
    var windows: Set<BudgetWindow> = []
    for terms in terms where !windows.insert(terms.window).inserted {
      throw .repeatedWindow(terms.window)
    }
    return terms.map { terms in
      let kept = old.first { $0.terms.window == terms.window }
      return BudgetRecord(terms: terms, afterPosition: kept?.afterPosition ?? position)
    }
  }

  func checkRoom(for isNew: Bool) throws(AccountRefusal) {
    guard !isNew || organisations.count + teams.count < Limits.accounts.value else {
      throw .tooManyAccounts
    }
  }
}
