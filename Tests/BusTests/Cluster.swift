import BusCore
import ClusterModel
import Foundation
import Logging
import RegistryCore
import Synchronization
import Testing

@testable import Bus

/// A small cluster in this process: a registry and the peers that join it, over any transport.
final class TestCluster: Sendable {
  enum Kind: String, CaseIterable, Sendable, CustomStringConvertible {
    case loopback, ipc, sealedTCP
    var description: String { rawValue }
  }

  let kind: Kind
  private let network: LoopbackNetwork
  private let directory: String
  private let registryPort: Int
  let registry: Bus
  private let leases: Mutex<PeerLeases>
  private let start = ContinuousClock.now

  init(_ kind: Kind, network: LoopbackNetwork = LoopbackNetwork(seed: 7)) throws {
    self.kind = kind
    self.network = network
    directory = try RuntimeDirectory.path(
      forDataDirectory: FileManager.default.temporaryDirectory.path + "/" + UUID().uuidString)
    registryPort = kind == .sealedTCP ? try FreePorts.take() : 0
    var configuration = BusConfiguration(
      service: .registry, name: "registry-1",
      addresses: Self.addresses(kind, directory, network, registryPort, registryPort))
    configuration.strangerWait = Self.longPause
    configuration.limits.lostAfter = Self.longPause
    registry = Bus(
      configuration: configuration, transport: try configuration.makeTransport(),
      logger: Logger(label: "test"))
    leases = Mutex(PeerLeases(epoch: configuration.incarnation, own: registry.peer))
    registry.adopt(table)
    registry.onCall { [self] request throws(Failure) in
      switch request.body {
      case .hello(let peer) where peer.id == request.sender:
        let outcome = leases.withLock { leases in
          Result { () throws(Failure) in try leases.hello(peer, now: now) }
        }
        perform(try outcome.get())
        return .peerTable(table)
      case .goodbye(let id) where id == request.sender:
        perform(leases.withLock { $0.goodbye(id, now: now) })
        return .peerTable(table)
      default: throw Failure(.unhandled, "only hellos")
      }
    }
    registry.onPeerLost { [self] id in
      perform(leases.withLock { $0.goodbye(id, now: now) })
    }
  }

  /// The registry's current peer table.
  var table: PeerTable { leases.withLock(\.table) }

  private var now: Instant { Instant(sinceStart: start.duration(to: .now)) }

  private func perform(_ directives: [PeerLeases.Directive]) {
    for case .publish(let table) in directives {
      registry.adopt(table)
      registry.publish(.peerTable(table))
    }
  }

  func join(
    _ service: ServiceName, _ name: String, limits: BusLimits = .standard
  ) throws -> Bus {
    let port = kind == .sealedTCP ? try FreePorts.take() : 0
    var configuration = BusConfiguration(
      service: service, name: name,
      addresses: Self.addresses(kind, directory, network, port, registryPort), limits: limits)
    configuration.limits.lostAfter = Self.longPause
    configuration.strangerWait = Self.longPause
    return Bus(
      configuration: configuration, transport: try configuration.makeTransport(),
      logger: Logger(label: "test"))
  }

  /// Longer than any pause of a busy machine. With a shorter time, a peer that is paused while it
  /// answers would count as dead, and a connection that is paused before its bytes would time out.
  private static let longPause = Duration.seconds(600)

  /// The cluster key for `tcp://`.
  static let clusterKey = [UInt8](repeating: 42, count: 32)

  private static func addresses(
    _ kind: Kind, _ directory: String, _ network: LoopbackNetwork, _ port: Int, _ registry: Int
  ) -> BusAddresses {
    switch kind {
    case .loopback: .loopback(network)
    case .ipc: .ipc(directory: directory)
    case .sealedTCP:
      .tcp(
        listen: "127.0.0.1:\(port)", advertise: "127.0.0.1:\(port)",
        registry: "127.0.0.1:\(registry)", clusterKey: clusterKey)
    }
  }

  /// Runs the buses while `body` runs, then closes them.
  func run(_ buses: [Bus], _ body: @escaping @Sendable () async throws -> Void) async throws {
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try await withThrowingTaskGroup(of: Void.self) { group in
      for bus in [registry] + buses {
        group.addTask {
          do { try await bus.run() } catch { Issue.record("\(bus.peer.id.name): \(error)") }
        }
      }
      for bus in buses { try await bus.waitForPeers([.registry], deadline: .seconds(20)) }
      for bus in buses {
        try await registry.waitForPeers([bus.peer.service], deadline: .seconds(20))
      }
      try await body()
      group.cancelAll()
      while let result = await group.nextResult() { _ = result }
    }
  }
}
