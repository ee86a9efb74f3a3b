internal import ClusterModel
internal import Limits
internal import Money

/// Prices of clients and hosts, and the rule for pay of attempts that did not deliver.
struct Tariff: Sendable {
  /// A bill for a gateway's report.
  struct Billing: Sendable {
    let bill: Bill
    let usage: TokenUsage
    /// Why nothing is charged and paid. `nil` means that the report is valid.
    let problem: String?

    private init(bill: Bill, usage: TokenUsage, problem: String?) {
      self.bill = bill
      self.usage = usage
      self.problem = problem
    }

    fileprivate init(_ bill: Bill, usage: TokenUsage) {
      self.init(bill: bill, usage: usage, problem: nil)
    }

    /// A report that cannot be billed is settled for nothing, so that its hold ends.
    fileprivate init(problem: String, rule: PayoutRule) throws(MoneyError) {
      self.init(bill: try Bill(answers: [], rule: rule), usage: .zero, problem: problem)
    }
  }

  private(set) var book = PriceBook()
  private(set) var rule: PayoutRule
  /// Free, so that keys work before an admin sets the first price.
  var unknownPrice = UnknownPrice.free
  /// Each host's own price for models without a row.
  var hostDefaults: [HostID: TokenPrice] = [:]
  /// The models that each alias stands for.
  var aliases: [ModelID: [ModelID]] = [:]

  /// Losers earn 15 % of the winner's pay at most, and only for tokens.
  init() throws(MoneyError) {
    rule = try PayoutRule(
      reservationFee: .zero, progressFee: MicroCredits(MicroCredits.perCredit / 10),
      perMilleOfWinner: 150)
  }

  mutating func setRule(_ rule: PayoutRule) { self.rule = rule }

  mutating func add(_ row: PriceRow, now: Int64) throws(PriceRowRefusal) {
    try book.add(row, now: now)
  }

  /// Number of models and aliases with a price that clients pay now or later.
  var pricedModels: Int { book.pricedModels(aliases: aliases, unknown: unknownPrice) }

  /// Checks that a change leaves no more models with prices than gateways can be given.
  ///
  /// Otherwise gateways would have to refuse some of them. A book that has too many already may be
  /// changed as long as they do not become more.
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

  /// Makes the bill. The client pays the price that its gateway knew at the admission; hosts earn
  /// their prices of that time.
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
      // The other entries of the transaction are the payer and the margin.
      guard bill.payouts.count <= Limits.transactionEntries.value - 2 else { throw .oversized }
      // Otherwise the book could not post it, and the gateway would repeat it without end.
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
          // Reports name the host's own model.
          price: book.hostPrice(
            of: attempt.model, on: attempt.host, at: time,
            hostDefault: hostDefaults[attempt.host]),
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
