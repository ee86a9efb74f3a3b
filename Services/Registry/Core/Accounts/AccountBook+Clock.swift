internal import ClusterModel
internal import Limits
internal import Money

// How the ledger follows a clock that is set back.
//
// After a step back, times in the ledger stand still until the clock has caught up, so that no
// period of a budget begins twice. If the step is larger than `ledger.clock_step` and lasts for
// `ledger.clock_patience`, the earlier time was wrong, and the ledger follows the clock. A
// transaction records this correction, so that a replay makes it at the same place.

/// A transaction without entries. Transactions after it may have earlier times than those before
/// it.
enum ClockCorrection {
  // Transactions of admins and of leases have ids with other prefixes.
  private static let prefix = "clock/"

  static func transaction(
    after position: Int64, time: Int64
  ) throws(MoneyError) -> LedgerTransaction {
    try LedgerTransaction(
      id: prefix + "\(position)", kind: .correction, time: time, entries: [],
      note: "The clock was set back.")
  }

  static func isOne(_ transaction: LedgerTransaction) -> Bool {
    transaction.id.hasPrefix(prefix) && transaction.entries.isEmpty
  }
}

extension AccountBook {
  /// Sets the book's clock back to the wall clock if it was ahead of the wall clock by more than
  /// `ledger.clock_step` for `ledger.clock_patience`.
  mutating func correctClock(_ time: AccountTime) throws(BookFault) {
    guard time.wall < clock.subtractingCapped(Int64(Limits.ledgerClockStep.value)) else {
      behindSince = nil
      return
    }
    let since = behindSince ?? time.instant
    behindSince = since
    let patience = Duration.milliseconds(Limits.ledgerClockPatience.value)
    guard since.advanced(by: patience) <= time.instant else { return }
    behindSince = nil
    let transaction: LedgerTransaction
    do throws(MoneyError) {
      transaction = try ClockCorrection.transaction(after: position, time: time.wall)
    } catch {
      throw .money(error)
    }
    try post(transaction)
    setClockBack(to: time.wall)
    for id in budgets.allCeilings { try refresh(id, at: time) }
  }

  /// Moves the book's clock to the time of a replayed transaction. Only a clock correction can move
  /// the clock back.
  mutating func replayTime(of transaction: LedgerTransaction) {
    if ClockCorrection.isOne(transaction) {
      setClockBack(to: transaction.time)
    } else {
      clock = max(clock, transaction.time)
    }
  }

  private mutating func setClockBack(to time: Int64) {
    clock = time
    budgets.setBack(to: time)
  }
}
