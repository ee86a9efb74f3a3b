import BillingJournal
import Bus
import BusCore
import ClusterModel
import Logging
import Money
import RegistryCore
import Synchronization
import Testing

@testable import GatewayService

/// A gateway's money, and a registry that leases it, over a bus in this process.
final class MoneyCluster: Sendable {
  private struct Registry {
    var leases: PeerLeases
    var issuer: LeaseIssuer
    var isAway = false
    var settlements: [UInt64: Settlement] = [:]
    var postings: [LeasePosting] = []
    var queries = 0
    var priceRequests = 0
  }

  static let key = AccountID("key/abcdefghijkl")
  private static let ceiling = CeilingID("key/abcdefghijkl/day-calendar")

  let spending: Spending
  let reports: SpendingReports
  private let registry: Bus
  private let gateway: Bus
  private let state: Mutex<Registry>
  private let began = ContinuousClock.now

  /// - Parameter budget: micro-credits that the only key may spend.
  init(
    budget: Int64, journal: BillingJournal.Opened? = nil, patience: Duration = .seconds(10)
  ) throws {
    let network = LoopbackNetwork(seed: 7)
    func bus(_ service: ServiceName, _ name: String) throws -> Bus {
      let configuration = BusConfiguration(
        service: service, name: name, addresses: .loopback(network))
      return Bus(
        configuration: configuration, transport: try configuration.makeTransport(),
        logger: Logger(label: "test"))
    }
    registry = try bus(.registry, "registry-1")
    gateway = try bus(.gateway, "gateway-1")
    spending = Spending(
      gateway, journal: journal, patience: patience, logger: Logger(label: "test"))
    reports = SpendingReports(gateway, logger: Logger(label: "test"))
    var issuer = LeaseIssuer(now: .zero)
    _ = issuer.setCeiling(
      Ceiling(id: Self.ceiling, remaining: MicroCredits(budget), resetsAt: 1), now: .zero)
    _ = issuer.setKey(Self.key, path: [Self.ceiling], now: .zero)
    state = Mutex(
      Registry(
        leases: PeerLeases(epoch: registry.peer.id.incarnation, own: registry.peer), issuer: issuer)
    )
    registry.adopt(state.withLock(\.leases.table))
    registry.onCall { [self] request throws(Failure) in try answer(request.body) }
    registry.onCast { [self] body, _ in receive(body) }
    gateway.onCast { [spending] body, _ in
      if case .leaseAnswer(let answer) = body { spending.receive(answer) }
    }
  }

  private var now: Instant { Instant(sinceStart: began.duration(to: .now)) }

  /// Settlements that the registry received, each once.
  var settlements: [Settlement] {
    state.withLock { Array($0.settlements.values) }.sorted { $0.lease.number < $1.lease.number }
  }

  /// Money that the registry took from the key's budget.
  var charged: Int64 {
    state.withLock(\.postings).reduce(0) { sum, posting in
      guard case .settle(_, let charged, _) = posting.change else { return sum }
      return sum + charged.count
    }
  }

  /// Number of queries that the registry received, answered or not.
  var queries: Int { state.withLock(\.queries) }

  /// Requests for prices, all refused. Only the first two are refused as `overloaded`.
  var priceRequests: Int { state.withLock(\.priceRequests) }

  private func refusePrices() throws(Failure) {
    let number = state.withLock { state in
      state.priceRequests += 1
      return state.priceRequests
    }
    if number <= 2 { throw Failure(.overloaded, "The registry is still reading its prices.") }
  }

  /// From now on the registry ignores messages about leases and refuses spending queries.
  func leave() { state.withLock { $0.isAway = true } }

  private func report(_ query: SpendingQuery) throws(Failure) -> Body {
    let isAway = state.withLock { state in
      state.queries += 1
      return state.isAway
    }
    guard !isAway else { throw Failure(.overloaded, "away") }
    return .spendingReport(
      SpendingReport(
        key: query.key, budgets: [], balance: nil, rows: [], firstDay: Int64(query.days)))
  }

  private func answer(_ body: Body) throws(Failure) -> Body {
    if case .spendingQuery(let query) = body { return try report(query) }
    if body == .priceTableRequest { try refusePrices() }
    let now = now
    let (outcome, table) = state.withLock { state in
      let outcome = Result { () throws(Failure) -> [PeerLeases.Directive] in
        guard case .hello(let peer) = body else { throw Failure(.unhandled, "only hellos") }
        return try state.leases.hello(peer, now: now)
      }
      return (outcome, state.leases.table)
    }
    for case .publish(let table) in try outcome.get() {
      registry.adopt(table)
      registry.publish(.peerTable(table))
    }
    return .peerTable(table)
  }

  private func receive(_ body: Body) {
    let now = now
    let answers = state.withLock { state -> [(LeaseAnswer, PeerID)] in
      guard !state.isAway else { return [] }
      let requests: [LeaseRequest]
      switch body {
      case .leaseRequest(let request): requests = [request]
      case .settlements(let settlements):
        for settlement in settlements { state.settlements[settlement.lease.number] = settlement }
        requests = settlements.map { .settle($0.lease) }
      default: return []
      }
      var answers: [(LeaseAnswer, PeerID)] = []
      for directive in requests.flatMap({ state.issuer.receive($0, now: now) }) {
        switch directive {
        case .post(let posting): state.postings.append(posting)
        case .send(let answer, let peer): answers.append((answer, peer))
        }
      }
      return answers
    }
    // All answers go to the one gateway, which also repeats the settlements of earlier processes.
    for (answer, _) in answers { registry.cast(.leaseAnswer(answer), to: .service(.gateway)) }
  }

  /// Runs the cluster while `body` runs. Time passes for the gateway's budgets meanwhile.
  func run(_ body: @escaping @Sendable (MoneyCluster) async throws -> Void) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for bus in [registry, gateway] { group.addTask { try? await bus.run() } }
      try await wait { self.gateway.peers.peers.contains { $0.service == .registry } }
      try await wait { self.registry.peers.peers.contains { $0.service == .gateway } }
      group.addTask {
        while !Task.isCancelled {
          self.spending.tick()
          await Task.yield()
        }
      }
      var failure: (any Error)?
      do { try await body(self) } catch { failure = error }
      group.cancelAll()
      while await group.nextResult() != nil {}
      if let failure { throw failure }
    }
  }

  func wait(until isTrue: @Sendable () -> Bool) async throws {
    let patience = ContinuousClock.now + .seconds(20)
    while !isTrue() {
      try #require(.now < patience, "the condition did not become true")
      await Task.yield()
    }
  }
}
