import BusCore
import ClusterModel
import ClusterTesting
import Logging
import ServiceLifecycle
import Synchronization
import Testing

@testable import Bus

@Suite("Faults over every transport", .serialized, .timeLimit(.minutes(5)))
struct FaultTests {
  /// Suspends until the task is cancelled.
  static func untilCancelled() async {
    let (forever, _) = AsyncStream.makeStream(of: Void.self)
    for await _ in forever {}
  }

  static func delta(_ text: String) -> Body { .taskEvent(.delta(TaskDelta(text: text))) }

  @Test(
    "a peer killed without a goodbye fails calls and streams at once with peerLost",
    arguments: TestCluster.Kind.allCases)
  func kill(kind: TestCluster.Kind) async throws {
    let cluster = try TestCluster(kind)
    let agent = try cluster.join(.agent(.code), "agent-code-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    let (asked, sawAsked) = AsyncStream.makeStream(of: Void.self)
    agent.onCall { _ throws(Failure) in
      sawAsked.yield()
      await Self.untilCancelled()
      throw Failure(.internalError, "nobody hears this")
    }
    agent.onStream { _, writer throws(Failure) in
      try writer.send(Self.delta("first"))
      await Self.untilCancelled()
    }
    let (lost, sawLost) = AsyncStream.makeStream(of: PeerID.self)
    gateway.onPeerLost { sawLost.yield($0) }
    try await cluster.run([agent, gateway]) {
      try await gateway.waitForPeers([.agent(.code)], deadline: .seconds(20))
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask {
          let failure = await #expect(throws: Failure.self) {
            try await gateway.call(
              .hostTableRequest, to: .service(.agent(.code)), deadline: .seconds(3_600))
          }
          #expect(failure?.code == .peerLost)
        }
        group.addTask {
          var items: [Body] = []
          let failure = await #expect(throws: Failure.self) {
            for try await item in gateway.stream(
              .hostTableRequest, to: .service(.agent(.code)), deadline: nil)
            {
              items.append(item)
              // The agent dies as soon as both requests are in flight. Its sockets close without a
              // goodbye.
              for await _ in asked { break }
              await agent.transport.stop(grace: .zero)
            }
          }
          #expect(failure?.code == .peerLost)
          #expect(items == [Self.delta("first")])
        }
        try await group.waitForAll()
      }
      // On a busy machine, the gateway may lose the agent and find it again before the agent dies.
      // Only the last loss is final.
      for await peer in lost {
        #expect(peer == agent.peer.id)
        if !gateway.live(.agent(.code)).contains(where: { $0.id == agent.peer.id }) { break }
      }
      let failure = await #expect(throws: Failure.self) {
        try await gateway.call(
          .hostTableRequest, to: .peer(agent.peer.id), deadline: .seconds(3_600))
      }
      #expect(failure?.code == .peerLost)
    }
  }

  @Test(
    "a handler is cancelled when its caller dies, cancels or runs out of time",
    arguments: TestCluster.Kind.allCases)
  func handlersEnd(kind: TestCluster.Kind) async throws {
    let cluster = try TestCluster(kind)
    let planner = try cluster.join(.planner, "planner-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    let dying = try cluster.join(.gateway, "gateway-2")
    let (began, sawBegin) = AsyncStream.makeStream(of: String.self)
    let (ended, sawEnd) = AsyncStream.makeStream(of: String.self)
    let beginnings = Atomic(0)
    planner.onCall { request throws(Failure) in
      beginnings.add(1, ordering: .relaxed)
      sawBegin.yield(request.sender.name)
      await Self.untilCancelled()
      sawEnd.yield(request.sender.name)
      throw Failure(.cancelled, "cancelled")
    }
    try await cluster.run([planner, gateway, dying]) {
      for bus in [gateway, dying] {
        try await bus.waitForPeers([.planner], deadline: .seconds(20))
      }
      var begins = began.makeAsyncIterator()
      var ends = ended.makeAsyncIterator()

      // A busy machine may not deliver the request within a short deadline, so longer ones are
      // tried.
      var deadline = Duration.milliseconds(50)
      repeat {
        let late = await #expect(throws: Failure.self) {
          try await gateway.call(.hostTableRequest, to: .service(.planner), deadline: deadline)
        }
        #expect(late?.code == .deadlineExceeded)
        deadline *= 2
      } while beginnings.load(ordering: .relaxed) == 0
      #expect(await begins.next() == "gateway-1")
      #expect(await ends.next() == "gateway-1")

      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          let failure = await #expect(throws: Failure.self) {
            try await gateway.call(
              .hostTableRequest, to: .service(.planner), deadline: .seconds(3_600))
          }
          #expect(failure?.code == .cancelled)
        }
        #expect(await begins.next() == "gateway-1")
        group.cancelAll()
        #expect(await ends.next() == "gateway-1")
      }

      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          _ = try? await dying.call(
            .hostTableRequest, to: .service(.planner), deadline: .seconds(3_600))
        }
        #expect(await begins.next() == "gateway-2")
        await dying.transport.stop(grace: .zero)
        #expect(await ends.next() == "gateway-2")
        group.cancelAll()
      }
    }
  }

  @Test(
    "garbage, NULs, nested and oversized frames are counted, and the mailbox still answers",
    arguments: TestCluster.Kind.allCases)
  func garbage(kind: TestCluster.Kind) async throws {
    let cluster = try TestCluster(kind)
    let planner = try cluster.join(.planner, "planner-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    // This member of the cluster sends garbage. Its frames are sealed if the transport requires it.
    let mad = try cluster.join(.other("mad"), "mad-1")
    let (marks, sawMark) = AsyncStream.makeStream(of: Void.self)
    planner.onCall { request throws(Failure) in request.body }
    planner.onCast { body, _ in if body == Self.delta("mark") { sawMark.yield() } }
    try await cluster.run([planner, gateway, mad]) {
      for bus in [gateway, mad] {
        try await bus.waitForPeers([.planner], deadline: .seconds(20))
      }
      var chance = SeededGenerator(seed: 11)
      var frames: [[UInt8]] = [[], [0], [UInt8](repeating: 0, count: 100_000)]
      for _ in 0..<200 { frames.append(chance.nextBytes(chance.nextInt(in: 1..<400))) }
      var nested: [UInt8] = [0xA2, 0x01, 0x00]
      for _ in 0..<2_000 {
        var length = nested.count
        var header: [UInt8] = [0xA2, 0x01]
        while length > 127 {
          header.append(UInt8(length & 127) | 128)
          length >>= 7
        }
        nested = header + [UInt8(length)] + nested
      }
      frames.append(nested)
      let mailbox = planner.peer.mailbox
      for frame in frames { #expect(mad.transport.send(frame, to: mailbox, lane: .data)) }
      mad.cast(Self.delta("mark"), to: .service(.planner))
      for await _ in marks { break }
      let dropped = planner.dropped.values.reduce(0, +)
      #expect(dropped >= frames.count - 10, "\(planner.dropped)")

      // Over tcp://, `BusListener` closes the connection on which the frame arrives.
      let huge = [UInt8](repeating: 0x41, count: 10 << 20)
      #expect(mad.transport.send(huge, to: mailbox, lane: .data) || kind == .loopback)
      if kind != .sealedTCP {
        mad.cast(Self.delta("mark"), to: .service(.planner))
        for await _ in marks { break }
        #expect(planner.dropped["too_large", default: 0] == 1, "\(planner.dropped)")
      }
      for _ in 0..<20 {
        let answer = try await gateway.call(
          Self.delta("still there?"), to: .service(.planner), deadline: .seconds(20))
        #expect(answer == Self.delta("still there?"))
      }
    }
  }

  @Test("frames sent after a disconnect arrive, those that waited before it do not")
  func disconnect() async throws {
    let name = "ipc:///tmp/tutti-disconnect-\(UInt32.random(in: 0...UInt32.max))"
    func transport(_ suffix: String) throws -> NanomsgTransport {
      try NanomsgTransport(
        NanomsgTransport.Configuration(listen: name + suffix, mailbox: name + suffix))
    }
    let receiver = try transport(".r")
    let sender = try transport(".s")
    let (frames, got) = AsyncStream.makeStream(of: [UInt8].self)
    try sender.start { _ in }
    #expect(sender.send([0], to: name + ".r", lane: .data))
    sender.disconnect(from: name + ".r")
    for byte in 1...50 as ClosedRange<UInt8> {
      #expect(sender.send([byte], to: name + ".r", lane: .data))
    }
    try receiver.start { if case .frame(let frame, _) = $0 { got.yield(frame) } }
    var expected: UInt8 = 1
    for await frame in frames {
      #expect(frame == [expected])
      expected += 1
      if expected > 50 { break }
    }
    await sender.stop(grace: .zero)
    await receiver.stop(grace: .zero)
  }

  @Test("mailboxes at which no process listens keep no connection from one that does")
  func unreachable() async throws {
    let name = "ipc:///tmp/tutti-unreachable-\(UInt32.random(in: 0...UInt32.max))"
    func transport(_ suffix: String) throws -> NanomsgTransport {
      var configuration = NanomsgTransport.Configuration(
        listen: name + suffix, mailbox: name + suffix)
      configuration.connections = 8
      return try NanomsgTransport(configuration)
    }
    let receiver = try transport(".r")
    let sender = try transport(".s")
    let (frames, got) = AsyncStream.makeStream(of: [UInt8].self)
    try sender.start { _ in }
    try receiver.start { if case .frame(let frame, _) = $0 { got.yield(frame) } }
    for index in 0..<20 {
      #expect(sender.send([0], to: "\(name).\(index)", lane: .data))
    }
    #expect(sender.send([7], to: name + ".r", lane: .data))
    for await frame in frames {
      #expect(frame == [7])
      break
    }
    await sender.stop(grace: .zero)
    await receiver.stop(grace: .zero)
  }

  @Test("several tasks may write one stream", arguments: TestCluster.Kind.allCases)
  func writers(kind: TestCluster.Kind) async throws {
    let cluster = try TestCluster(kind)
    let agent = try cluster.join(.agent(.code), "agent-code-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    agent.onStream { _, writer throws(Failure) in
      await withTaskGroup(of: Void.self) { group in
        for task in 0..<8 {
          group.addTask {
            for index in 0..<200 { try? writer.send(Self.delta("\(task)/\(index)")) }
          }
        }
      }
    }
    try await cluster.run([agent, gateway]) {
      try await gateway.waitForPeers([.agent(.code)], deadline: .seconds(20))
      var seen: Set<String> = []
      for try await item in gateway.stream(
        .hostTableRequest, to: .service(.agent(.code)), deadline: .seconds(50))
      {
        if case .taskEvent(.delta(let delta)) = item { seen.insert(delta.text) }
      }
      #expect(seen.count == 1_600)
    }
  }

  @Test("a slow reader's stream ends with an error when its buffer is full, for the writer, too")
  func slowReader() async throws {
    let cluster = try TestCluster(.ipc)
    let agent = try cluster.join(.agent(.code), "agent-code-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    let (ends, sawEnd) = AsyncStream.makeStream(of: Failure.Code?.self)
    agent.onStream { _, writer throws(Failure) in
      var code: Failure.Code?
      let text = String(repeating: "x", count: 10_000)
      while code == nil {
        do throws(Failure) { try writer.send(Self.delta(text)) } catch { code = error.code }
        await Task.yield()
      }
      sawEnd.yield(code)
    }
    try await cluster.run([agent, gateway]) {
      try await gateway.waitForPeers([.agent(.code)], deadline: .seconds(20))
      let stream = gateway.stream(
        .hostTableRequest, to: .service(.agent(.code)), deadline: .seconds(50))
      // The caller reads nothing until the writer has been stopped.
      for await code in ends {
        #expect(code == .cancelled)
        break
      }
      var bytes = 0
      let failure = await #expect(throws: Failure.self) {
        for try await item in stream {
          if case .taskEvent(.delta(let delta)) = item { bytes += delta.text.utf8.count }
        }
      }
      #expect(failure?.code == .slowReader)
      #expect(bytes > 900_000 && bytes <= 1 << 20)
      #expect(gateway.dropped["slow_reader"] == 1)
    }
  }

  @Test("callers above the limit of handlers get an error, and the others are answered")
  func overload() async throws {
    let cluster = try TestCluster(.ipc)
    var limits = BusLimits.standard
    limits.handlers = 4
    let planner = try cluster.join(.planner, "planner-1", limits: limits)
    let gateway = try cluster.join(.gateway, "gateway-1")
    let (gate, opener) = AsyncStream.makeStream(of: Void.self)
    let (full, sawFull) = AsyncStream.makeStream(of: Void.self)
    planner.onCall { _ throws(Failure) in
      for await _ in gate {}
      return .ack
    }
    try await cluster.run([planner, gateway]) {
      try await gateway.waitForPeers([.planner], deadline: .seconds(20))
      let outcomes = await withTaskGroup(of: Failure.Code?.self) { group in
        for _ in 0..<10 {
          group.addTask {
            do throws(Failure) {
              _ = try await gateway.call(
                .hostTableRequest, to: .service(.planner), deadline: .seconds(50))
              return nil
            } catch {
              sawFull.yield()
              return error.code
            }
          }
        }
        var refused = 0
        for await _ in full {
          refused += 1
          if refused == 6 { break }
        }
        opener.finish()
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(outcomes.count { $0 == nil } == 4)
      #expect(outcomes.count { $0 == .overloaded } == 6)
    }
  }

  @Test(
    "a draining process finishes what it began, refuses what is new, and leaves the table",
    arguments: TestCluster.Kind.allCases)
  func drain(kind: TestCluster.Kind) async throws {
    let cluster = try TestCluster(kind)
    let planner = try cluster.join(.planner, "planner-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    let (gate, opener) = AsyncStream.makeStream(of: Void.self)
    let (began, sawBegin) = AsyncStream.makeStream(of: Void.self)
    planner.onStream { _, writer throws(Failure) in
      try writer.send(Self.delta("0"))
      sawBegin.yield()
      for await _ in gate {}
      for index in 1..<500 { try writer.send(Self.delta("\(index)")) }
    }
    let service = ServiceGroup(
      configuration: ServiceGroupConfiguration(
        services: [planner], logger: Logger(label: "drain")))
    try await cluster.run([gateway]) {
      try await withThrowingTaskGroup(of: Void.self) { group in
        group.addTask { try await service.run() }
        try await gateway.waitForPeers([.planner], deadline: .seconds(20))
        let stream = gateway.stream(
          .hostTableRequest, to: .service(.planner), deadline: .seconds(50))
        for await _ in began { break }
        await service.triggerGracefulShutdown()
        // The signal takes a moment to arrive, so the request is repeated until it is refused.
        var refusal: Failure.Code?
        while refusal == nil {
          do throws(Failure) {
            for try await _ in gateway.stream(
              .hostTableRequest, to: .peer(planner.peer.id), deadline: .milliseconds(200))
            { break }
          } catch {
            if error.code != .deadlineExceeded { refusal = error.code }
          }
        }
        #expect(refusal == .shuttingDown)
        opener.finish()
        var items = 0
        for try await item in stream {
          #expect(item == Self.delta("\(items)"))
          items += 1
        }
        #expect(items == 500)
        try await group.waitForAll()
      }
      // The planner's goodbye was acknowledged before its bus closed.
      #expect(!cluster.registry.live(.planner).contains { $0.id == planner.peer.id })
    }
  }

  @Test("a network that loses and reorders breaks streams, never their order", arguments: 0..<4)
  func badNetwork(seed: UInt64) async throws {
    var faults = LoopbackNetwork.Faults()
    faults.duplicatePerMille = 100
    faults.lossPerMille = 2
    faults.maximumDelay = .microseconds(300)
    let cluster = try TestCluster(.loopback, network: LoopbackNetwork(seed: seed, faults: faults))
    let agent = try cluster.join(.agent(.code), "agent-code-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    let runs = Mutex<[UInt64: Int]>([:])
    agent.onStream { request, writer throws(Failure) in
      if case .planRequest(let plan) = request.body {
        runs.withLock { $0[plan.seed, default: 0] += 1 }
      }
      for index in 0..<30 {
        try writer.send(Self.delta("\(index)"))
        await Task.yield()
      }
    }
    try await cluster.run([agent, gateway]) {
      try await gateway.waitForPeers([.agent(.code)], deadline: .seconds(20))
      for round in 0..<30 as Range<UInt64> {
        var items = 0
        do throws(Failure) {
          let question = Body.planRequest(
            PlanRequest(pattern: "x", query: "", seed: round, available: []))
          for try await item in gateway.stream(
            question, to: .service(.agent(.code)), deadline: .milliseconds(500))
          {
            #expect(item == Self.delta("\(items)"))
            items += 1
          }
          #expect(items == 30)
        } catch {
          #expect([.streamGap, .deadlineExceeded].contains(error.code), "\(error)")
        }
      }
    }
    #expect(runs.withLock { $0.values.allSatisfy { $0 == 1 } && $0.count > 20 })
  }
}
