internal import Access
internal import ClusterModel
public import Money

/// Proves a ledger, transaction by transaction. Its memory is bounded by the numbers of accounts
/// and of leases with money.
///
/// It proves that
/// - each transaction sums to zero, so that a bill equals the pay of hosts plus the margin,
/// - no lease returns or pays more than it has,
/// - the holds of an organisation are the sum of its leases,
/// - each balance is the sum of its entries.
public struct LedgerAudit: Sendable {
  public enum Difference: Hashable, Sendable, CustomStringConvertible {
    case unbalanced(id: String, sum: String)
    /// The note of a hold, release or settlement cannot be read.
    case unreadable(id: String)
    /// More money was returned or charged than the lease had.
    case overdrawnLease(id: String)
    /// The entries move another amount than the note states.
    case wrongAmount(id: String)
    /// An organisation's holds are not the sum of its leases.
    case holds(AccountID, balance: MicroCredits)
    case balance(LedgerDifference)
    /// A checkpoint differs from a replay of the ledger. The text is the predicate of a sentence
    /// about the checkpoint.
    case checkpoint(position: Int64, String)

    public var description: String {
      switch self {
      case .unbalanced(let id, let sum): "transaction \(id) sums to \(sum) instead of 0"
      case .unreadable(let id): "the note of transaction \(id) cannot be read"
      case .overdrawnLease(let id): "transaction \(id) takes more than its lease has"
      case .wrongAmount(let id): "the entries of transaction \(id) differ from its note"
      case .holds(let account, let balance):
        "account \(account) has \(balance.credits), its leases have another sum"
      case .balance(let difference): "\(difference)"
      case .checkpoint(let position, let sentence):
        "the checkpoint at transaction \(position) \(sentence)"
      }
    }
  }

  public private(set) var transactionCount = 0
  public private(set) var differences: [Difference] = []
  private var sums: [AccountID: Int128] = [:]
  /// Sums of the entries after `comparedUntil`, by account.
  private var recent: [AccountID: Int128] = [:]
  private let comparedUntil: Int64
  private var leases: [LeaseID: (organisation: String, amount: Int128)] = [:]

  /// - Parameter comparedUntil: time of the balances that `compare(_:)` gets, in milliseconds since
  ///   1970. Later transactions are left out of the comparison with these balances. If the time is
  ///   before the audit's start, they include all that are written while the audit runs.
  public init(comparedUntil: Int64 = .max) { self.comparedUntil = comparedUntil }

  public mutating func add(_ transaction: LedgerTransaction) {
    transactionCount += 1
    var total: Int128 = 0
    for entry in transaction.entries {
      total += Int128(entry.amount.count)
      sums[entry.account, default: 0] += Int128(entry.amount.count)
      if transaction.time > comparedUntil {
        recent[entry.account, default: 0] += Int128(entry.amount.count)
      }
    }
    if total != 0 { report(.unbalanced(id: transaction.id, sum: "\(total)")) }
    switch transaction.kind {
    case .credit, .payout, .correction: return
    case .hold, .release, .settle: break
    }
    guard let note = PostingNote(transaction.note) else {
      return report(.unreadable(id: transaction.id))
    }
    check(note, transaction)
  }

  /// Compares the sums with balances that were computed elsewhere, and holds with their leases.
  public mutating func compare(_ balances: [AccountID: MicroCredits]) {
    for account in Set(sums.keys).union(balances.keys).sorted() {
      let sum = (sums[account] ?? 0) - (recent[account] ?? 0)
      let balance = balances[account] ?? .zero
      if sum != Int128(balance.count) {
        report(
          .balance(
            .balance(
              account, book: balance, entries: Int64(exactly: sum).map { MicroCredits($0) })))
      }
    }
    var holds: [AccountID: Int128] = [:]
    for lease in leases.values { holds[.holds(of: lease.organisation), default: 0] += lease.amount }
    let held = sums.keys.filter { if case .holds = $0.kind { true } else { false } }
    for account in Set(held).union(holds.keys).sorted()
    where holds[account] ?? 0 != sums[account] ?? 0 {
      report(.holds(account, balance: MicroCredits(Int64(clamping: sums[account] ?? 0))))
    }
  }

  /// Reports a fault of a checkpoint.
  ///
  /// - Parameter sentence: predicate of a sentence about the checkpoint.
  public mutating func reportCheckpoint(at position: Int64, _ sentence: String) {
    report(.checkpoint(position: position, sentence))
  }

  private mutating func check(_ note: PostingNote, _ transaction: LedgerTransaction) {
    let moved = transaction.entries.reduce(Int128(0)) { sum, entry in
      if case .holds = entry.account.kind { sum + Int128(entry.amount.count) } else { sum }
    }
    let expected: Int128 =
      switch note.change {
      case .hold(let amount, _): Int128(amount.count)
      case .release(let amount, _), .end(let amount), .expire(let amount): -Int128(amount.count)
      case .settle(let settled): -Int128(settled.charged.count)
      }
    guard moved == expected else { return report(.wrongAmount(id: transaction.id)) }
    guard moved != 0 else { return }
    let before = leases[note.lease]?.amount ?? 0
    guard before + moved >= 0 else { return report(.overdrawnLease(id: transaction.id)) }
    let organisation = note.account?.organisation ?? ""
    leases[note.lease] = before + moved == 0 ? nil : (organisation, before + moved)
  }

  /// A damaged store could have millions of differences, so only the first ones are kept.
  private mutating func report(_ difference: Difference) {
    guard differences.count < 1_000 else { return }
    differences.append(difference)
  }
}
