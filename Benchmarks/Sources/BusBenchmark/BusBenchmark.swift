import Bus
import ClusterModel
import Foundation
import Logging
import Synchronization

/// Round-trip time and throughput of the bus, per transport.
///
/// Two buses run in one process, each with its own reactor and sockets; the code is the same as
/// between processes.
@main
enum BusBenchmark {
  static func main() async throws {
    print("Bus, two endpoints, release build")
    print(
      pad("transport", 14) + right("call p50 us", 13) + right("call p99 us", 13)
        + right("calls/s", 11) + right("items/s", 11))
    let directory = try RuntimeDirectory.path(
      forDataDirectory: NSTemporaryDirectory() + "tutti-bus-benchmark-\(getpid())")
    let port = 21_000 + Int(getpid() % 20_000)
    let key = [UInt8](repeating: 7, count: 32)
    let cases: [(String, @Sendable (Bool) -> BusAddresses)] = [
      ("ipc", { _ in .ipc(directory: directory) }),
      (
        "tcp, sealed",
        { isServer in
          let address = "127.0.0.1:\(isServer ? port : port + 10)"
          return .tcp(
            listen: address, advertise: address, registry: "127.0.0.1:\(port)", clusterKey: key)
        }
      ),
    ]
    for (name, addresses) in cases { try await measure(name, addresses) }
  }

  static func measure(_ name: String, _ addresses: @Sendable (Bool) -> BusAddresses) async throws {
    var logger = Logger(label: "benchmark")
    logger.logLevel = .error
    let serverConfiguration = BusConfiguration(
      service: .registry, name: "registry-1", incarnation: 1, addresses: addresses(true))
    let clientConfiguration = BusConfiguration(
      service: .gateway, name: "gateway-1", incarnation: 2, addresses: addresses(false))
    let server = Bus(
      configuration: serverConfiguration, transport: try serverConfiguration.makeTransport(),
      logger: logger)
    let client = Bus(
      configuration: clientConfiguration, transport: try clientConfiguration.makeTransport(),
      logger: logger)
    let table = Mutex(PeerTable(epoch: 1, revision: 1, peers: [server.peer]))
    server.adopt(table.withLock { $0 })
    server.onCall { request throws(Failure) in
      switch request.body {
      case .hello(let peer):
        let grown = table.withLock { table in
          table.peers = table.peers.filter { $0.id.name != peer.id.name } + [peer]
          table.revision += 1
          return table
        }
        server.adopt(grown)
        return .peerTable(grown)
      case .goodbye: return .peerTable(table.withLock { $0 })
      default: return .hostTable(.empty)
      }
    }
    let items = 200_000
    server.onStream { _, writer throws(Failure) in
      for index in 0..<items {
        try writer.send(.taskEvent(.delta(TaskDelta(text: " token"))))
        // Let the reader run, because buffers are bounded.
        if index % 512 == 511 { await yieldBriefly() }
      }
    }

    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await server.run() }
      group.addTask { try await client.run() }
      try await client.waitForPeers([.registry], deadline: .seconds(5))
      let clock = ContinuousClock()

      for _ in 0..<2_000 { _ = try await ask(client) }
      var times: [Duration] = []
      for _ in 0..<20_000 {
        let start = clock.now
        _ = try await ask(client)
        times.append(start.duration(to: clock.now))
      }
      times.sort()

      let start = clock.now
      try await withThrowingTaskGroup(of: Void.self) { callers in
        for _ in 0..<64 {
          callers.addTask { for _ in 0..<1_000 { _ = try await ask(client) } }
        }
        try await callers.waitForAll()
      }
      let calls = 64_000 / start.duration(to: clock.now).inSeconds

      let opened = clock.now
      var received = 0
      for try await _ in client.stream(
        .hostTableRequest, to: .service(.registry), deadline: .seconds(60))
      { received += 1 }
      let rate = Double(received) / opened.duration(to: clock.now).inSeconds
      if received != items { print("\(name): \(received) of \(items) items arrived") }

      print(
        pad(name, 14) + right(micro(times[times.count / 2]), 13)
          + right(micro(times[times.count * 99 / 100]), 13) + right("\(Int(calls))", 11)
          + right("\(Int(rate))", 11))
      group.cancelAll()
    }
  }

  static func ask(_ client: Bus) async throws -> Body {
    try await client.call(.hostTableRequest, to: .service(.registry), deadline: .seconds(10))
  }

  static func yieldBriefly() async {
    try? await Task.sleep(for: .microseconds(200))
  }

  static func micro(_ duration: Duration) -> String {
    "\((duration.inSeconds * 1e7).rounded() / 10)"
  }

  static func pad(_ text: String, _ width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  static func right(_ text: String, _ width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
  }
}
