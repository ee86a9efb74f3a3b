import BillingJournal
import Bus
import BusCore
import Clocks
import ClusterModel
import GatewayCore
import Logging
import Money
import ServiceLifecycle
import Synchronization
import Telemetry

/// Money of this gateway's requests: the shell around `LeasedBudget`.
///
/// Requests without a key, and requests that cost nothing, never get here.
final class Spending: Service {
  private static let tickPause = Duration.milliseconds(250)
  /// Settlements of this time share a message, which costs as much as many settlements.
  private static let batchPause = Duration.milliseconds(10)
  private static let pricesDeadline = Duration.seconds(2)
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
    let amount: MicroCredits
  }

  /// A settlement without a confirmation, and the id of its entry in the journal.
  fileprivate struct Report {
    let entry: String?
    let settlement: Settlement
  }

  fileprivate struct State {
    var budget: LeasedBudget
    var recovered: RecoveredBills
    var lastRequest: UInt64 = 0
    var waiting: [UInt64: CheckedContinuation<Outcome, Never>] = [:]
    /// By the numbers of the settlements.
    var reports: [UInt64: Report] = [:]
    /// The lowest number without a confirmation.
    var nextReport: UInt64 = 1
    var batch = SettlementBatch()
  }

  /// Effects of a change, to be performed without the lock.
  fileprivate struct Effects {
    var messages: [Body] = []
    /// Whether a batch of settlements has begun.
    var beginsBatch = false
    var outcomes: [(waiter: CheckedContinuation<Outcome, Never>, outcome: Outcome)] = []
  }

  let journal: BillingJournal?
  private let gateway: PeerID
  private let bus: Bus
  private let logger: Logger
  private let patience: Duration
  private let clock = ProcessClock()
  private let prices = Mutex<PriceTable?>(nil)
  private let state: Mutex<State>
  private let batches = AsyncStream.makeStream(
    of: Void.self, bufferingPolicy: .bufferingNewest(1))

  /// - Parameters:
  ///   - opened: the journal of this gateway. `nil` means that a crash loses open bills.
  ///   - patience: how long a request waits for money that other requests hold.
  init(
    _ bus: Bus, journal opened: BillingJournal.Opened?, patience: Duration = .seconds(10),
    logger: Logger
  ) {
    self.patience = patience
    self.bus = bus
    self.logger = logger
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
      logger.warning("the billing journal was damaged", metadata: [LogKey.reason: "\(notice)"])
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

  private func askForPrices() async throws {
    while prices.withLock({ $0 == nil }) {
      do throws(Failure) {
        let answer = try await bus.call(
          .priceTableRequest, to: .service(.registry), deadline: Self.pricesDeadline)
        guard case .priceTable = answer else {
          throw Failure(.internalError, "The registry's answer is not a price table.")
        }
        apply(answer)
      } catch  where error.code == .unhandled {
        // A registry that knows no prices charges nothing.
        if let free = try? PriceTable(epoch: 0, revision: 0, unknown: .free) {
          apply(.priceTable(free))
        }
      } catch {
        logger.debug(
          "the registry did not return its prices", metadata: [LogKey.error: "\(error)"])
        try await Task.sleep(for: Self.pricesPause)
      }
    }
  }

  // MARK: - Requests

  /// Waits until a request may spend money.
  ///
  /// - Throws: `cancelled` if the client leaves meanwhile, otherwise why the request is not paid.
  func hold(_ cost: RequestCost, for key: AccountID) async throws(Failure) -> Hold {
    let request = state.withLock { state in
      state.lastRequest += 1
      return state.lastRequest
    }
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
  ///   - report: the settlement for its amounts and numbers.
  ///   - bill: the request's entry in the journal, which is finished with the settlement's number.
  ///   - unconfirmed: the bill for the journal, which the next process settles if the registry does
  ///     not confirm this one.
  func settle(
    _ request: UInt64, billed: MicroCredits, _ bill: consuming OpenBill?,
    _ unconfirmed: UnconfirmedBill? = nil, report: (LeaseSettlement) -> Settlement
  ) {
    let now = clock.now
    var bill = bill
    let effects = state.withLock { state -> Effects in
      var effects = Effects()
      let directives = state.budget.settle(request, billed: billed, now: now)
      for case .send(.settle(let lease)) in directives where lease.request == request {
        // Under the lock, so that the journal has the numbers in their order.
        let entry = bill.take()?.finish(settlement: lease.number, bill: unconfirmed)
        if entry == nil { journal?.recordNumber(lease.number) }
        state.reports[lease.number] = Report(
          entry: entry?.request.id, settlement: report(lease))
      }
      state.perform(directives, &effects)
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
      return effects
    }
  }

  private func confirm(_ through: UInt64, _ state: inout State) {
    while state.nextReport <= through,
      let report = state.reports.removeValue(forKey: state.nextReport)
    {
      if let entry = report.entry { journal?.acknowledge(entry) }
      state.nextReport += 1
    }
  }

  func run() async throws {
    try? await cancelWhenGracefulShutdown {
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await self.askForPrices() }
        group.addTask { await self.sendBatches() }
        while true {
          try await Task.sleep(for: Self.tickPause)
          self.tick()
        }
      }
    }
    // All answers have ended. The rest of the leases returns at once, after the settlements.
    let now = clock.now
    change { state in
      var effects = Effects()
      state.perform(state.budget.drain(now: now), &effects)
      state.send(state.batch.take(), &effects)
      return effects
    }
  }

  private func sendBatches() async {
    for await _ in batches.stream {
      try? await Task.sleep(for: Self.batchPause)
      change { state in
        var effects = Effects()
        state.send(state.batch.take(), &effects)
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
        guard let report = reports[lease.number] else { continue }
        if batch.isEmpty { effects.beginsBatch = true }
        send(batch.add(report.settlement), &effects)
      case .send(let request):
        // The registry answers a renewal with the settlements that it has.
        send(batch.take(), &effects)
        effects.messages.append(.leaseRequest(request))
      case .admit(let request, let amount): admit(request, amount, &effects)
      case .refuse(let request, let refusal): end(request, .refused(refusal), &effects)
      }
    }
  }

  fileprivate func send(_ settlements: [Settlement], _ effects: inout Spending.Effects) {
    if !settlements.isEmpty { effects.messages.append(.settlements(settlements)) }
  }

  fileprivate mutating func admit(
    _ request: UInt64, _ amount: MicroCredits, _ effects: inout Spending.Effects
  ) {
    guard let lease = budget.lease(of: request) else { return }
    end(
      request, .admitted(Spending.Hold(request: request, lease: lease, amount: amount)), &effects)
  }

  fileprivate mutating func end(
    _ request: UInt64, _ outcome: Spending.Outcome, _ effects: inout Spending.Effects
  ) {
    guard let waiter = waiting.removeValue(forKey: request) else { return }
    effects.outcomes.append((waiter, outcome))
  }
}
