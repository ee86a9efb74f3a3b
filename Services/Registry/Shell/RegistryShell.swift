import Access
import Bus
import BusCore
import Clocks
import ClusterModel
import Limits
import Logging
import Metrics
import Money
import RegistryCore
import ServiceKit
import ServiceLifecycle
import Store
import Synchronization
import Telemetry

/// Runs the state machines of RegistryCore.
/// It passes hellos, load reports, admin requests, probe results and the time to them, and carries
/// out their directives.
final class RegistryShell: Service {
  private struct State {
    var leases: PeerLeases
    var hosts: HostRegistry
    var loads: LoadAggregator
    var publications = HostPublications()
    var rng = SystemRandomNumberGenerator()
  }

  /// A change that an admin requests.
  private struct Order: Sendable {
    var change: Change
    /// The admin, as the audit log names it.
    var author: String
    /// Whether the admin's request waits for the host's next probe.
    var waits: Bool
  }

  /// Interval of checks for due leases and probes. Ten checks per second cost little.
  private static let tick: Duration = .milliseconds(100)
  /// Interval of checks for a due load table. A report is in the table within this time plus the
  /// table's own interval.
  private static let mergeTick: Duration = .milliseconds(50)
  /// Interval at which tables are published again, for peers that missed a publication.
  private static let refresh: Duration = .seconds(2)

  private let context: ServiceContext
  private let store: AuditedHosts
  private let prober: HostProber
  private let keys: KeyIssuer
  private let keyPublisher: KeyPublisher
  private let accounts: AccountShell
  private let settings: SettingsKeeper
  private let keyUse: KeyUseKeeper
  private let rejoining: Duration
  private let clock = ProcessClock()
  private let state: Mutex<State>
  /// Probes that `hosts` has ordered. `HostRegistry.Limits.probesAtOnce` bounds their number.
  private let probes = AsyncStream.makeStream(of: ProbeOrder.self)
  private let probeWaiters = ProbeWaiters()
  /// Orders do not overlap. Therefore a change that was possible before it was stored is still
  /// possible afterwards.
  private let orders = ChangeQueue<Order, Changed>()
  private let instruments = RegistryInstruments()
  private let events: ClusterEventLog

  /// - Parameter rejoining: time after the start until all processes have reported their requests.
  init(
    context: ServiceContext, store: AuditedHosts, restored: [HostRecord], prober: HostProber,
    keys: KeyIssuer, keyPublisher: KeyPublisher, accounts: AccountShell, settings: SettingsKeeper,
    keyUse: KeyUseKeeper, rejoining: Duration = DrainWait.rejoining
  ) {
    self.context = context
    self.store = store
    self.prober = prober
    self.keys = keys
    self.keyPublisher = keyPublisher
    self.accounts = accounts
    self.settings = settings
    self.keyUse = keyUse
    self.rejoining = rejoining
    events = ClusterEventLog(logger: context.logger)
    let own = context.bus.peer
    let epoch = own.id.incarnation
    state = Mutex(
      State(
        leases: PeerLeases(epoch: epoch, own: own),
        hosts: HostRegistry(
          epoch: epoch, restored: restored, credentials: context.common.credentials, now: .zero),
        loads: LoadAggregator(epoch: epoch)))
  }

  var now: Instant { clock.now }

  // MARK: - The bus

  /// Sets the handlers. Must be called before the bus runs.
  func answerBus() {
    context.bus.onCall { [self] request async throws(Failure) -> Body in
      switch request.body {
      // A process may send these messages only about itself.
      case .hello(let peer) where peer.id == request.sender:
        return .peerTable(try hello(peer))
      case .goodbye(let peer) where peer == request.sender:
        return .peerTable(goodbye(peer))
      case .hostTableRequest:
        return .hostTable(sentTable)
      case .accessPageRequest(let number):
        return .accessTablePage(try keyPage(number, for: request.sender))
      case .priceTableRequest:
        guard let table = accounts.priceTable else {
          throw Failure(.overloaded, "The registry is still reading its prices; ask again.")
        }
        return .priceTable(table)
      case .settingsTableRequest:
        return .settingsTable(settings.table)
      case .spendingQuery(let query):
        guard isGateway(request.sender) else {
          throw Failure(
            .permissionDenied, "Spending is sent only to gateways, after their hello.")
        }
        return .spendingReport(accounts.spending(query))
      case .keyUseReport(let report):
        guard isGateway(request.sender) else {
          throw Failure(
            .permissionDenied, "Only gateways report the use of keys, after their hello.")
        }
        return .keyUseTable(keyUse.answer(report, from: request.sender))
      default:
        throw Failure(
          .unhandled,
          "The registry answers hello, goodbye, and requests for hosts, keys, prices, settings, "
            + "spending and use.")
      }
    }
    context.bus.onCast { [self] body, peer in
      switch body {
      case .loadReport(let report): receive(report, from: peer)
      // Only gateways spend money, so messages of other processes are ignored.
      case .leaseRequest(let request) where isGateway(peer):
        accounts.receive(.lease(request, from: peer))
      case .settlements(let settlements) where isGateway(peer):
        accounts.receive(settlements, from: peer)
      default: break
      }
    }
    // A peer that the bus finds dead leaves the table at once, before its lease ends.
    context.bus.onPeerLost { [self] peer in _ = goodbye(peer) }
  }

  private func isGateway(_ peer: PeerID) -> Bool {
    peerTable.peers.contains { $0.id == peer && $0.service == .gateway }
  }

  private func receive(_ report: LoadReport, from peer: PeerID) {
    guard report.hosts.count <= Limits.reportedHosts.value else { return }
    let failing = report.hosts.filter { $0.failed > 0 }.map(\.host)
    let directives = state.withLock { state in
      state.loads.report(report, from: peer, now: now)
      return failing.isEmpty ? [] : state.hosts.probeEarly(failing, now: now)
    }
    perform(directives)
  }

  private func hello(_ peer: Peer) throws(Failure) -> PeerTable {
    let outcome = state.withLock { state -> Result<([PeerLeases.Directive], PeerTable), Failure> in
      Result { () throws(Failure) in
        (try state.leases.hello(peer, now: now), state.leases.table)
      }
    }
    let (directives, table) = try outcome.get()
    perform(directives)
    // A new process has missed the tables that were sent before.
    if !directives.isEmpty {
      context.bus.publish(.hostTable(sentTable), to: peer.id)
      context.bus.publish(.settingsTable(settings.table), to: peer.id)
      keyPublisher.send(keys.pages, to: peer)
      if peer.service == .gateway, let prices = accounts.priceTable {
        context.bus.publish(.priceTable(prices), to: peer.id)
      }
    }
    return table
  }

  /// The host table for one process.
  private var sentTable: HostTable { state.withLock { $0.publications.whole($0.hosts.table) } }

  private func keyPage(_ number: Int, for sender: PeerID) throws(Failure) -> AccessTablePage {
    guard let peer = peerTable.peers.first(where: { $0.id == sender }) else {
      throw Failure(.permissionDenied, "Keys are sent only to processes that have sent a hello.")
    }
    let pages = KeyPublisher.pages(keys.pages, for: peer.service)
    guard pages.indices.contains(number) else {
      throw Failure(.invalidRequest, "The table of keys has \(counted(pages.count, "page")).")
    }
    return pages[number]
  }

  private func goodbye(_ peer: PeerID) -> PeerTable {
    if isGateway(peer) { accounts.receive(.gatewayLeft(peer)) }
    let (directives, table) = state.withLock { state in
      (state.leases.goodbye(peer, now: now), state.leases.table)
    }
    perform(directives)
    return table
  }

  private func perform(_ directives: [PeerLeases.Directive]) {
    for case .publish(let table) in directives { publish(table) }
  }

  private func publish(_ table: PeerTable) {
    state.withLock { $0.loads.retainPeers(table.peers) }
    context.bus.adopt(table)
    context.bus.publish(.peerTable(table))
    instruments.peers.record(table.peers.count)
  }

  private func publish(_ table: HostTable) {
    context.hosts.apply(.hostTable(table))
    switch state.withLock({ $0.publications.next(table) }) {
    case .table(let table): context.bus.publish(.hostTable(table))
    case .changes(let changes): context.bus.publish(.hostChanges(changes))
    case nil: break
    }
    accounts.receiveHostPrices(table.prices, revision: table.revision)
    instruments.record(state.withLock { $0.hosts.countByState })
  }

  // MARK: - Requests of the admin API

  var peerTable: PeerTable { state.withLock { $0.leases.table } }
  var hostTable: HostTable { state.withLock { $0.hosts.table } }
  var hosts: HostRegistry { state.withLock(\.hosts) }
  /// The last merged load of a host. `nil` means that no load table has the host yet.
  func load(of id: HostID) -> HostLoad? {
    context.hosts.load?.table.hosts.first { $0.host == id }
  }
  /// The last merged load of all hosts.
  var loads: [HostID: HostLoad] {
    let hosts = context.hosts.load?.table.hosts ?? []
    return Dictionary(hosts.map { ($0.host, $0) }, uniquingKeysWith: { first, _ in first })
  }
  func host(_ id: HostID) -> Host? { state.withLock { $0.hosts.host(id) } }
  func entry(_ id: HostID) -> HostEntry? { state.withLock { HostEntry(id, in: $0.hosts) } }

  /// A host and the admin's settings of it, at one moment.
  struct HostEntry: Sendable {
    let host: Host
    let record: HostRecord
    /// Time of the next probe. `nil` means that the host is suspended or that a probe is under way.
    let probeTime: Instant?

    var settings: HostSettings { HostSettings(record) }

    init?(_ id: HostID, in hosts: HostRegistry) {
      guard let host = hosts.host(id), let record = hosts.record(id) else { return nil }
      self.host = host
      self.record = record
      probeTime = hosts.probeTime(of: id)
    }
  }

  typealias Change =
    @Sendable (inout HostRegistry, Instant) throws(Failure) -> (Host?, [HostRegistry.Directive])

  /// Makes a change, and returns when it is stored and in force.
  /// A change that cannot be stored has no effect.
  /// - Parameters:
  ///   - author: the admin, as the audit log names it.
  ///   - wait: maximum wait for the first probe that ends after the change. The returned host is in
  ///     its state after the wait.
  func change(
    by author: String, waiting wait: Duration = .zero,
    _ change:
      @escaping @Sendable (inout HostRegistry, Instant) throws(Failure) -> (
        host: Host, directives: [HostRegistry.Directive]
      )
  ) async throws(Failure) -> HostEntry {
    let changed = try await orders.submit(
      Order(
        change: { hosts, now throws(Failure) in
          let (host, directives) = try change(&hosts, now)
          return (host, directives)
        }, author: author, waits: wait > .zero))
    guard let entry = changed.entry else {
      preconditionFailure("a change of a host returned no host")
    }
    guard let settled = changed.settled else { return entry }
    await withTaskGroup(of: Void.self) { group in
      group.addTask { for await _ in settled {} }
      group.addTask { try? await Task.sleep(for: wait) }
      await group.next()
      group.cancelAll()
    }
    return self.entry(entry.host.id) ?? entry
  }

  /// Waits until a drained host has no request in flight, until the limit ends, or until an admin
  /// resumes or removes the host.
  func waitUntilIdle(_ id: HostID, within limit: Duration) async {
    let wait = DrainWait(since: now, limit: limit, loadComplete: .zero + rejoining)
    while host(id)?.state == .suspended,
      !wait.isOver(inFlight: load(of: id)?.inFlight ?? 0, now: now)
    {
      do { try await Task.sleep(for: Self.mergeTick) } catch { return }
    }
  }

  /// Removes a host, and returns when the removal is stored and in force.
  ///
  /// - Parameter tags: ETags, one of which the host must have. `nil` means any.
  func remove(
    _ id: HostID, expecting tags: Set<String>?, by author: String
  ) async throws(Failure) {
    _ = try await orders.submit(
      Order(
        change: { hosts, _ throws(Failure) in
          try hosts.expect(tags, of: id)
          return (nil, try hosts.remove(id))
        }, author: author, waits: false))
  }

  /// Applies the records of models to the offers of all hosts.
  func setModelRules(_ rules: ModelRules) {
    perform(state.withLock { $0.hosts.setModelRules(rules) })
  }

  /// Adds the hosts of the configuration that are not registered yet, at the start.
  func addConfigured(_ urls: [String]) async throws {
    for url in urls {
      do throws(Failure) {
        let old = state.withLock { $0.hosts }
        var hosts = old
        let directives = try hosts.add(HostDraft(url: url), now: now).directives
        try await store.apply(directives, to: old, by: Self.configurationAuthor)
        state.withLock { [hosts] in $0.hosts = hosts }
        // No peer listens yet, so the tables are not published before `run` begins.
        for case .probe(let order) in directives { probes.continuation.yield(order) }
      } catch {
        if error.code == .hostExists { continue }
        let isMistake = [.invalidRequest, .overloaded].contains(error.code)
        throw ProcessFailure(
          isMistake ? .usage : .unavailable, "--hosts \(url): \(error.message)")
      }
    }
  }

  /// Author of hosts that the configuration names.
  private static let configurationAuthor = "configuration"

  private struct Changed: Sendable {
    /// `nil` means that the host was removed.
    var entry: HostEntry?
    var directives: [HostRegistry.Directive]
    var settled: AsyncStream<Void>?
  }

  // MARK: - Directives

  private func perform(_ directives: [HostRegistry.Directive]) {
    for directive in directives {
      switch directive {
      case .probe(let order): probes.continuation.yield(order)
      case .publish(let table): publish(table)
      case .settled(let id): probeWaiters.settled(id)
      case .persist, .forget: break  // stored before the change came into force
      }
    }
  }

  // MARK: - Loops

  func run() async throws {
    await cancelWhenGracefulShutdown { [self] in
      await withDiscardingTaskGroup { group in
        group.addTask { await self.tickAndRefresh() }
        group.addTask { await self.mergeLoads() }
        group.addTask {
          await self.orders.run { order throws(Failure) in try await self.carryOut(order) }
        }
        // `HostRegistry` allows at most `probesAtOnce` concurrent probes.
        for await order in probes.stream {
          group.addTask { await self.carryOut(order) }
        }
        group.cancelAll()
      }
    }
    await prober.shutdown()
    await store.close()
  }

  private func tickAndRefresh() async {
    publish(peerTable)
    publish(hostTable)
    var (refreshed, announced) = (now, now)
    while !Task.isCancelled {
      try? await Task.sleep(for: Self.tick)
      let (peers, lost, hosts) = state.withLock { state in
        (state.leases.expire(now: now), state.leases.takeLost(), state.hosts.tick(now: now))
      }
      events.record(lost: lost)
      perform(peers)
      perform(hosts)
      if announced.duration(to: now) >= KeyPublisher.announcementPause {
        announced = now
        keyPublisher.publish(keys.version)
      }
      if refreshed.duration(to: now) >= Self.refresh {
        refreshed = now
        publish(peerTable)
        publish(hostTable)
        accounts.republishPrices()
        context.bus.publish(.settingsTable(settings.table))
      }
    }
  }

  private func mergeLoads() async {
    while !Task.isCancelled {
      try? await Task.sleep(for: Self.mergeTick)
      let table = state.withLock { state in
        state.loads.makeTableIfDue(probeAges: state.hosts.probeAges(now: now), now: now)
      }
      guard let table else { continue }
      context.hosts.apply(.loadTable(table))
      context.bus.publish(.loadTable(table))
    }
  }

  private func carryOut(_ order: ProbeOrder) async {
    let result = await prober.probe(order)
    instruments.record(result)
    let (before, directives) = state.withLock { state in
      (
        state.hosts.host(order.host),
        state.hosts.probed(order, result, now: now, using: &state.rng)
      )
    }
    perform(directives)
    if let host = host(order.host) { events.record(host, before: before, now: now) }
  }

  private func carryOut(_ order: Order) async throws(Failure) -> Changed {
    // The change is planned on a copy, because it must not be visible before it is stored.
    let old = state.withLock { $0.hosts }
    var planned = old
    let (_, directives) = try order.change(&planned, now)
    do throws(Failure) {
      try await store.apply(directives, to: old, by: order.author)
    } catch {
      context.logger.report(.hostNotSaved, metadata: [LogKey.reason: "\(error.message)"])
      throw error
    }
    let outcome = state.withLock { state -> Result<Changed, Failure> in
      Result { () throws(Failure) in
        let (host, directives) = try order.change(&state.hosts, now)
        var settled: AsyncStream<Void>?
        // A suspended host is not probed, so there is no probe to wait for.
        if order.waits, let host, host.state != .suspended {
          settled = probeWaiters.wait(for: host.id)
        }
        return Changed(
          entry: host.flatMap { HostEntry($0.id, in: state.hosts) }, directives: directives,
          settled: settled)
      }
    }
    let changed = try outcome.get()
    perform(changed.directives)
    return changed
  }
}

extension HostTable {
  /// The hosts' own prices. Hosts that cost nothing are left out.
  fileprivate var prices: [HostID: TokenPrice] {
    var prices: [HostID: TokenPrice] = [:]
    for host in hosts {
      if let price = host.price, price != .free { prices[host.id] = TokenPrice(price) }
    }
    return prices
  }
}
