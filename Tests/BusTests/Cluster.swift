import Bus
import BusCore
import ClusterModel
import Foundation
import Logging
import Synchronization
import Testing
import Wire

/// A small cluster in this process: a registry and whoever joins it, over any transport.
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
  private let table: Mutex<PeerTable>

  init(_ kind: Kind, network: LoopbackNetwork = LoopbackNetwork(seed: 7)) throws {
    self.kind = kind
    self.network = network
    directory = try RuntimeDirectory.path(
      forDataDirectory: FileManager.default.temporaryDirectory.path + "/" + UUID().uuidString)
    registryPort = kind == .sealedTCP ? try FreePorts.take() : 0
    let configuration = BusConfiguration(
      service: .registry, name: "registry-1",
      addresses: Self.addresses(kind, directory, network, registryPort, registryPort))
    registry = Bus(
      configuration: configuration, transport: try configuration.makeTransport(),
      logger: Logger(label: "test"))
    table = Mutex(
      PeerTable(epoch: configuration.incarnation, revision: 1, peers: [registry.peer]))
    registry.adopt(table.withLock { $0 })
    registry.onCall { [self] request throws(Failure) in
      switch request.body {
      case .hello(let peer):
        return .peerTable(
          change { peers in peers = peers.filter { $0.id.name != peer.id.name } + [peer] })
      case .goodbye(let id): return .peerTable(change { peers in peers.removeAll { $0.id == id } })
      default: throw Failure(.unhandled, "only hellos")
      }
    }
    registry.onPeerLost { [self] id in _ = change { peers in peers.removeAll { $0.id == id } } }
  }

  private func change(_ edit: (inout [Peer]) -> Void) -> PeerTable {
    let (new, changed) = table.withLock { table -> (PeerTable, Bool) in
      var peers = table.peers
      edit(&peers)
      guard peers != table.peers else { return (table, false) }
      table.peers = peers
      table.revision += 1
      return (table, true)
    }
    if changed {
      registry.adopt(new)
      registry.publish(.peerTable(new))
    }
    return new
  }

  func join(
    _ service: ServiceName, _ name: String, limits: BusLimits = .standard
  ) throws -> Bus {
    let port = kind == .sealedTCP ? try FreePorts.take() : 0
    let configuration = BusConfiguration(
      service: service, name: name,
      addresses: Self.addresses(kind, directory, network, port, registryPort), limits: limits)
    return Bus(
      configuration: configuration, transport: try configuration.makeTransport(),
      logger: Logger(label: "test"))
  }

  private static func addresses(
    _ kind: Kind, _ directory: String, _ network: LoopbackNetwork, _ port: Int, _ registry: Int
  ) -> BusAddresses {
    switch kind {
    case .loopback: .loopback(network)
    case .ipc: .ipc(directory: directory)
    case .sealedTCP:
      .tcp(
        listen: "127.0.0.1:\(port)", advertise: "127.0.0.1:\(port)",
        registry: "127.0.0.1:\(registry)", clusterKey: Array(repeating: 42, count: 32))
    }
  }

  /// Runs the buses while the body does, then closes them.
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
