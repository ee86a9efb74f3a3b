public import Money

/// Result of appending one transaction.
public enum LedgerAppend: Hashable, Sendable {
  /// The transaction is durable. Positions begin at 1 and have no gaps.
  case appended(position: Int64)
  /// The ledger already has the transaction with this id, kind and entries. Its time and note may
  /// differ, because a repeated message can be recorded at another time.
  case alreadyPresent(position: Int64)
  /// The ledger has another transaction with this id. That transaction stays.
  case conflict(position: Int64)
  /// The transaction exceeds a limit or has a name that is not allowed. The text is a sentence with
  /// the reason.
  case refused(String)
}

/// A transaction with its place in the ledger.
public struct LedgerRow: Hashable, Sendable {
  public let position: Int64
  public let transaction: LedgerTransaction

  init(position: Int64, transaction: LedgerTransaction) {
    self.position = position
    self.transaction = transaction
  }
}

/// A place in a list of transactions that is ordered by time, then by position.
public struct LedgerCursor: Hashable, Sendable {
  public let time: Int64
  public let position: Int64

  public init(time: Int64, position: Int64) {
    self.time = time
    self.position = position
  }
}

/// Selects transactions of the ledger.
public struct LedgerQuery: Hashable, Sendable {
  public enum Order: Hashable, Sendable {
    case oldestFirst, latestFirst
  }

  /// Account with an entry in each selected transaction. `nil` means every account.
  public var account: AccountID?
  /// Times of the transactions in milliseconds since 1970, without the end of the range.
  var times: Range<Int64>
  public var order: Order
  /// The last row of the previous page. `nil` means the first page.
  public var after: LedgerCursor?
  public var limit: Int

  /// - Parameter limit: maximum number of rows, capped to `ledger.page`.
  public init(
    account: AccountID? = nil, times: Range<Int64> = .min..<(.max), order: Order = .latestFirst,
    after: LedgerCursor? = nil, limit: Int = 100
  ) {
    self.account = account
    self.times = times
    self.order = order
    self.after = after
    self.limit = limit
  }
}

/// Part of a list of transactions.
public struct LedgerPage: Hashable, Sendable {
  public let rows: [LedgerRow]
  /// Place from which the next page continues. `nil` means that this page is the last one.
  public let next: LedgerCursor?

  init(rows: [LedgerRow], next: LedgerCursor?) {
    self.rows = rows
    self.next = next
  }
}

public struct AccountBalance: Hashable, Sendable {
  public let account: AccountID
  public let balance: MicroCredits

  public init(account: AccountID, balance: MicroCredits) {
    self.account = account
    self.balance = balance
  }
}
