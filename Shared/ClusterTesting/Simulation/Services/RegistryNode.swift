import BusCore
import ClusterModel
import RegistryCore
import Wire

/// The registry: real leases, host table and load book, and their timers.
final class RegistryNode: SimulatedService {
  private static let tick = Duration.milliseconds(100)
  private static let mergeTick = Duration.milliseconds(50)
  private static let refresh = Duration.seconds(2)

  private let process: SimulatedProcess
  private var leases: PeerLeases
  private(set) var hosts: HostRegistry
  private var loads: LoadAggregator
  private var publications = HostPublications()
  private var refreshed = Instant.zero

  /// - Parameter restored: hosts in the registry's store.
  init(_ process: SimulatedProcess, restored: [HostRecord]) {
    self.process = process
    let epoch = process.id.incarnation
    leases = PeerLeases(epoch: epoch, own: process.machine.own)
    hosts = HostRegistry(epoch: epoch, restored: restored, now: process.now)
    loads = LoadAggregator(epoch: epoch)
  }

  var peers: PeerTable { leases.table }

  private var now: Instant { process.now }

  func start() {
    publish(leases.table)
    publish(hosts.table)
    process.after(Self.tick) { [self] in checkAll() }
    process.after(Self.mergeTick) { [self] in merge() }
  }

  private func checkAll() {
    perform(leases.expire(now: now))
    perform(hosts.tick(now: now))
    if refreshed.duration(to: now) >= Self.refresh {
      refreshed = now
      publish(leases.table)
      publish(hosts.table)
    }
    process.after(Self.tick) { [self] in checkAll() }
  }

  private func merge() {
    if let table = loads.makeTableIfDue(probeAges: hosts.probeAges(now: now), now: now) {
      process.publish(.loadTable(table))
    }
    process.after(Self.mergeTick) { [self] in merge() }
  }

  // MARK: - The bus

  func call(_ key: RequestKey, _ request: BusRequest) {
    switch request.body {
    case .hello(let peer) where peer.id == request.sender:
      do throws(Failure) {
        let directives = try leases.hello(peer, now: now)
        let table = leases.table
        perform(directives)
        if !directives.isEmpty {
          process.publish(.hostTable(publications.whole(hosts.table)), to: peer.id)
        }
        process.reply(key, .success(.peerTable(table)))
      } catch {
        process.reply(key, .failure(error))
      }
    case .goodbye(let peer) where peer == request.sender:
      perform(leases.goodbye(peer, now: now))
      process.reply(key, .success(.peerTable(leases.table)))
    case .hostTableRequest:
      process.reply(key, .success(.hostTable(publications.whole(hosts.table))))
    default:
      process.reply(key, .failure(Failure(.unhandled, "the registry does not answer this")))
    }
  }

  func cast(_ body: Body, from sender: PeerID) {
    guard case .loadReport(let report) = body else { return }
    let failing = report.hosts.filter { $0.failed > 0 }.map(\.host)
    loads.report(report, from: sender, now: now)
    if !failing.isEmpty { perform(hosts.probeEarly(failing, now: now)) }
  }

  func peerLost(_ peer: PeerID) { perform(leases.goodbye(peer, now: now)) }

  // MARK: - Directives

  private func perform(_ directives: [PeerLeases.Directive]) {
    for case .publish(let table) in directives { publish(table) }
  }

  private func publish(_ table: PeerTable) {
    loads.retainPeers(table.peers)
    process.adopt(table)
    process.publish(.peerTable(table))
  }

  private func publish(_ table: HostTable) {
    _ = process.hosts.apply(.hostTable(table))
    switch publications.next(table) {
    case .table(let table): process.publish(.hostTable(table))
    case .changes(let changes): process.publish(.hostChanges(changes))
    case nil: break
    }
  }

  private func perform(_ directives: [HostRegistry.Directive]) {
    for directive in directives {
      switch directive {
      case .probe(let order): probe(order)
      case .publish(let table): publish(table)
      case .settled, .persist, .forget: break
      }
    }
  }

  private func probe(_ order: ProbeOrder) {
    process.cluster.host(order.host)?.probe { [process] result in
      guard process.isAlive else { return }
      self.probed(order, result)
    }
  }

  private func probed(_ order: ProbeOrder, _ result: ProbeResult) {
    let before = hosts.host(order.host)?.state
    perform(hosts.probed(order, result, now: now, using: &process.cluster.chance))
    if let host = hosts.host(order.host), host.state != before {
      process.note("host \(host.id) is \(host.state.rawValue) \(host.reason)")
    }
  }
}
