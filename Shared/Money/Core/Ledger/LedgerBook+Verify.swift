/// A fault in a book's balances, which should be the sums of the log's entries.
public enum LedgerDifference: Hashable, Sendable, CustomStringConvertible {
  /// The log's entries sum to another balance. `nil` means that the sum does not fit into 64 bits.
  case balance(AccountID, book: MicroCredits, entries: MicroCredits?)
  /// A prepaid account is below zero.
  case overdrawn(AccountID, balance: MicroCredits)
  /// The sum of all balances is not zero, so credits were created or lost. `nil` means that the sum
  /// does not fit into 64 bits.
  case total(book: MicroCredits?)

  public var description: String {
    switch self {
    case .balance(let account, let book, let entries):
      "account \(account): balance \(book.credits), entries "
        + (entries.map { "sum to \($0.credits)" } ?? "do not fit into 64 bits")
    case .overdrawn(let account, let balance):
      "account \(account) is prepaid and has \(balance.credits)"
    case .total(let book):
      "all balances sum to \(book?.credits ?? "more than 64 bits") instead of 0"
    }
  }
}

extension LedgerBook {
  /// Recomputes all balances from the log's entries, and returns each difference, sorted by
  /// account.
  ///
  /// The number of accounts bounds the memory, so the log may be read from a store row by row.
  public func verify(
    against log: some Sequence<LedgerTransaction>
  ) -> [LedgerDifference] {
    // Sums have 128 bits, so that they cannot overflow, whatever a damaged store contains.
    var sums: [AccountID: Int128] = [:]
    for transaction in log {
      for entry in transaction.entries {
        sums[entry.account, default: 0] += Int128(entry.amount.count)
      }
    }
    var differences: [LedgerDifference] = []
    for account in Set(sums.keys).union(balances.keys).sorted() {
      let recorded = balance(of: account)
      let sum = sums[account] ?? 0
      if sum != Int128(recorded.count) {
        let entries = Int64(exactly: sum).map(MicroCredits.init)
        differences.append(.balance(account, book: recorded, entries: entries))
      }
    }
    return differences + overdrawnAccounts + totalDifference
  }

  private var overdrawnAccounts: [LedgerDifference] {
    prepaidOrganisations.sorted()
      .flatMap { [AccountID.holds(of: $0), AccountID.organisation($0)] }
      .filter { balance(of: $0) < .zero }
      .map { .overdrawn($0, balance: balance(of: $0)) }
  }

  private var totalDifference: [LedgerDifference] {
    let total = balances.values.reduce(Int128(0)) { $0 + Int128($1.count) }
    return total == 0 ? [] : [.total(book: Int64(exactly: total).map(MicroCredits.init))]
  }
}
