public import ClusterModel
internal import Limits

/// A client's bill for one request, and its division among hosts and the operator.
///
/// The charge equals the payouts plus the margin. If hosts earn more than the client pays, the
/// margin is negative.
public struct Bill: Hashable, Sendable {
  /// Charge and pay of one answer.
  public struct Line: Hashable, Sendable {
    public let charge: MicroCredits
    /// Pay of each attempt, in the order of `BilledAnswer.attempts`.
    public let pay: [MicroCredits]
  }

  /// One line per answer, in the order of the answers. A plan usually has several.
  public let lines: [Line]
  public let charge: MicroCredits
  public let payouts: [HostID: MicroCredits]
  public let margin: MicroCredits

  /// - Throws: `MoneyError.invalidOutcome` for too many answers, `.overflow` if a sum does not fit
  ///   into 64 bits.
  public init(answers: [BilledAnswer], rule: PayoutRule) throws(MoneyError) {
    guard answers.count <= Limits.billedAnswers.value else { throw .invalidOutcome }
    var lines: [Line] = []
    var charge = MicroCredits.zero
    var paid = MicroCredits.zero
    var payouts: [HostID: MicroCredits] = [:]
    for answer in answers {
      let line = Line(
        charge: try answer.price.cost(of: answer.usage), pay: try rule.pay(for: answer.attempts))
      for (attempt, amount) in zip(answer.attempts, line.pay) where amount != .zero {
        payouts[attempt.host] = try (payouts[attempt.host] ?? .zero).adding(amount)
        paid = try paid.adding(amount)
      }
      charge = try charge.adding(line.charge)
      lines.append(line)
    }
    self.lines = lines
    self.charge = charge
    self.payouts = payouts
    margin = try charge.subtracting(paid)
  }
}

extension Bill {
  /// The transaction that moves the charge from `payer` to hosts and margin.
  ///
  /// - Parameters:
  ///   - payer: the organisation's holds, or `margin` if the request's lease has ended.
  ///   - charged: part of the charge that `payer` pays. The rest is taken from `margin`. `nil`
  ///     means that `payer` pays the whole charge.
  /// - Throws: `MoneyError.negative` if `charged` is negative.
  public func settlement(
    id: String, time: Int64, payer: AccountID, charged: MicroCredits? = nil, note: String = ""
  ) throws(MoneyError) -> LedgerTransaction {
    var entries = EntryList()
    let charged = charged ?? charge
    guard charged >= .zero else { throw .negative }
    try entries.add(charged.negated(), to: payer)
    for (host, amount) in payouts.sorted(by: { $0.key < $1.key }) {
      try entries.add(amount, to: .host(host))
    }
    try entries.add(margin, to: .margin)
    try entries.add(charged.subtracting(charge), to: .margin)
    return try LedgerTransaction(
      id: id, kind: .settle, time: time, entries: entries.entries, note: note)
  }
}

/// Entries of a transaction under construction, with one entry per account. Entries of zero are
/// left out.
private struct EntryList {
  private var amounts: [(account: AccountID, amount: MicroCredits)] = []
  private var positions: [AccountID: Int] = [:]

  /// Entries in the order in which their accounts were first added.
  var entries: [LedgerEntry] {
    amounts.filter { $0.amount != .zero }
      .map { LedgerEntry(account: $0.account, amount: $0.amount) }
  }

  mutating func add(_ amount: MicroCredits, to account: AccountID) throws(MoneyError) {
    if let position = positions[account] {
      amounts[position].amount = try amounts[position].amount.adding(amount)
    } else {
      positions[account] = amounts.count
      amounts.append((account, amount))
    }
  }
}
