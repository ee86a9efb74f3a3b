public import Access
public import ClusterModel
public import Money

/// Time of an event: the wall clock for records, and the monotonic clock for leases.
public struct AccountTime: Hashable, Sendable {
  /// Milliseconds since 1970. It may jump in both directions.
  public let wall: Int64
  public let instant: Instant

  public init(wall: Int64, instant: Instant) {
    self.wall = wall
    self.instant = instant
  }
}

/// The registry's side of money: prices, budgets, leases and the ledger's balances as one value.
///
/// The caller performs directives in order. It writes the transactions of an `append` before it
/// performs any later directive. Several events may share one write. If a write fails, the caller
/// performs none of the later directives. It reports `writeFailed`, drops this book, and makes
/// another one from the store with `AccountReplay`.
///
/// Every change of money is one ledger transaction. A restarted registry rebuilds leases and
/// spending from the ids, entries and notes of transactions: see `PostingNote`.
public struct AccountBook: Sendable {
  public enum Event: Hashable, Sendable {
    /// A key was made, changed or revoked. The key itself is stored elsewhere.
    case key(String, account: AccountPath, isActive: Bool)
    /// A key was removed. The money of its leases returns to the account that paid for them.
    case keyRemoved(String)
    /// A record that `record(for:at:)` returned and that the caller has stored.
    case record(AccountRecord)
    /// The hosts' own prices. A host earns its own price for a model if the price book has no row
    /// for both.
    case hostPrices([HostID: TokenPrice])
    /// All aliases of models, with the models that each stands for.
    case aliases([ModelID: [ModelID]])
    /// A `settle` request is ignored, because gateways send a `Settlement` instead.
    case lease(LeaseRequest, from: PeerID)
    /// The sender may be a later process that repeats the settlements of its killed predecessor.
    case settlement(Settlement, from: PeerID)
    /// A settlement whose transaction is already in the store: see `idToLookUp(for:)`.
    case repeatedSettlement(LeaseSettlement, from: PeerID)
    case gatewayLeft(PeerID)
    /// The caller sends this about once per second.
    case tick
    /// Transactions of an `append` could not be written, or the store already had other
    /// transactions with their ids.
    case writeFailed(String)
  }

  public enum Directive: Hashable, Sendable {
    case append([LedgerTransaction])
    case send(LeaseAnswer, to: PeerID)
    /// The prices that clients pay may have changed. The caller publishes
    /// `priceTable(epoch:revision:at:)`.
    case publishPrices
    case warn(CrossedThreshold)
    /// This book no longer agrees with the store, and ignores all further events. The text is the
    /// reason.
    case reload(String)
  }

  var ledger = LedgerBook()
  var issuer: LeaseIssuer
  var tariff: Tariff
  var register = AccountRegister()
  var budgets = BudgetTable()
  var funds = LeaseFunds()
  /// Requests, tokens and cost of settled requests, by key, model and day.
  var usage = DailyUsage()
  /// Number of transactions in the ledger, including those of directives not yet performed.
  var position: Int64 = 0
  private(set) var isStale = false
  /// Latest wall time of an event. It stands still if the wall clock is set back, so that no period
  /// of a budget begins twice: see `correctClock(_:)`.
  var clock = Int64.min
  /// Time since which the wall clock has been earlier than `clock` by more than
  /// `ledger.clock_step`. `nil` means that it is not.
  var behindSince: Instant?
  private var directives: [Directive] = []

  /// A book without transactions.
  init(terms: LeaseTerms, now: Instant) throws(MoneyError) {
    issuer = LeaseIssuer(terms: terms, now: now)
    tariff = try Tariff()
  }

  // MARK: - Queries

  /// All organisations, in no particular order.
  public var organisations: [OrganisationRecord] { Array(register.organisations.values) }

  public func organisation(_ id: String) -> OrganisationRecord? { register.organisations[id] }

  /// Teams in no particular order.
  ///
  /// - Parameter organisation: the teams' organisation. `nil` means the teams of all organisations.
  public func teams(of organisation: String? = nil) -> [TeamRecord] {
    register.teams.values
      .filter { organisation == nil || $0.account.organisation == organisation }
  }

  public func team(_ account: AccountPath) -> TeamRecord? { register.teams[account] }

  public func keyBudgets(_ key: String) -> KeyBudgetsRecord? { register.keyBudgets[key] }

  /// Prices of clients and hosts.
  public var priceBook: PriceBook { tariff.book }
  public var payoutRule: PayoutRule { tariff.rule }
  public var unknownPrice: UnknownPrice { tariff.unknownPrice }

  /// Balance after all transactions so far, including those not yet written.
  public func balance(of account: AccountID) -> MicroCredits { ledger.balance(of: account) }

  /// Credits that an account has spent in the present period of one of its budgets. `nil` means
  /// that it has no budget with this window.
  public func spent(_ window: BudgetWindow, of owner: BudgetOwner, at time: Int64) -> MicroCredits?
  {
    budgets.spent(.budget(of: owner, window), at: time)
  }

  /// Money in all leases.
  public var totalLeased: MicroCredits { issuer.totalLeased }

  public var transactionCount: Int64 { position }

  /// Checkpoint after all transactions so far. The caller stores it only after these transactions
  /// are durable. `nil` means that the ledger is empty, or that the book no longer agrees with it.
  public var checkpoint: AccountCheckpoint? {
    isStale || position == 0 ? nil : AccountCheckpoint(self)
  }

  /// Number of models and aliases with a price that clients pay now or later.
  public var pricedModels: Int { tariff.pricedModels }

  public func priceTable(
    epoch: UInt64, revision: UInt64, at time: Int64
  ) throws(PriceRowRefusal) -> PriceTable {
    try PriceTable(
      epoch: epoch, revision: revision, unknown: tariff.unknownPrice, book: tariff.book,
      aliases: tariff.aliases, at: time)
  }

  /// Differences between the balances and the sums of the log's transactions.
  public func verify(against log: some Sequence<LedgerTransaction>) -> [LedgerDifference] {
    ledger.verify(against: log)
  }

  /// Id of the event's transaction, if the caller must look it up in the store. `nil` means that
  /// the caller need not.
  ///
  /// A gateway's later process may repeat settlements of a process that ended long ago. This book
  /// may have forgotten them. If the store has the transaction, the caller sends
  /// `repeatedSettlement` in place of the event.
  public func idToLookUp(for event: Event) -> String? {
    guard case .settlement(let settlement, let sender) = event,
      sender != settlement.lease.lease.gateway
    else { return nil }
    let id = settlement.lease.transactionID
    return ledger.remembers(id: id) ? nil : id
  }

  // MARK: - Events

  public mutating func handle(_ event: Event, at time: AccountTime) -> [Directive] {
    guard !isStale else { return [] }
    do throws(BookFault) {
      if event == .tick { try correctClock(time) }
      try take(event, at: steady(time))
    } catch {
      discard("\(error)")
    }
    return takeDirectives()
  }

  private mutating func take(_ event: Event, at time: AccountTime) throws(BookFault) {
    switch event {
    case .key(let id, let account, let isActive):
      let key = AccountID.key(id)
      register.setKey(
        key, account: account, isActive: isActive, paying: funds.account(ofKey: key))
      try applyKey(key, at: time)
    case .keyRemoved(let id):
      try perform(issuer.revokeKey(.key(id), now: time.instant), at: time)
      register.removeKey(.key(id))
    case .record(let record): try install(record, at: time)
    case .hostPrices(let prices): tariff.hostDefaults = prices
    case .aliases(let aliases):
      guard aliases != tariff.aliases else { break }
      tariff.aliases = aliases
      append(.publishPrices)
    case .lease(let request, let sender): try receive(request, from: sender, at: time)
    case .settlement(let settlement, let sender): try settle(settlement, from: sender, at: time)
    case .repeatedSettlement(let settlement, let sender):
      confirmRepeated(settlement, from: sender, at: time)
    case .gatewayLeft(let gateway):
      try perform(issuer.gatewayLeft(gateway, now: time.instant), at: time)
    case .tick:
      for id in budgets.takeExpired(at: time.wall) { try refresh(id, at: time) }
      try perform(issuer.tick(now: time.instant), at: time)
    case .writeFailed(let reason): discard(reason)
    }
  }

  /// Returns the time of an event. If the clock was set back, the result has the latest wall time
  /// so far.
  mutating func steady(_ time: AccountTime) -> AccountTime {
    clock = max(clock, time.wall)
    return AccountTime(wall: clock, instant: time.instant)
  }

  private mutating func discard(_ reason: String) {
    isStale = true
    // All other directives of this event are dropped, because they may depend on a transaction that
    // failed.
    directives = [.reload(reason)]
  }

  // MARK: - Leases

  private mutating func receive(
    _ request: LeaseRequest, from sender: PeerID, at time: AccountTime
  ) throws(BookFault) {
    let gateway: PeerID
    var isAllowed = false
    switch request {
    case .ask(let ask): gateway = ask.lease.gateway
    case .giveBack(let giveBack): gateway = giveBack.lease.gateway
    case .renew(let renewal):
      gateway = renewal.gateway
      // A gateway's later process renews its predecessor's leases until it has settled the
      // predecessor's requests.
      isAllowed = gateway.name == sender.name
    case .settle: return
    }
    guard isAllowed || gateway == sender, gateway.name.isLedgerName else { return }
    for directive in issuer.receive(request, now: time.instant) {
      switch directive {
      case .post(let posting): try post(posting, at: time)
      case .send(let answer, to: gateway): append(.send(answer, to: sender))
      case .send(let answer, to: let peer): append(.send(answer, to: peer))
      }
    }
  }

  private mutating func settle(
    _ settlement: Settlement, from sender: PeerID, at time: AccountTime
  ) throws(BookFault) {
    let gateway = settlement.lease.lease.gateway
    guard gateway.name.isLedgerName, settlement.lease.key.name.isLedgerName else { return }
    let id = settlement.lease.transactionID
    if ledger.remembers(id: id) {
      return confirmRepeated(settlement.lease, from: sender, at: time)
    }
    let billing: Tariff.Billing
    do throws(MoneyError) {
      billing = try tariff.billing(of: settlement) { ledger.hasRoom(for: $0) }
    } catch {
      throw .money(error)
    }
    var lease = settlement.lease
    lease.hold = max(.zero, lease.hold)
    // A gateway may bill at most the cost of the tokens that it reports.
    lease.billed = min(max(.zero, lease.billed), billing.bill.charge)
    let details = PostingNote.Details(
      trace: settlement.trace, model: settlement.model, admittedAt: settlement.admittedAt,
      usage: billing.usage, problem: billing.problem)
    for directive in issuer.receive(.settle(lease), now: time.instant) {
      switch directive {
      case .post(let posting):
        if case .settle = posting.change {
          try post(posting, id: id, billing.bill, details, at: time)
        } else {
          try post(posting, at: time)
        }
      // The confirmation is sent to `sender` below.
      case .send(.settled, to: _): break
      case .send(let answer, to: let peer): append(.send(answer, to: peer))
      }
    }
    confirm(lease, to: sender)
  }

  /// Confirms a settlement that the ledger already has. The issuer may have forgotten the gateway,
  /// so the issuer records the settlement again.
  private mutating func confirmRepeated(
    _ settlement: LeaseSettlement, from sender: PeerID, at time: AccountTime
  ) {
    issuer.recordSettled(settlement, now: time.instant)
    confirm(settlement, to: sender)
  }

  private mutating func confirm(_ settlement: LeaseSettlement, to sender: PeerID) {
    let gateway = settlement.lease.gateway
    let through = issuer.settledThrough(by: gateway)
    guard settlement.number <= through else { return }
    append(.send(.settled(gateway, through: through), to: sender))
  }

  /// Performs directives of the lease issuer.
  mutating func perform(
    _ issued: [LeaseIssuer.Directive], at time: AccountTime
  ) throws(BookFault) {
    for directive in issued {
      switch directive {
      case .post(let posting): try post(posting, at: time)
      case .send(let answer, to: let peer): append(.send(answer, to: peer))
      }
    }
  }

  // MARK: - Accounts

  /// Gives the lease issuer the state and the ceilings of a key.
  mutating func applyKey(_ key: AccountID, at time: AccountTime) throws(BookFault) {
    guard let entry = register.keys[key] else { return }
    let path = register.path(of: key, budgets)
    guard !entry.isActive || entry.next != nil else {
      return try perform(issuer.setKey(key, path: path, now: time.instant), at: time)
    }
    // The first call of `revokeKey` refuses the key's waiting requests before the ceilings change.
    // `setKey` counts the open leases below the new ceilings, but makes the key active. Therefore
    // `revokeKey` is called again.
    try perform(issuer.revokeKey(key, now: time.instant), at: time)
    try perform(issuer.setKey(key, path: path, now: time.instant), at: time)
    try perform(issuer.revokeKey(key, now: time.instant), at: time)
  }

  private mutating func install(
    _ record: AccountRecord, at time: AccountTime
  ) throws(BookFault) {
    switch record {
    case .organisation(let organisation):
      register.set(organisation)
      ledger.setPrepaid(organisation.isPrepaid, organisation: organisation.id)
      try set(organisation.budgets, of: .organisation(organisation.id), at: time)
      if organisation.isPrepaid {
        try refreshBalance(of: organisation.id, at: time)
      } else {
        issuer.removeCeiling(.balance(of: organisation.id))
      }
    case .team(let team):
      register.set(team)
      try set(team.budgets, of: .team(team.account), at: time)
    case .keyBudgets(let record):
      register.set(record)
      try set(record.budgets, of: .key(record.key), at: time)
    case .price(let row):
      do throws(PriceRowRefusal) {
        // The row was valid when the admin sent it. It stays valid, although its start may have
        // passed during the write.
        try tariff.add(row, now: min(time.wall, row.effectiveFrom))
      } catch {
        throw .price(error)
      }
      append(.publishPrices)
    case .withdrawnPrice(let row):
      tariff.remove(row, now: time.wall)
      append(.publishPrices)
    case .payoutRule(let rule): tariff.setRule(rule)
    case .unknownPrice(let policy):
      tariff.unknownPrice = policy
      append(.publishPrices)
    case .removedAccount(let account): try remove(account, at: time)
    }
  }

  mutating func set(
    _ records: [BudgetRecord], of owner: BudgetOwner, at time: AccountTime
  ) throws(BookFault) {
    let before = budgets.ceilings(of: owner)
    budgets.set(records, of: owner)
    for key in register.keys(of: owner) { try applyKey(key, at: time) }
    // The ceilings are set after the paths of the keys, so that a ceiling counts the leases of all
    // its keys. The issuer recalls leases that exceed a new amount.
    let after = budgets.ceilings(of: owner)
    for id in after { try refresh(id, at: time) }
    for id in before where !after.contains(id) { issuer.removeCeiling(id) }
  }

  mutating func refresh(_ id: CeilingID, at time: AccountTime) throws(BookFault) {
    guard let ceiling = budgets.ceiling(id, at: time.wall) else { return }
    try perform(issuer.setCeiling(ceiling, now: time.instant), at: time)
  }

  /// Gives the issuer the prepaid balance of an organisation.
  ///
  /// A balance does not contain holds. The issuer subtracts leases itself, so the holds are added
  /// back.
  mutating func refreshBalance(
    of organisation: String, at time: AccountTime
  ) throws(BookFault) {
    guard register.organisations[organisation]?.isPrepaid == true else { return }
    let total: MicroCredits
    do throws(MoneyError) {
      total = try ledger.balance(of: .organisation(organisation))
        .adding(ledger.balance(of: .holds(of: organisation)))
    } catch {
      throw .money(error)
    }
    let ceiling = Ceiling(id: .balance(of: organisation), remaining: total)
    try perform(issuer.setCeiling(ceiling, now: time.instant), at: time)
  }

  // MARK: - Directives

  mutating func append(_ directive: Directive) {
    guard case .append(let new) = directive, case .append(var last) = directives.last else {
      return directives.append(directive)
    }
    // `last` is removed before it grows. Otherwise each call would copy all transactions, which
    // takes seconds if thousands of leases end in one event.
    directives.removeLast()
    last += new
    directives.append(.append(last))
  }

  mutating func takeDirectives() -> [Directive] {
    guard !directives.isEmpty else { return [] }
    defer { directives = [] }
    return directives
  }
}

/// Reason for which a book cannot continue. The cause is damaged data or a fault in Tutti. A bus
/// message cannot cause it.
enum BookFault: Error, Hashable, Sendable, CustomStringConvertible {
  case ledger(LedgerRefusal)
  case money(MoneyError)
  case price(PriceRowRefusal)
  /// The book has a transaction with this id already.
  case repeated(id: String)
  /// The posting is a hold for a key that has no account.
  case unknownKey(AccountID)

  var description: String {
    switch self {
    case .ledger(let refusal): "\(refusal)"
    case .money(let error): "an amount is impossible: \(error)"
    case .price(let refusal): "\(refusal)"
    case .repeated(let id): "the transaction \(id) was made twice"
    case .unknownKey(let key): "money was held for \(key), which has no account"
    }
  }
}
