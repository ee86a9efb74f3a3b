import Access
import ClusterModel
import Limits
import Logging
import Metrics
import Money
import RegistryCore
import ServiceLifecycle
import Store
import Synchronization
import Telemetry

/// Runs the book of accounts. It handles one event after another. Events that arrive during a write
/// share the next write.
///
/// A message is sent only after the transactions that it depends on are written. After a failed
/// write the book is read again from the store, and the messages of the failed write are dropped.
/// Gateways repeat their messages, and admins get an error.
final class AccountShell: Service {
  /// Receivers of the book's messages.
  struct Outlet: Sendable {
    var send: @Sendable (LeaseAnswer, PeerID) -> Void
    var publish: @Sendable (PriceTable) -> Void
  }

  /// Result of an admin's order.
  enum Done: Sendable {
    /// The new revision of each record, in the order of the changes.
    case stored([RecordRevision])
    /// `isRepeated` is `true` if the same transfer was made before.
    case transferred(isRepeated: Bool)
  }

  struct KeyState: Equatable {
    let account: AccountPath
    let isActive: Bool
  }

  struct State {
    var book: AccountBook
    var revisions: [RecordSubject: RecordRevision]
    var inbox: [Item] = []
    /// Number of admins' orders in the inbox.
    var waitingOrders = 0
    /// Last known state of each key, by id, from `receiveKeys`.
    var keys: [String: KeyState] = [:]
    /// The hosts' own prices. The store does not have them, so they are given to each new book.
    var hostPrices: [HostID: TokenPrice] = [:]
    /// Revision of the host table that `hostPrices` come from.
    var hostRevision: UInt64 = 0
    /// The models that each alias stands for. `ModelShell` stores them.
    var aliases: [ModelID: [ModelID]] = [:]
    var priceTable: PriceTable?
    var priceRevision: UInt64 = 0
    /// Number of messages that were dropped because the inbox was full, since the last log line
    /// about them.
    var dropped = 0
    /// Time of the latest reload of the book. It is in the future while that reload waits. `nil`
    /// means never.
    var reloaded: Instant?
    /// Reason for which this process may not write any more. `nil` means that it may write.
    var lost: Failure?
    /// Place in the ledger at which a checkpoint was last due, whether it was written or not.
    var duePosition: Int64
    /// Place in the ledger of the last checkpoint that was written.
    var savedPosition: Int64
  }

  /// Directives, and results of orders, that share one write.
  struct Round {
    var directives: [AccountBook.Directive] = []
    var orders: [(Order, Done)] = []
  }

  /// Interval of `tick` events, which end expired leases and budget periods.
  private static let tick: Duration = .seconds(1)
  /// Minimum pause between two reloads of the book after failed writes. On a full disk, every
  /// message would otherwise cause a reload.
  static let retry: Duration = .seconds(1)
  private static let shuttingDown = Failure(
    .shuttingDown, "The registry is shutting down; nothing was changed.")

  let store: any AccountStoring
  let epoch: UInt64
  let outlet: Outlet
  let logger: Logger
  let now: @Sendable () -> AccountTime
  private let warnings = Counter(label: "tutti_registry_budget_warnings_total")
  let checkpointInterval: Int64
  let writerCheckInterval: Duration
  let state: Mutex<State>
  /// Books that wait for a checkpoint. A newer book replaces one that still waits.
  let books = AsyncStream.makeStream(
    of: AccountBook.self, bufferingPolicy: .bufferingNewest(1))
  let wakeups = AsyncStream.makeStream(
    of: Void.self, bufferingPolicy: .bufferingNewest(1))

  /// - Parameters:
  ///   - epoch: the registry's incarnation.
  ///   - checkpointInterval: transactions between checkpoints of the ledger.
  ///   - writerCheckInterval: pause between checks for another writer of the store.
  ///   - now: returns the time of an event.
  init(
    store: any AccountStoring, epoch: UInt64, outlet: Outlet, logger: Logger,
    checkpointInterval: Int = Limits.checkpointInterval.value,
    writerCheckInterval: Duration = .seconds(5), now: @escaping @Sendable () -> AccountTime
  ) async throws(Failure) {
    self.store = store
    self.epoch = epoch
    self.outlet = outlet
    self.logger = logger
    self.checkpointInterval = Int64(checkpointInterval)
    self.writerCheckInterval = writerCheckInterval
    self.now = now
    let stored = try await StoredAccounts(store, at: now(), logger: logger)
    state = Mutex(
      State(
        book: stored.book, revisions: stored.revisions,
        duePosition: stored.checkpointPosition, savedPosition: stored.checkpointPosition))
    try await write(stored.directives)
    // A gateway needs a price table, even an empty one, before it admits a request with a key.
    if priceTable == nil { publishPrices() }
  }

  // MARK: - Callers

  /// Adds a message to the inbox, or drops it if the inbox is full. Answers go to the outlet.
  func receive(_ event: AccountBook.Event) {
    receive(CollectionOfOne(event))
  }

  /// Takes the settlements of one message.
  func receive(_ settlements: [Settlement], from sender: PeerID) {
    receive(settlements.lazy.map { .settlement($0, from: sender) })
  }

  private func receive(_ events: some Collection<AccountBook.Event>) {
    let isTaken = state.withLock { state in
      let room = max(0, Limits.accountInbox.value - state.inbox.count)
      for event in events.prefix(room) { state.inbox.append(.event(event)) }
      state.dropped += max(0, events.count - room)
      return room > 0
    }
    if isTaken { wakeups.continuation.yield() }
  }

  /// Takes the own prices of all hosts.
  ///
  /// - Parameter revision: revision of the host table that has the prices. Changes at the same time
  ///   may arrive in any order, so prices of an older revision are ignored.
  func receiveHostPrices(_ prices: [HostID: TokenPrice], revision: UInt64) {
    state.withLock { state in
      guard revision >= state.hostRevision else { return }
      state.hostRevision = revision
      guard state.hostPrices != prices else { return }
      state.hostPrices = prices
      state.inbox.append(.event(.hostPrices(prices)))
    }
    wakeups.continuation.yield()
  }

  /// Takes all aliases of models after a change of some.
  func receiveAliases(_ aliases: [ModelID: [ModelID]]) {
    state.withLock { state in
      guard state.aliases != aliases else { return }
      state.aliases = aliases
      state.inbox.append(.event(.aliases(aliases)))
    }
    wakeups.continuation.yield()
  }

  /// Moves credits, and returns when the transaction is durable.
  /// - Returns: whether the same transfer was made before.
  func transfer(_ transfer: AdminTransfer) async throws(OrderError) -> Bool {
    guard case .transferred(let isRepeated) = try await order(.transfer(transfer)) else {
      preconditionFailure("a transfer ended as a change of a record")
    }
    return isRepeated
  }

  /// Reads the book. Its last transactions may not be written yet.
  func read<Value: Sendable>(_ query: (AccountBook) -> Value) -> Value {
    state.withLock { query($0.book) }
  }

  /// Budgets, balance and spending of a key.
  func spending(_ query: SpendingQuery) -> SpendingReport {
    let time = now().wall
    return read { $0.spending(query, at: time) }
  }

  /// The metrics of budgets.
  var budgetFamilies: [MetricFamily] {
    let time = now().wall
    return read { $0.budgetSummary(at: time) }.families
  }

  func revision(of subject: RecordSubject) -> RecordRevision? {
    state.withLock { $0.revisions[subject] }
  }

  /// The table that was published last.
  var priceTable: PriceTable? { state.withLock { $0.priceTable } }

  func order(_ work: Order.Work) async throws(OrderError) -> Done {
    let (outcomes, outcome) = AsyncStream.makeStream(of: Result<Done, OrderError>.self)
    let isFull = state.withLock { state in
      guard state.waitingOrders < Limits.waitingChanges.value else { return true }
      state.waitingOrders += 1
      state.inbox.append(.order(Order(work: work, receipt: OrderReceipt(outcome))))
      return false
    }
    if isFull { throw .failed(.tooManyOrders) }
    guard case .terminated = wakeups.continuation.yield() else {
      for await result in outcomes { return try result.get() }
      throw .failed(Failure(.cancelled, "The client left before the change was stored."))
    }
    throw .failed(Self.shuttingDown)
  }

  // MARK: - The loop

  func run() async throws {
    await cancelWhenGracefulShutdown { [self] in await processMessages() }
    wakeups.continuation.finish()
    await saveLastCheckpoint()
    let abandoned = state.withLock { state in
      defer { state.inbox = [] }
      return state.inbox
    }
    for case .order(let order) in abandoned { order.answer(.failure(.failed(Self.shuttingDown))) }
    if let lost = state.withLock(\.lost) { throw ProcessFailure(.unavailable, lost.message) }
  }

  private func processMessages() async {
    await withDiscardingTaskGroup { group in
      group.addTask {
        while !Task.isCancelled {
          try? await Task.sleep(for: Self.tick)
          self.receive(.tick)
        }
      }
      group.addTask { await self.watchWriter() }
      group.addTask {
        // This loop runs at the same time as the loop for messages, because a large checkpoint
        // takes some 100 ms.
        for await book in self.books.stream { await self.saveCheckpoint(of: book) }
      }
      for await _ in wakeups.stream {
        while await processInbox() {}
        if state.withLock({ $0.lost != nil }) { break }
      }
      group.cancelAll()
    }
  }

  /// Processes up to `accounts.batch` messages that have arrived. Messages between two changes of
  /// records share one write. Each change of records is written alone.
  /// - Returns: `false` if there were no messages.
  func processInbox() async -> Bool {
    let (items, dropped) = state.withLock { state in
      let items = Array(state.inbox.prefix(Limits.accountBatch.value))
      state.inbox.removeFirst(items.count)
      state.waitingOrders -= items.count { if case .order = $0 { true } else { false } }
      defer { state.dropped = 0 }
      return (items, state.dropped)
    }
    if dropped > 0 {
      logger.report(.moneyMessagesDropped, metadata: ["count": "\(dropped)"])
    }
    var round = Round()
    for item in items {
      switch item {
      case .event(let event):
        round.directives += await handle(event)
      case .order(let order):
        guard !order.receipt.isAbandoned else { continue }
        switch order.work {
        case .transfer(let transfer): await make(transfer, order, &round)
        case .changes(let changes, let author):
          // The transactions so far are written first, so that the store keeps the order of
          // arrival.
          await finish(round)
          round = await store(changes, author, order)
        }
      case .keyBudgetsRemoval(let key):
        guard read({ $0.keyBudgets(key) }) != nil else { continue }
        await finish(round)
        round = Round(directives: await removeBudgets(of: key))
      }
    }
    await finish(round)
    offerCheckpoint()
    return !items.isEmpty
  }

  private func handle(_ event: AccountBook.Event) async -> [AccountBook.Directive] {
    var event = event
    if case .settlement(let settlement, let sender) = event,
      let id = state.withLock({ $0.book.idToLookUp(for: event) })
    {
      do throws(Failure) {
        if try await store.transaction(id) != nil {
          event = .repeatedSettlement(settlement.lease, from: sender)
        }
      } catch {
        // The gateway repeats the settlement.
        logger.report(.settlementNotLookedUp, metadata: [LogKey.reason: "\(error.message)"])
        return []
      }
    }
    return state.withLock { [event] in $0.book.handle(event, at: now()) }
  }

  private func make(_ transfer: AdminTransfer, _ order: Order, _ round: inout Round) async {
    let stored: LedgerTransaction?
    do throws(Failure) {
      stored = try await store.transaction(transfer.transactionID)
    } catch {
      return order.answer(.failure(.failed(error)))
    }
    let result = state.withLock { state in
      Result { () throws(AccountRefusal) in
        try state.book.transfer(transfer, stored: stored, at: now())
      }
    }
    switch result {
    case .success(let directives):
      round.directives += directives
      // A repeated transfer waits for the write, too, because the first transfer may be in it.
      round.orders.append((order, .transferred(isRepeated: directives.isEmpty)))
    case .failure(let refusal): order.answer(.failure(.refused(refusal)))
    }
  }

  private func finish(_ round: Round) async {
    do throws(Failure) {
      try await write(round.directives)
    } catch {
      for (order, _) in round.orders { order.answer(.failure(.failed(.notStored(error)))) }
      return await reload(error)
    }
    for (order, done) in round.orders { order.answer(.success(done)) }
  }

  /// Writes all transactions in one append, then performs the other directives.
  func write(_ directives: [AccountBook.Directive]) async throws(Failure) {
    var transactions: [LedgerTransaction] = []
    for directive in directives {
      switch directive {
      case .append(let new): transactions += new
      case .reload(let reason): throw Failure(.internalError, reason)
      case .send, .publishPrices, .warn: break
      }
    }
    if !transactions.isEmpty { try await append(transactions) }
    perform(directives)
  }

  private func append(_ transactions: [LedgerTransaction]) async throws(Failure) {
    // The book already counts these transactions. If the store has another number of transactions
    // before them, the book lacks some, and the append fails.
    let known = state.withLock { $0.book.transactionCount } - Int64(transactions.count)
    let results = try await store.append(transactions, after: known)
    for (transaction, result) in zip(transactions, results) {
      switch result {
      case .appended: break
      case .alreadyPresent, .conflict:
        // Other transactions of the same append may be in the store. The error's code therefore
        // leaves the outcome open.
        throw Failure(
          .storeUnreachable,
          "The ledger has a transaction \(transaction.id) that was not expected.")
      case .refused(let reason): throw Failure(.storeFailed, reason)
      }
    }
  }

  // MARK: - Directives

  private func perform(_ directives: [AccountBook.Directive]) {
    // For each gateway only the last confirmation is sent, because it includes the earlier ones.
    var confirmed: Set<Confirmation> = []
    var messages: [(LeaseAnswer, PeerID)] = []
    for directive in directives.reversed() {
      guard case .send(let answer, let peer) = directive else { continue }
      if case .settled(let gateway, through: _) = answer,
        !confirmed.insert(Confirmation(gateway: gateway, receiver: peer)).inserted
      {
        continue
      }
      messages.append((answer, peer))
    }
    for (answer, peer) in messages.reversed() { outlet.send(answer, peer) }
    if directives.contains(.publishPrices) { publishPrices() }
    for case .warn(let crossed) in directives {
      warnings.increment()
      logger.report(
        .budgetCrossed,
        metadata: [
          "ceiling": "\(crossed.ceiling)", "threshold_per_mille": "\(crossed.threshold)",
          "spent": "\(crossed.spent.credits)", "amount": "\(crossed.amount.credits)",
        ])
    }
  }

  private struct Confirmation: Hashable {
    let gateway: PeerID
    let receiver: PeerID
  }
}
