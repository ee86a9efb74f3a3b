public import Access
public import ClusterModel
internal import Limits
public import Money

/// A change of records by an admin. `AccountBook.record(for:at:)` checks it and makes the record.
public enum AccountChange: Hashable, Sendable {
  case setOrganisation(id: String, name: String, isPrepaid: Bool, budgets: [BudgetTerms])
  case setTeam(AccountPath, name: String, budgets: [BudgetTerms])
  case setKeyBudgets(key: String, budgets: [BudgetTerms])
  case addPrice(PriceRow)
  /// Removes a price before it is in force.
  case withdrawPrice(PriceRow)
  case setPayoutRule(PayoutRule)
  case setUnknownPrice(UnknownPrice)
  /// Removes an organisation or a team that is not in use. Its entries in the ledger stay.
  ///
  /// - Parameter keys: keys of the account that have not ended, as people know them. The book knows
  ///   only whether a key is active.
  case removeAccount(AccountPath, keys: [String])
}

/// A movement of credits by an admin. It is one ledger transaction and changes no record.
public struct AdminTransfer: Hashable, Sendable {
  public enum Kind: Hashable, Sendable {
    /// Adds credits to an organisation.
    case credit(MicroCredits, organisation: String)
    /// Takes credits back from an organisation.
    case debit(MicroCredits, organisation: String)
    /// Records that a host received its earnings outside Tutti.
    case payout(MicroCredits, host: HostID)
    /// Corrects earlier transactions. Holds belong to leases and cannot be corrected.
    case correction([LedgerEntry])
  }

  /// The admin's client chooses the id. A repeated transfer has the same id and moves nothing.
  public let id: String
  public let kind: Kind
  /// Name of the admin who orders the transfer. `nil` means that the name is not known.
  let author: String?
  let note: String

  /// Id of the transfer's transaction in the ledger.
  public var transactionID: String { "admin/\(id)" }

  public init(id: String, kind: Kind, author: String? = nil, note: String = "") {
    self.id = id
    self.kind = kind
    self.author = author
    self.note = note
  }
}

/// Reason for which a change or a transfer is refused. A refused one changes nothing.
public enum AccountRefusal: Error, Hashable, Sendable {
  /// A name or an id is empty, too long, or has control characters.
  case invalidName(String)
  /// The id of an organisation or a team does not have the form that `AccountPath` requires.
  case invalidAccountID(String)
  case unknownOrganisation(String)
  case tooManyAccounts
  case tooManyBudgets
  /// Two budgets of one account have the same window: period and kind.
  case repeatedWindow(BudgetWindow)
  case price(PriceRowRefusal)
  /// An amount is zero or negative, or a correction has no entries or a sum other than zero.
  case invalidAmount
  /// A balance would exceed the largest amount.
  case balanceTooLarge
  /// The note is too long, or a correction has too many entries.
  case tooLong
  /// The account has too few credits.
  case insufficient(AccountID, balance: MicroCredits)
  /// A correction or a payout names an account that is unknown or belongs to leases.
  case invalidAccount(AccountID)
  /// Another transfer has this id.
  case repeatedID(String)
  /// An account in use cannot be removed.
  case inUse(AccountPath, AccountUse)
  /// An organisation with this id was removed, and the ledger has entries of it.
  case removedOrganisation(String)
  /// The book no longer agrees with the store and must be rebuilt.
  case stale
}

extension AccountRefusal: CustomStringConvertible {
  public var description: String {
    switch self {
    case .invalidName(let name):
      "The name \(name.cut(toBytes: 64)) is empty, longer than 256 bytes, or has control "
        + "characters."
    case .invalidAccountID(let id):
      "The id \(id.cut(toBytes: 64)) must have 1 to \(AccountPath.maximumNameBytes) characters of "
        + "a–z, 0–9, -, _ and ., and must not be . or .."
    case .unknownOrganisation(let id): "There is no organisation \(id); create it first."
    case .tooManyAccounts:
      "There are \(Limits.accounts.value) organisations and teams, and no more are possible."
    case .tooManyBudgets:
      "An account has at most \(Limits.accountBudgets.value) budgets."
    case .repeatedWindow(let window):
      "An account has one budget per \(window.period.rawValue) and window (\(window.kind.rawValue))."
    case .price(let refusal): "\(refusal)."
    case .invalidAmount: "The amount must be above zero, and entries must sum to zero."
    case .balanceTooLarge:
      "A balance would exceed \(MicroCredits(.max).credits) credits; nothing was moved."
    case .tooLong:
      "A note has at most \(Limits.transactionNoteBytes.value) bytes as JSON, with its author, and "
        + "a correction at most \(Limits.transactionEntries.value) entries."
    case .insufficient(let account, let balance):
      "Account \(account) has only \(balance.credits) credits."
    case .invalidAccount(let account):
      "Account \(account.name.cut(toBytes: 64)) is unknown, or belongs to leases of gateways."
    case .repeatedID(let id):
      "Another transfer has the id \(id.cut(toBytes: 64)); choose a new one."
    case .inUse(let account, let use):
      "\(account.team == nil ? "Organisation" : "Team") \(account) cannot be removed: "
        + use.obstacles(of: account).joined(separator: "; ") + "."
    case .removedOrganisation(let id):
      "Organisation \(id) was removed, and the ledger keeps its entries, so its id is not used again; "
        + "choose another id."
    case .stale: "The ledger is read again after a failed write; try again."
    }
  }
}
