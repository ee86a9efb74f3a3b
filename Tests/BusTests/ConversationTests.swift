import BusCore
import ClusterModel
import Synchronization
import Testing

@testable import Bus

@Suite("Processes talk over every transport", .serialized, .timeLimit(.minutes(5)))
struct ConversationTests {
  @Test("a call is answered", arguments: TestCluster.Kind.allCases)
  func call(kind: TestCluster.Kind) async throws {
    let cluster = try TestCluster(kind)
    let planner = try cluster.join(.planner, "planner-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    planner.onCall { request throws(Failure) in
      guard case .planRequest(let wanted) = request.body else {
        throw Failure(.unhandled, "no plan request")
      }
      #expect(request.sender.name == "gateway-1")
      return .plan(
        Plan(
          id: "p", pattern: wanted.pattern, tasks: [], sink: "s", seed: wanted.seed,
          deadline: .seconds(1)))
    }
    try await cluster.run([planner, gateway]) {
      try await gateway.waitForPeers([.planner], deadline: .seconds(20))
      for seed in 1...50 as ClosedRange<UInt64> {
        let answer = try await gateway.call(
          .planRequest(PlanRequest(pattern: "x", query: "q", seed: seed, available: [])),
          to: .service(.planner), deadline: .seconds(20))
        guard case .plan(let plan) = answer else {
          Issue.record("not a plan: \(answer)")
          return
        }
        #expect(plan.seed == seed)
      }
    }
  }

  @Test("a handler's failure reaches the caller", arguments: TestCluster.Kind.allCases)
  func failure(kind: TestCluster.Kind) async throws {
    let cluster = try TestCluster(kind)
    let planner = try cluster.join(.planner, "planner-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    let refusal = Failure(.modelNotFound, "no such thing", retryAfter: .seconds(3))
    planner.onCall { _ throws(Failure) in throw refusal }
    try await cluster.run([planner, gateway]) {
      try await gateway.waitForPeers([.planner], deadline: .seconds(20))
      let thrown = await #expect(throws: Failure.self) {
        try await gateway.call(
          .hostTableRequest, to: .service(.planner), deadline: .seconds(20))
      }
      #expect(thrown == refusal)
    }
  }

  @Test("a stream arrives whole and in order", arguments: TestCluster.Kind.allCases)
  func stream(kind: TestCluster.Kind) async throws {
    let cluster = try TestCluster(kind)
    let agent = try cluster.join(.agent(.code), "agent-code-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    agent.onStream { _, writer throws(Failure) in
      for index in 0..<2_000 {
        try writer.send(.taskEvent(.delta(TaskDelta(text: "\(index)"))))
      }
    }
    try await cluster.run([agent, gateway]) {
      try await gateway.waitForPeers([.agent(.code)], deadline: .seconds(20))
      var next = 0
      for try await body in gateway.stream(
        .hostTableRequest, to: .service(.agent(.code)), deadline: .seconds(30))
      {
        #expect(body == .taskEvent(.delta(TaskDelta(text: "\(next)"))))
        next += 1
      }
      #expect(next == 2_000)
    }
  }

  @Test("a message of three megabytes travels in pieces", arguments: TestCluster.Kind.allCases)
  func large(kind: TestCluster.Kind) async throws {
    let cluster = try TestCluster(kind)
    let monitor = try cluster.join(.monitor, "monitor-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    monitor.onCall { request throws(Failure) in request.body }
    let order = Body.runPlan(
      PlanOrder(
        plan: Plan(
          id: "p", pattern: "x", tasks: [], sink: "s", seed: 1, deadline: .seconds(1)),
        conversation: Conversation(
          messagesJSON: (0..<3_000_000).map { UInt8(truncatingIfNeeded: $0) })))
    try await cluster.run([monitor, gateway]) {
      try await gateway.waitForPeers([.monitor], deadline: .seconds(20))
      let answer = try await gateway.call(order, to: .service(.monitor), deadline: .seconds(30))
      #expect(answer == order)
    }
  }

  /// The largest plan order: 10 MB of documents, the longest conversation that a gateway accepts,
  /// and the maximum number of tasks with instructions of maximum length.
  private static let largestOrder: PlanOrder = {
    let long = String(repeating: "x", count: PlanValidation.maximumInstructionBytes)
    let tasks = (0..<PlanValidation.maximumTasks).map {
      PlanTask(id: TaskID("t\($0)"), role: .code, instruction: long)
    }
    return PlanOrder(
      plan: Plan(
        id: "p", pattern: "x", tasks: tasks, sink: "t0", seed: 1, deadline: .seconds(1)),
      conversation: Conversation(messagesJSON: [UInt8](repeating: 0x20, count: 4 << 20)),
      request: PlanRequest(pattern: "x", query: long, seed: 1, available: []),
      documents: (0..<10).map {
        Document(name: "d\($0)", text: String(repeating: "é", count: 1 << 19))
      })
  }()

  @Test(
    "the largest order, with ten megabytes of documents, travels to a dispatcher and an agent",
    arguments: TestCluster.Kind.allCases)
  func largest(kind: TestCluster.Kind) async throws {
    let cluster = try TestCluster(kind)
    let monitor = try cluster.join(.monitor, "monitor-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    monitor.onCall { request throws(Failure) in request.body }
    let order = Self.largestOrder
    let task = TaskOrder(
      plan: "p", task: order.plan.tasks[0], conversation: order.conversation,
      inputs: (0..<PlanValidation.maximumInputs).map {
        TaskOrder.NamedInput(name: "\($0)", text: String(repeating: "y", count: 1 << 16))
      }, isSink: true, documents: order.documents, prefix: String(repeating: "z", count: 1 << 16))
    try await cluster.run([monitor, gateway]) {
      try await gateway.waitForPeers([.monitor], deadline: .seconds(20))
      for body in [Body.runPlan(order), .runTask(task)] {
        let answer = try await gateway.call(body, to: .service(.monitor), deadline: .seconds(60))
        #expect(answer == body)
      }
    }
  }

  @Test("leaving a stream cancels its handler", arguments: TestCluster.Kind.allCases)
  func cancel(kind: TestCluster.Kind) async throws {
    let cluster = try TestCluster(kind)
    let agent = try cluster.join(.agent(.code), "agent-code-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    let (cancelled, sawCancel) = AsyncStream.makeStream(of: Void.self)
    agent.onStream { _, writer throws(Failure) in
      try writer.send(.ack)
      let (forever, _) = AsyncStream.makeStream(of: Void.self)
      for await _ in forever {}
      if Task.isCancelled { sawCancel.finish() }
    }
    try await cluster.run([agent, gateway]) {
      try await gateway.waitForPeers([.agent(.code)], deadline: .seconds(20))
      for try await _ in gateway.stream(
        .hostTableRequest, to: .service(.agent(.code)), deadline: nil)
      { break }
      for await _ in cancelled {}
    }
  }

  @Test(
    "calls and streams to a peer that dies fail at once", arguments: TestCluster.Kind.allCases)
  func death(kind: TestCluster.Kind) async throws {
    let cluster = try TestCluster(kind)
    let planner = try cluster.join(.planner, "planner-1")
    let gateway = try cluster.join(.gateway, "gateway-1")
    let (asked, sawCall) = AsyncStream.makeStream(of: Void.self)
    planner.onCall { _ throws(Failure) in
      sawCall.finish()
      let (forever, _) = AsyncStream.makeStream(of: Void.self)
      for await _ in forever {}
      // The planner dies silently, because a cancelled handler never sends its answer.
      throw Failure(.peerLost, "died")
    }
    try await cluster.run([gateway]) {
      await withTaskGroup(of: Void.self) { callers in
        await withTaskGroup(of: Void.self) { dying in
          dying.addTask { try? await planner.run() }
          try? await gateway.waitForPeers([.planner], deadline: .seconds(20))
          callers.addTask {
            let failure = await #expect(throws: Failure.self) {
              try await gateway.call(
                .hostTableRequest, to: .service(.planner), deadline: .seconds(3_600))
            }
            #expect(failure?.code == .peerLost || failure?.code == .shuttingDown)
          }
          for await _ in asked {}
          dying.cancelAll()
        }
        await callers.waitForAll()
      }
    }
  }

  @Test("waiting for a service ends when the waiter is cancelled, before or while it waits")
  func cancelledWaiter() async throws {
    let cluster = try TestCluster(.loopback)
    let gateway = try cluster.join(.gateway, "gateway-1")
    try await cluster.run([gateway]) {
      for early in [true, false] {
        await withTaskGroup(of: Failure?.self) { group in
          if early { group.cancelAll() }
          group.addTask {
            do throws(Failure) {
              try await gateway.waitForPeers([.planner], deadline: .seconds(3_600))
              return nil
            } catch {
              return error
            }
          }
          while !early, gateway.waiters == 0 { await Task.yield() }
          group.cancelAll()
          #expect(await group.next()??.code == .cancelled)
        }
        #expect(gateway.waiters == 0)
      }
    }
  }

  @Test("a publication reaches every subscriber", arguments: TestCluster.Kind.allCases)
  func publication(kind: TestCluster.Kind) async throws {
    let cluster = try TestCluster(kind)
    let planner = try cluster.join(.planner, "planner-1")
    let (tables, got) = AsyncStream.makeStream(of: HostTable.self)
    planner.onPublish { body in if case .hostTable(let table) = body { got.yield(table) } }
    try await cluster.run([planner]) {
      // The subscriber may connect after the first publications, so the table is published
      // repeatedly.
      let published = HostTable(epoch: 1, revision: 9, hosts: [Host(id: "h", url: "http://h")])
      await withTaskGroup(of: Void.self) { group in
        group.addTask {
          while !Task.isCancelled {
            cluster.registry.publish(.hostTable(published))
            // A round trip lets the other Swift tasks run.
            _ = try? await planner.call(
              .hostTableRequest, to: .service(.registry), deadline: .seconds(5))
          }
        }
        for await table in tables {
          #expect(table == published)
          break
        }
        group.cancelAll()
      }
    }
  }
}

extension ConversationTests {
  @Test(
    "a table that no frame holds is refused where it is made, and the peers keep the one before")
  func largePublication() async throws {
    let cluster = try TestCluster(.ipc)
    let planner = try cluster.join(.planner, "planner-1")
    let (tables, got) = AsyncStream.makeStream(of: HostTable.self)
    planner.onPublish { body in if case .hostTable(let table) = body { got.yield(table) } }
    @Sendable func table(_ revision: UInt64, bytes: Int = 0, models: Int = 0) -> HostTable {
      var host = Host(id: "h", url: "http://h")
      host.reason = String(repeating: "x", count: bytes)
      host.models = (0..<models).map { _ in ModelOffer(id: "") }
      return HostTable(epoch: 1, revision: revision, hosts: [host])
    }
    try await cluster.run([planner]) {
      cluster.registry.publish(.hostTable(table(1)))
      cluster.registry.publish(.hostTable(table(2, bytes: 1 << 20)))
      cluster.registry.publish(.hostTable(table(3, models: 70_000)))
      cluster.registry.publish(.hostTable(table(4)))
      var revisions: [UInt64] = []
      for await table in tables {
        revisions.append(table.revision)
        if table.revision == 4 { break }
      }
      #expect(revisions == [1, 4])
      #expect(cluster.registry.dropped["publication_refused"] == 2)
    }
  }
}

extension Bus {
  /// Number of callers that wait for services.
  fileprivate var waiters: Int { state.withLock { $0.peerWaiters.count } }
}
