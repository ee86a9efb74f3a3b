import BillingJournal
import Bus
import BusCore
import Clocks
import ClusterModel
import GatewayCore
import Logging
import Money
import ServiceKit
import ServiceLifecycle
import Synchronization
import Telemetry

/// Money of this gateway's requests. It is the shell around `LeasedBudget`.
///
/// Requests without a key, and requests that cost nothing, do not use it.
final class Spending: Service {
  private static let tickPause = Duration.milliseconds(250)
  /// Settlements within this time share one message and one durable write. The write costs as much
  /// as a hundred settlements. Before any other message of `LeasedBudget`, they are sent at once.
  private static let batchPause = Duration.milliseconds(100)
  /// As `batchPause`, but while another gateway may wait for money of a key.
  private static let scarcePause = Duration.milliseconds(10)
  private static let pricesDeadline = Duration.seconds(2)
  /// Pause after the first unanswered request for prices. It is shorter than for other tables,
  /// because a gateway without prices admits no request with a key.
  private static let pricesPause = Duration.milliseconds(100)

  fileprivate enum Outcome: Sendable {
    case admitted(Hold)
    case refused(BudgetRefusal)
    case left
  }

  /// Money that a request may spend.
  struct Hold: Sendable {
    let request: UInt64
    let lease: LeaseID
    /// Description of the lease, for the journal.
    let leaseText: String
    let amount: MicroCredits
    /// The budget or balance for which the amount is below the request's worst case. `nil` means
    /// that it pays the worst case, or that the ceiling is not known.
    var ceiling: Ceiling?
  }

  /// The description of the lease that was used last, so that it is not made for each request.
  fileprivate struct LeaseText {
    private var lease: LeaseID?
    private var text = ""

    mutating func text(of lease: LeaseID) -> String {
      if lease != self.lease { (self.lease, text) = (lease, lease.description) }
      return text
    }
  }

  fileprivate struct State {
    var budget: LeasedBudget
    var recovered: RecoveredBills
    var lastRequest: UInt64 = 0
    var waiting: [UInt64: CheckedContinuation<Outcome, Never>] = [:]
    var leaseText = LeaseText()
    var reports = UnconfirmedReports<FinishedBill>()
    var batch = SettlementBatch()
    /// Full batches that have not been sent yet.
    var full: [[Settlement]] = []
  }

  /// Effects of a change, which are performed after the lock was released.
  fileprivate struct Effects {
    var messages: [Body] = []
    /// Whether a batch of settlements has begun.
    var beginsBatch = false
    /// Whether to send the batch after the short pause.
    var isScarce = false
    /// Whether a batch is full.
    var isFull = false
    var outcomes: [(waiter: CheckedContinuation<Outcome, Never>, outcome: Outcome)] = []
  }

  let journal: BillingJournal?
  private let gateway: PeerID
  private let bus: Bus
  private let logger: Logger
  private let patience: Duration
  private let clock = ProcessClock()
  private let prices = Mutex<PriceTable?>(nil)
  private let priceRequests: TableRequests
  private let state: Mutex<State>
  private let batches = AsyncStream.makeStream(
    of: Void.self, bufferingPolicy: .bufferingNewest(1))
  private let scarceBatches = AsyncStream.makeStream(
    of: Void.self, bufferingPolicy: .bufferingNewest(1))
  private let fullBatches = AsyncStream.makeStream(
    of: Void.self, bufferingPolicy: .bufferingNewest(1))

  /// - Parameters:
  ///   - opened: the journal of this gateway. `nil` means that a crash loses open bills.
  ///   - patience: maximum time for which a request waits for money that other requests hold.
  init(
    _ bus: Bus, journal opened: BillingJournal.Opened?, patience: Duration = .seconds(10),
    logger: Logger
  ) {
    self.patience = patience
    self.bus = bus
    self.logger = logger
    priceRequests = TableRequests(of: "prices", firstPause: Self.pricesPause, logger: logger)
    gateway = bus.peer.id
    journal = opened?.journal
    let bills = (opened?.entries ?? []).compactMap { entry in
      RecoveredBill.settlement(of: entry).map { (id: entry.request.id, settlement: $0) }
    }
    state = Mutex(
      State(budget: LeasedBudget(gateway: bus.peer.id), recovered: RecoveredBills(bills)))
    if !bills.isEmpty {
      logger.notice(
        "settling requests of an earlier process", metadata: [LogKey.count: "\(bills.count)"])
    }
    if let notice = opened?.notice {
      logger.report(.billingJournalDamaged, metadata: [LogKey.reason: "\(notice)"])
    }
  }

  // MARK: - Prices

  /// Applies a published price table.
  func apply(_ body: Body) {
    guard case .priceTable(let table) = body else { return }
    prices.withLock { prices in
      if prices.map(table.replaces) ?? true { prices = table }
    }
  }

  var hasPrices: Bool { prices.withLock { $0 != nil } }

  /// - Throws: `overloaded` if the registry has not sent its prices yet.
  func priceTable() throws(Failure) -> PriceTable {
    guard let table = prices.withLock({ $0 }) else {
      throw Failure(
        .overloaded, "The gateway has not received the prices yet; ask again.",
        retryAfter: .seconds(1))
    }
    return table
  }

  /// Requests the prices, unless they were published meanwhile.
  private func askForPrices() async throws(Failure) {
    guard !hasPrices else { return }
    do throws(Failure) {
      let answer = try await bus.call(
        .priceTableRequest, to: .service(.registry), deadline: Self.pricesDeadline)
      guard case .priceTable = answer else {
        throw Failure(.internalError, "The registry's answer is not a price table.")
      }
      apply(answer)
    } catch {
      // A registry that does not handle the request has no prices, so it charges nothing.
      guard error.code == .unhandled,
        let free = try? PriceTable(epoch: 0, revision: 0, unknown: .free)
      else { throw error }
      apply(.priceTable(free))
    }
  }

  // MARK: - Requests

  /// Waits until a request may spend money.
  ///
  /// - Throws: `cancelled` if the client leaves meanwhile. Otherwise the reason why the request is
  ///   not paid.
  func hold(_ cost: RequestCost, for key: AccountID) async throws(Failure) -> Hold {
    let now = clock.now
    let (request, hold) = state.withLock { state -> (UInt64, Hold?) in
      state.lastRequest += 1
      let request = state.lastRequest
      guard let lease = state.budget.admitAtOnce(request, of: key, cost: cost, now: now) else {
        return (request, nil)
      }
      return (request, state.hold(cost.worst, of: request, from: lease))
    }
    if let hold { return hold }
    let outcome = await withTaskCancellationHandler {
      await withCheckedContinuation { waiter in
        self.enter(request, cost, key, waiter)
        if Task.isCancelled { self.leave(request) }
      }
    } onCancel: {
      self.leave(request)
    }
    switch outcome {
    case .admitted(let hold): return hold
    case .refused(let refusal): throw refusal.failure(at: UnixTime.milliseconds())
    case .left: throw .clientLeft
    }
  }

  private func enter(
    _ request: UInt64, _ cost: RequestCost, _ key: AccountID,
    _ waiter: CheckedContinuation<Outcome, Never>
  ) {
    let now = clock.now
    change { state in
      state.waiting[request] = waiter
      let (admission, directives) = state.budget.admit(
        request, of: key, cost: cost, patience: patience, now: now)
      var effects = Effects()
      switch admission {
      case .admitted(let amount): state.admit(request, amount, &effects)
      case .waiting: break
      case .refused(let refusal): state.end(request, .refused(refusal), &effects)
      }
      state.perform(directives, &effects)
      return effects
    }
  }

  private func leave(_ request: UInt64) {
    let now = clock.now
    change { state in
      var effects = Effects()
      state.end(request, .left, &effects)
      state.perform(state.budget.leave(request, now: now), &effects)
      return effects
    }
  }

  /// Bills a request that has ended.
  ///
  /// - Parameters:
  ///   - bill: the request's entry in the journal. It is finished with the settlement's number.
  ///   - unconfirmed: the bill for the journal. The next process settles it if the registry does
  ///     not confirm the settlement.
  ///   - report: makes the settlement from its amounts and numbers.
  func settle(
    _ request: UInt64, billed: MicroCredits, _ bill: consuming OpenBill?,
    _ unconfirmed: UnconfirmedBill? = nil, report: (LeaseSettlement) -> Settlement
  ) {
    let now = clock.now
    var bill = bill
    let effects = state.withLock { state -> Effects in
      var effects = Effects()
      guard let (lease, others) = state.budget.bill(request, billed: billed, now: now) else {
        return effects
      }
      // The entry is finished under the lock, so that the journal has the numbers in their order.
      let entry = bill.take()?.finish(settlement: lease.number, bill: unconfirmed)
      if entry == nil { journal?.recordNumber(lease.number) }
      let settlement = report(lease)
      state.reports.append(settlement, entry: entry)
      state.queue(settlement, &effects)
      if !others.isEmpty { state.perform(others, &effects) }
      return effects
    }
    perform(effects)
  }

  // MARK: - Messages and time

  func receive(_ answer: LeaseAnswer) {
    let now = clock.now
    change { state in
      var effects = Effects()
      switch answer {
      case .renewed(let renewal, let through) where renewal.gateway == gateway:
        confirm(through, &state)
      case .settled(let peer, let through) where peer == gateway: confirm(through, &state)
      default: break
      }
      perform(state.recovered.receive(answer), &effects)
      state.perform(state.budget.receive(answer, now: now), &effects)
      // Other gateways wait for the money that the settlements in the batches release.
      if case .recalled = answer { state.sendBatches(&effects) }
      return effects
    }
  }

  private func confirm(_ through: UInt64, _ state: inout State) {
    let entries = state.reports.confirm(through: through)
    if !entries.isEmpty { journal?.acknowledge(entries) }
  }

  func run() async throws {
    try? await cancelWhenGracefulShutdown {
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          await self.priceRequests.run { () throws(Failure) in try await self.askForPrices() }
        }
        group.addTask { await self.sendBatches(self.batches.stream, after: Self.batchPause) }
        group.addTask {
          await self.sendBatches(self.scarceBatches.stream, after: Self.scarcePause)
        }
        group.addTask {
          for await _ in self.fullBatches.stream {
            self.change { state in
              var effects = Effects()
              state.sendFull(&effects)
              return effects
            }
          }
        }
        while true {
          try await Task.sleep(for: Self.tickPause)
          self.tick()
        }
      }
    }
    // All answers have ended. After the settlements, the rest of the leases is returned at once.
    let now = clock.now
    change { state in
      var effects = Effects()
      state.perform(state.budget.drain(now: now), &effects)
      state.sendBatches(&effects)
      return effects
    }
  }

  private func sendBatches(_ begun: AsyncStream<Void>, after pause: Duration) async {
    for await _ in begun {
      try? await Task.sleep(for: pause)
      change { state in
        var effects = Effects()
        state.sendBatches(&effects)
        return effects
      }
    }
  }

  func tick() {
    let now = clock.now
    change { state in
      var effects = Effects()
      perform(state.recovered.tick(now: now), &effects)
      state.perform(state.budget.tick(now: now), &effects)
      return effects
    }
  }

  private func perform(_ directives: [RecoveredBills.Directive], _ effects: inout Effects) {
    for directive in directives {
      switch directive {
      case .send(let settlement): effects.messages.append(.settlements([settlement]))
      case .renew(let renewal): effects.messages.append(.leaseRequest(.renew(renewal)))
      case .forget(let entry): journal?.acknowledge(entry)
      }
    }
  }

  private func change(_ body: (inout State) -> Effects) {
    let effects = state.withLock { state in body(&state) }
    perform(effects)
  }

  private func perform(_ effects: Effects) {
    for message in effects.messages { bus.cast(message, to: .service(.registry)) }
    if effects.beginsBatch { batches.continuation.yield() }
    if effects.isScarce { scarceBatches.continuation.yield() }
    if effects.isFull { fullBatches.continuation.yield() }
    for (waiter, outcome) in effects.outcomes { waiter.resume(returning: outcome) }
  }
}

extension Spending.State {
  fileprivate mutating func perform(
    _ directives: [LeasedBudget.Directive], _ effects: inout Spending.Effects
  ) {
    for directive in directives {
      switch directive {
      case .send(.settle(let lease)):
        if let settlement = reports[lease.number] { queue(settlement, &effects) }
      case .send(let request):
        // The batch is sent first, so that the registry's answer to a renewal confirms its
        // settlements.
        sendBatches(&effects)
        effects.messages.append(.leaseRequest(request))
      case .admit(let request, let amount): admit(request, amount, &effects)
      case .refuse(let request, let refusal): end(request, .refused(refusal), &effects)
      }
    }
  }

  /// Adds a settlement to the next message. The caller may be the event loop of a connection, so
  /// another Swift task encodes a full batch.
  fileprivate mutating func queue(
    _ settlement: Settlement, _ effects: inout Spending.Effects
  ) {
    if batch.isEmpty { effects.beginsBatch = true }
    if budget.isRestless { effects.isScarce = true }
    let complete = batch.add(settlement)
    guard !complete.isEmpty else { return }
    full.append(complete)
    effects.isFull = true
  }

  fileprivate mutating func sendFull(_ effects: inout Spending.Effects) {
    for batch in full { effects.messages.append(.settlements(batch)) }
    full = []
  }

  /// Sends all settlements that wait.
  fileprivate mutating func sendBatches(_ effects: inout Spending.Effects) {
    sendFull(&effects)
    let rest = batch.take()
    if !rest.isEmpty { effects.messages.append(.settlements(rest)) }
  }

  fileprivate mutating func admit(
    _ request: UInt64, _ amount: MicroCredits, _ effects: inout Spending.Effects
  ) {
    guard let lease = budget.lease(of: request) else { return }
    var hold = self.hold(amount, of: request, from: lease)
    hold.ceiling = budget.ceiling(of: request)
    end(request, .admitted(hold), &effects)
  }

  fileprivate mutating func hold(
    _ amount: MicroCredits, of request: UInt64, from lease: LeaseID
  ) -> Spending.Hold {
    Spending.Hold(
      request: request, lease: lease, leaseText: leaseText.text(of: lease), amount: amount)
  }

  fileprivate mutating func end(
    _ request: UInt64, _ outcome: Spending.Outcome, _ effects: inout Spending.Effects
  ) {
    guard let waiter = waiting.removeValue(forKey: request) else { return }
    effects.outcomes.append((waiter, outcome))
  }
}
