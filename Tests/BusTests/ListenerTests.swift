import BusCore
import ClusterModel
import ClusterTesting
import Foundation
import Limits
import Synchronization
import Testing
import Wire

@testable import Bus

@Suite("Strangers at a tcp bus", .serialized, .timeLimit(.minutes(5)))
struct ListenerTests {
  /// Runs `body` with a registry, a planner that echoes calls, and a gateway.
  private static func run(
    _ body: @escaping @Sendable (TestCluster, _ planner: Bus, _ gateway: Bus) async throws -> Void
  ) async throws {
    let cluster = try TestCluster(.sealedTCP)
    let planner = try cluster.join(.planner, "planner-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    planner.onCall { request throws(Failure) in request.body }
    try await cluster.run([planner, gateway]) {
      try await gateway.waitForPeers([.planner], deadline: .seconds(20))
      try await body(cluster, planner, gateway)
      // After any outside traffic, valid mail still passes and every peer is still listed.
      let answer = try await gateway.call(.ack, to: .service(.planner), deadline: .seconds(20))
      #expect(answer == .ack)
      #expect(Set(cluster.table.peers.map(\.id.name)) == ["registry-1", "planner-1", "gateway-1"])
    }
  }

  @Test("25 bytes of junk to every port end nothing and are counted")
  func junk() async throws {
    try await Self.run { cluster, planner, gateway in
      var chance = SeededGenerator(seed: 3)
      for bus in [cluster.registry, planner, gateway] {
        for _ in 0..<20 {
          let stranger = try await RawConnection(to: bus)
          try? await stranger.send([0xFF] + chance.nextBytes(24))
          try await stranger.closed()
        }
        #expect(bus.dropped["unsealed"] == 20, "\(bus.dropped)")
      }
    }
  }

  @Test("100 half-open connections keep no newcomer from their own address out")
  func halfOpen() async throws {
    let cluster = try TestCluster(.sealedTCP)
    let planner = try cluster.join(.planner, "planner-1")
    let late = try cluster.join(.gateway, "gateway-1")
    planner.onCall { request throws(Failure) in request.body }
    try await cluster.run([planner]) {
      var strangers: [RawConnection] = []
      for bus in [cluster.registry, planner] {
        for index in 0..<100 {
          let stranger = try await RawConnection(to: bus)
          if index.isMultiple(of: 2) { try await stranger.send(RawConnection.greeting) }
          strangers.append(stranger)
        }
      }
      await withTaskGroup(of: Void.self) { group in
        group.addTask { try? await late.run() }
        do {
          try await late.waitForPeers([.planner], deadline: .seconds(20))
          let answer = try await late.call(.ack, to: .service(.planner), deadline: .seconds(20))
          #expect(answer == .ack)
        } catch {
          Issue.record("\(error)")
        }
        group.cancelAll()
      }
      for bus in [cluster.registry, planner] {
        let evicted = bus.dropped["connection_evicted", default: 0]
        #expect(evicted >= 100 - Limits.busUnknownPerAddress.value, "\(bus.dropped)")
      }
      for stranger in strangers { await stranger.close() }
    }
  }

  @Test("a stranger who announces a frame is refused at its header, before there is memory for it")
  func announced() async throws {
    try await Self.run { cluster, planner, gateway in
      let greeting = RawConnection.greeting
      let seal = try FrameSeal(
        clusterKey: [UInt8](repeating: 1, count: 32), own: gateway.peer.id,
        mailbox: gateway.peer.mailbox, registryMailbox: "tcp://h:1")
      seal.know(planner.peer.mailbox, Recipient(planner.peer))
      let underOtherKey = try #require(seal.close([1], to: planner.peer.mailbox))
      func announced(_ count: Int, _ bytes: [UInt8] = []) -> [UInt8] {
        greeting + RawConnection.length(count) + bytes
      }
      let header: [UInt8] = [0x54, 0x53, 2] + [UInt8](1...27)
      let inputs: [(String, [UInt8])] = [
        ("unsealed", announced(1 << 20, [UInt8](repeating: 7, count: 400))),
        ("unsealed", announced(0)),
        ("unsealed", announced(30, header)),
        ("too_large", announced(2 << 20)),
        ("too_large", announced(-1)),
        ("seal_broken", announced(underOtherKey.count, underOtherKey)),
        ("seal_broken", announced(1 << 20, underOtherKey)),
        ("unsealed", Array("GET / HTTP/1.1\r\n\r\n".utf8)),
      ]
      for bus in [planner, cluster.registry] {
        for (reason, bytes) in inputs {
          let before = bus.dropped[reason, default: 0]
          let stranger = try await RawConnection(to: bus)
          try? await stranger.send(bytes)
          try await stranger.closed()
          #expect(bus.dropped[reason] == before + 1, "\(bytes.prefix(20)): \(bus.dropped)")
        }
      }
    }
  }

  @Test("a bare envelope is not passed on")
  func unsealed() async throws {
    try await Self.run { _, planner, gateway in
      let envelope = Envelope(
        messageID: 1, shape: .call, sender: gateway.peer.id, body: .hostTableRequest)
      let stranger = try await RawConnection(to: planner)
      try await stranger.send(RawConnection.greeting + RawConnection.frame(envelope.encoded()))
      try await stranger.closed()
      #expect(planner.dropped["unsealed"] == 1)
    }
  }

  @Test("a connection that proves nothing is closed when its time is over, and counted")
  func patience() async throws {
    let port = try FreePorts.take()
    let seal = try FrameSeal(
      clusterKey: [UInt8](repeating: 1, count: 32), own: PeerID(name: "a", incarnation: 1),
      mailbox: "tcp://127.0.0.1:\(port)", registryMailbox: "tcp://127.0.0.1:1")
    let (reasons, saw) = AsyncStream.makeStream(of: String.self)
    let listener = try BusListener(
      BusListener.Settings(
        host: "127.0.0.1", port: port, socketPath: "/nowhere", frameLimit: 1 << 20,
        patience: .milliseconds(50)),
      seal: seal, dropped: { saw.yield($0) })
    var seen = reasons.makeAsyncIterator()
    for bytes in [[], RawConnection.greeting + RawConnection.length(1 << 20)] as [[UInt8]] {
      let stranger = try await RawConnection(port: port)
      // The listener may have closed the connection already.
      if !bytes.isEmpty { try? await stranger.send(bytes) }
      #expect(await seen.next() == "handshake_timeout")
      try await stranger.closed()
    }
    await listener.close()
  }

  @Test("a captured frame opens the listener once")
  func replay() async throws {
    try await Self.run { _, planner, gateway in
      let seal = try FrameSeal(
        clusterKey: TestCluster.clusterKey, own: PeerID(name: "mad", incarnation: 1),
        mailbox: "tcp://127.0.0.1:1", registryMailbox: "tcp://127.0.0.1:2")
      seal.know(planner.peer.mailbox, Recipient(planner.peer))
      let frame = try #require(seal.close([0xFF], to: planner.peer.mailbox))
      let first = try await RawConnection(to: planner)
      try await first.send(RawConnection.greeting + RawConnection.frame(frame))
      try await gateway.ask(planner, until: "malformed")
      let second = try await RawConnection(to: planner)
      try await second.send(RawConnection.greeting + RawConnection.frame(frame))
      try await second.closed()
      #expect(planner.dropped["replayed"] == 1)
      // On the connection that is still open, the frame reaches the seal, which also refuses it.
      try await first.send(RawConnection.frame(frame))
      try await gateway.ask(planner, until: "replayed", reaches: 2)
      await first.close()
    }
  }

  // MARK: - Eviction of connections

  @Test("the oldest unknown connection of a crowded address goes, never one of a listed peer")
  func roster() {
    let listed = [UInt8](repeating: 1, count: 32)
    let closed = Mutex<[Int]>([])
    let roster = ConnectionRoster(isListed: { $0 == listed })
    func admit(_ number: Int, _ address: String) -> (id: ConnectionRoster.ID, evicted: Bool) {
      roster.admit(from: address) { closed.withLock { $0.append(number) } }
    }
    let peer = admit(-1, "a")
    #expect(roster.prove(peer.id, listed))
    let most = Limits.busUnknownPerAddress.value
    for index in 0..<most { #expect(!admit(index, "a").evicted) }
    #expect(admit(most, "a").evicted)
    #expect(admit(most + 1, "a").evicted)
    #expect(!admit(1_000, "b").evicted)
    #expect(closed.withLock { $0 } == [0, 1])
    for index in 0..<(2 * Limits.busUnknownConnections.value) { _ = admit(index, "c\(index)") }
    #expect(roster.count == 1 + Limits.busUnknownConnections.value)
    #expect(!closed.withLock { $0.contains(-1) })
    #expect(roster.remove(peer.id))
    #expect(!roster.remove(peer.id))
  }

  @Test("a listed peer has a few connections, whatever it opens")
  func connectionsOfAPeer() {
    let listed = [UInt8](repeating: 1, count: 32)
    let roster = ConnectionRoster(isListed: { $0 == listed })
    let proved = (0..<20).count { _ in
      let admitted = roster.admit(from: "a", close: {})
      return roster.prove(admitted.id, listed)
    }
    #expect(proved == Limits.busConnectionsPerPeer.value)
  }
}

extension BusListener {
  /// Runs `stop` on a thread of its own, because `stop` waits for the loop and must not block a
  /// test's thread.
  fileprivate func close() async {
    await withCheckedContinuation { continuation in
      Thread { [self] in
        stop()
        continuation.resume()
      }.start()
    }
  }
}
