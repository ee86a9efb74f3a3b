import BusCore
import ClusterModel
import Logging
import Synchronization
import Testing
import Wire

@testable import Bus

/// A compromised agent holds the cluster key, is listed, and sends arbitrary messages.
///
/// It can refuse its own work, but it cannot impersonate or stop other members.
@Suite("A hostile member of the cluster", .serialized, .timeLimit(.minutes(5)))
struct HostileMemberTests {
  struct Cast {
    let cluster: TestCluster
    let planner: Bus
    let gateway: Bus
    let mad: Bus

    /// Sends an envelope, sealed by the hostile member.
    func send(_ envelope: Envelope, to bus: Bus) throws {
      #expect(mad.transport.send(try envelope.encoded(), to: bus.peer.mailbox, lane: .data))
    }
  }

  private static func run(
    _ body: @escaping @Sendable (Cast) async throws -> Void
  ) async throws {
    let cluster = try TestCluster(.sealedTCP)
    let planner = try cluster.join(.planner, "planner-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    let mad = try cluster.join(.agent(.critic), "mad-1")
    planner.onCall { request throws(Failure) in
      if case .hostTableRequest = request.body { await FaultTests.untilCancelled() }
      return request.body
    }
    planner.onStream { request, writer throws(Failure) in
      for index in 0..<3 {
        try writer.send(FaultTests.delta("\(index)"))
        await Task.yield()
      }
    }
    try await cluster.run([planner, gateway, mad]) {
      for bus in [gateway, mad] {
        try await bus.waitForPeers([.planner], deadline: .seconds(20))
      }
      try await planner.waitForPeers([.gateway, .agent(.critic)], deadline: .seconds(20))
      let before = cluster.table.peers
      try await body(Cast(cluster: cluster, planner: planner, gateway: gateway, mad: mad))
      let answer = try await gateway.call(.ack, to: .service(.planner), deadline: .seconds(20))
      #expect(answer == .ack)
      #expect(cluster.table.peers == before)
      #expect(planner.peers.peers.map(\.id).sorted() == before.map(\.id).sorted())
    }
  }

  @Test("its tables, under its own name or the registry's, are dropped and counted")
  func tables() async throws {
    try await Self.run { cast in
      let registry = cast.cluster.registry.peer
      let published = Mutex(0)
      cast.planner.onPublish { _ in published.withLock { $0 += 1 } }
      for sender in [cast.mad.peer.id, registry.id] {
        for epoch in [1, registry.id.incarnation, .max] as [UInt64] {
          for body in [
            Body.peerTable(PeerTable(epoch: epoch, revision: .max, peers: [cast.mad.peer])),
            .hostTable(HostTable(epoch: epoch, revision: .max, hosts: [])),
            .loadTable(LoadTable(epoch: epoch, revision: .max, hosts: [], merged: [])),
          ] {
            try cast.send(
              Envelope(messageID: 1, shape: .publish, sender: sender, body: body),
              to: cast.planner)
          }
        }
      }
      try await cast.gateway.ask(cast.planner, until: "not_registry", reaches: 9)
      try await cast.gateway.ask(cast.planner, until: "wrong_sender", reaches: 9)
      #expect(published.withLock { $0 } == 0)
    }
  }

  @Test("an answer to another's hello that it guesses is not believed, also before the first table")
  func guessedAnswers() async throws {
    let cluster = try TestCluster(.sealedTCP)
    let mad = try cluster.join(.agent(.critic), "mad-1")
    let late = try cluster.join(.gateway, "gateway-1")
    try await cluster.run([mad]) {
      await withTaskGroup(of: Void.self) { group in
        group.addTask { try? await late.run() }
        mad.transport.seal(late.peer.mailbox, for: Recipient(late.peer))
        for id in 1...2_000 as ClosedRange<UInt64> {
          let envelope = Envelope(
            messageID: id, correlationID: id, shape: .reply, sender: mad.peer.id, body: .ack)
          if let bytes = try? envelope.encoded() {
            _ = mad.transport.send(bytes, to: late.peer.mailbox, lane: .data)
          }
        }
        do {
          try await late.waitForPeers([.registry], deadline: .seconds(20))
        } catch {
          Issue.record("\(error)")
        }
        #expect(late.live(.registry).map(\.id) == [cluster.registry.peer.id])
        group.cancelAll()
      }
    }
  }

  @Test("hellos and goodbyes in another's name change nothing")
  func hellos() async throws {
    try await Self.run { cast in
      let registry = cast.cluster.registry
      let victim = cast.planner.peer
      var withItsKey = victim
      withItsKey.key = cast.mad.peer.key
      var successor = withItsKey
      successor.id = PeerID(name: victim.id.name, incarnation: .max)
      var second = cast.mad.peer
      second.mailbox = victim.mailbox
      for peer in [victim, withItsKey, successor, second] {
        for sender in [peer.id, cast.mad.peer.id] {
          try cast.send(
            Envelope(
              messageID: .random(in: 1...UInt64.max), shape: .call, sender: sender,
              body: .hello(peer)),
            to: registry)
        }
      }
      try cast.send(
        Envelope(messageID: 77, shape: .call, sender: cast.mad.peer.id, body: .goodbye(victim.id)),
        to: registry)
      try cast.send(
        Envelope(messageID: 78, shape: .call, sender: victim.id, body: .goodbye(victim.id)),
        to: registry)
      // The registry processes a sender's mail in order.
      while registry.dropped["wrong_sender", default: 0] < 5 {
        _ = try? await cast.gateway.call(
          .ack, to: .peer(registry.peer.id), deadline: .seconds(20))
      }
      // Claim the planner's name with a new key pair: with the planner's incarnation, then with a
      // later one.
      for incarnation in [victim.id.incarnation, .max] {
        let id = PeerID(name: victim.id.name, incarnation: incarnation)
        let seal = try FrameSeal(
          clusterKey: TestCluster.clusterKey, own: id, mailbox: cast.mad.peer.mailbox,
          registryMailbox: registry.peer.mailbox)
        var peer = cast.mad.peer
        peer.id = id
        peer.key = seal.publicKey
        peer.mailbox = "tcp://127.0.0.1:1"
        let connection = try await RawConnection(to: registry)
        try await connection.send(RawConnection.greeting)
        for isIntroduction in [true, false] {
          if !isIntroduction { seal.know(registry.peer.mailbox, Recipient(registry.peer)) }
          let envelope = Envelope(messageID: 5, shape: .call, sender: id, body: .hello(peer))
          let frame = try #require(
            seal.close(envelope.encoded(), to: registry.peer.mailbox))
          try await connection.send(RawConnection.frame(frame))
        }
        await connection.close()
      }
    }
  }

  @Test("streams and calls of others go on whatever it cancels, ends or answers")
  func cancels() async throws {
    try await Self.run { cast in
      for round in 0..<20 {
        let stream = cast.gateway.stream(
          .ack, to: .service(.planner), deadline: .seconds(20))
        for id in 1...50 as ClosedRange<UInt64> {
          for sender in [cast.gateway.peer.id, cast.mad.peer.id] {
            try cast.send(
              Envelope(
                messageID: id, correlationID: id, shape: .cancel, sender: sender, body: .ack),
              to: cast.planner)
            for shape in [Envelope.Shape.end, .reply, .item] {
              try cast.send(
                Envelope(
                  messageID: id, correlationID: id, shape: shape, sender: sender, body: .ack),
                to: cast.gateway)
            }
          }
        }
        var items = 0
        for try await item in stream {
          #expect(item == FaultTests.delta("\(items)"))
          items += 1
        }
        #expect(items == 3, "round \(round)")
      }
    }
  }

  @Test("another's name under a key of its own is dropped and counted")
  func otherKey() async throws {
    try await Self.run { cast in
      let seal = try FrameSeal(
        clusterKey: TestCluster.clusterKey, own: cast.gateway.peer.id,
        mailbox: cast.mad.peer.mailbox, registryMailbox: "tcp://h:1")
      seal.know(cast.planner.peer.mailbox, Recipient(cast.planner.peer))
      let connection = try await RawConnection(to: cast.planner)
      try await connection.send(RawConnection.greeting)
      let envelope = Envelope(
        messageID: 1, shape: .call, sender: cast.gateway.peer.id, body: .ack)
      for _ in 0..<10 {
        let frame = try #require(seal.close(envelope.encoded(), to: cast.planner.peer.mailbox))
        try await connection.send(RawConnection.frame(frame))
      }
      try await cast.gateway.ask(cast.planner, until: "wrong_key", reaches: 10)
      await connection.close()
    }
  }

  @Test("a flood of calls, casts, fragments and garbage leaves others their turn")
  func flood() async throws {
    try await Self.run { cast in
      for id in 1...3_000 as ClosedRange<UInt64> {
        try cast.send(
          Envelope(
            messageID: id, shape: .call, sender: cast.mad.peer.id, body: .hostTableRequest),
          to: cast.planner)
        try cast.send(
          Envelope(messageID: id + 10_000, shape: .cast, sender: cast.mad.peer.id, body: .ack),
          to: cast.planner)
        try cast.send(
          Envelope(
            messageID: id + 20_000, shape: .call, sender: cast.mad.peer.id,
            body: .fragment(Body.Fragment(index: 0, count: 90, data: [1]))),
          to: cast.planner)
        if id.isMultiple(of: 100) {
          let answer = try await cast.gateway.call(
            .ack, to: .service(.planner), deadline: .seconds(20))
          #expect(answer == .ack)
        }
      }
      let elements = [UInt8]([0x1A, 0x00])
      let body = (0..<200_000).flatMap { _ in elements }
      var envelope: [UInt8] = [0x08, 1, 0x20, 7, 0x2A, 1, 65, 0x82, 0x02]
      var length = body.count
      while length > 127 {
        envelope.append(UInt8(length & 127) | 128)
        length >>= 7
      }
      envelope += [UInt8(length)] + body
      #expect(
        cast.mad.transport.send(envelope, to: cast.planner.peer.mailbox, lane: .data))
      try await cast.gateway.ask(cast.planner, until: "too_many_elements")
      try await cast.gateway.ask(cast.planner, until: "reassembly_full", reaches: 2_900)
    }
  }
}
