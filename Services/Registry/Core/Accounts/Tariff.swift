internal import ClusterModel
internal import Limits
internal import Money

/// Prices that clients pay and hosts earn, and the rule for pay of attempts that did not deliver.
struct Tariff: Sendable {
  /// The bill for a gateway's report. It is empty if the report cannot be billed.
  struct Billing: Sendable {
    let bill: Bill
    let usage: TokenUsage
    /// Reason for which nothing is charged or paid. `nil` means that the report is valid.
    let problem: String?

    private init(bill: Bill, usage: TokenUsage, problem: String?) {
      self.bill = bill
      self.usage = usage
      self.problem = problem
    }

    fileprivate init(_ bill: Bill, usage: TokenUsage) {
      self.init(bill: bill, usage: usage, problem: nil)
    }

    /// The result for a report that cannot be billed: no charge and no pay. The settlement still
    /// ends the request's hold.
    fileprivate init(problem: String, rule: PayoutRule) throws(MoneyError) {
      self.init(bill: try Bill(answers: [], rule: rule), usage: .zero, problem: problem)
    }
  }

  private(set) var book = PriceBook()
  private(set) var rule: PayoutRule
  /// Rule for models without a price. By default they are free, so that keys work before an admin
  /// sets the first price.
  var unknownPrice = UnknownPrice.free
  /// Each host's own present price. It applies to models for which the price book has no row of the
  /// host, if the gateway has not reported the host's price at the admission.
  var hostDefaults: [HostID: TokenPrice] = [:]
  /// The models that each alias stands for.
  var aliases: [ModelID: [ModelID]] = [:]

  /// A race loser earns at most 15 % of the winner's pay, and is paid only for tokens.
  init() throws(MoneyError) {
    rule = try PayoutRule(
      reservationFee: .zero, progressFee: MicroCredits(MicroCredits.perCredit / 10),
      perMilleOfWinner: 150)
  }

  mutating func setRule(_ rule: PayoutRule) { self.rule = rule }

  mutating func add(_ row: PriceRow, now: Int64) throws(PriceRowRefusal) {
    try book.add(row, now: now)
  }

  mutating func remove(_ row: PriceRow, now: Int64) { book.remove(row, now: now) }

  /// Number of models and aliases with a price that clients pay now or later.
  var pricedModels: Int { book.pricedModels(aliases: aliases, unknown: unknownPrice) }

  /// Checks that the price table of gateways has room for all models with prices after a change.
  ///
  /// Gateways would have to refuse a model without room. If there are too many models with prices
  /// already, a change must not add to them.
  func checkRoom(
    after change: (inout Tariff) throws(PriceRowRefusal) -> Void
  ) throws(PriceRowRefusal) {
    var changed = self
    try change(&changed)
    let count = changed.pricedModels
    guard count <= Limits.publishedPrices.value || count <= pricedModels else {
      throw .tooManyModels
    }
  }

  mutating func restore(_ rows: [PriceRow]) throws(PriceRowRefusal) {
    book = try PriceBook(stored: rows)
  }

  /// Makes the bill of a settlement. The client pays the price that its gateway knew at the
  /// admission. Hosts earn their own prices of the same time.
  ///
  /// - Parameter fits: whether the balances have room for a bill.
  func billing(
    of settlement: Settlement, fits: (Bill) -> Bool = { _ in true }
  ) throws(MoneyError) -> Billing {
    do throws(MoneyError) {
      var usage = TokenUsage.zero
      var answers: [BilledAnswer] = []
      guard settlement.answers.count <= Limits.billedAnswers.value else {
        throw .invalidOutcome
      }
      for answer in settlement.answers {
        usage = try usage.adding(answer.usage)
        answers.append(
          try BilledAnswer(
            usage: answer.usage, price: answer.price ?? settlement.price,
            attempts: try attempts(of: answer, at: settlement.admittedAt)))
      }
      let bill = try Bill(answers: answers, rule: rule)
      // Two more entries of the transaction are for the payer and the margin.
      guard bill.payouts.count <= Limits.transactionEntries.value - 2 else { throw .oversized }
      // A bill that does not fit could not be posted, and the gateway would repeat the settlement
      // without end.
      guard fits(bill) else { throw .overflow }
      return Billing(bill, usage: usage)
    } catch {
      return try Billing(problem: "\(error)", rule: rule)
    }
  }

  private func attempts(
    of answer: SettledAnswer, at time: Int64
  ) throws(MoneyError) -> [BilledAttempt] {
    guard answer.attempts.count <= Limits.billedAttempts.value else { throw .invalidOutcome }
    var attempts: [BilledAttempt] = []
    for attempt in answer.attempts {
      guard attempt.host.name.isLedgerName else { throw .oversized }
      attempts.append(
        try BilledAttempt(
          host: attempt.host,
          // `attempt.model` is the host's own name of the model, not an alias.
          price: book.hostPrice(
            of: attempt.model, on: attempt.host, at: time,
            hostDefault: attempt.hostPrice ?? hostDefaults[attempt.host]),
          usage: attempt.usage, contributed: attempt.contributed, role: attempt.role))
    }
    return attempts
  }
}

extension String {
  /// Whether the store accepts the name as a part of an id or an account.
  var isLedgerName: Bool {
    (1...256).contains(utf8.count) && utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
  }
}
