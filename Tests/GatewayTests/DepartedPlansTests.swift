import Access
import Bus
import BusCore
import ClusterModel
import GatewayCore
import Hummingbird
import Money
import Synchronization
import Telemetry
import Testing

@testable import GatewayService

@Suite("Settlement of plans that a client has left", .timeLimit(.minutes(2)))
struct DepartedPlansTests {
  private static let model = ModelID("llama-3.1-8b")

  static func payment(_ spending: Spending) async throws -> Payment {
    let amount = MicroCredits(1_000_000)
    let price = try TokenPrice(input: amount, cachedInput: amount, output: amount)
    let table = try PriceTable(
      epoch: 1, revision: 1, unknown: .refuse,
      rows: [PriceRow(model: model, effectiveFrom: 0, price: price)])
    let request = try ClientRequest(
      parsing: Array(
        #"{"model":"tutti/ensemble","messages":[{"role":"user","content":"hi"}]}"#.utf8),
      endpoint: .chatCompletions)
    let id = try #require(KeyID("abcdefghijkl"))
    return try await Payment(
      spending, key: id.description, model: "tutti/ensemble", trace: TraceID(high: 1, low: 2),
      price: RequestPrice(of: [model], in: table, at: 1), bounds: RequestBounds(plan: request),
      isPlan: true, table: .empty)
  }

  /// A dispatcher that writes a part of the answer, sees the client leave, and is cancelled. Then
  /// it sends the tokens of the task.
  private static func script(_ client: FakeClient.Received) -> PlanCluster.Script {
    PlanCluster.Script { _, writer, cluster throws(Failure) in
      let began = TaskBegan(host: "a", model: Self.model, firstTokenMilliseconds: 1)
      try writer.send(.planEvent(.firstToken(task: "answer", began)))
      try writer.send(PlanCluster.delta("Hello "))
      while !client.text.contains("Hello "), !Task.isCancelled { await Task.yield() }
      client.leave()
      try writer.send(PlanCluster.delta("world, which the client does not read"))
      await Self.sendCostsWhenCancelled(to: cluster)
    }
  }

  /// The end of a dispatcher's script. It waits until the plan is cancelled.
  private static func sendCostsWhenCancelled(to cluster: PlanCluster) async {
    let never = AsyncStream.makeStream(of: Never.self)
    for await _ in never.stream {}
    guard let dispatch = cluster.dispatches.last, let trace = dispatch.trace else { return }
    let usage = Usage(promptTokens: 30, completionTokens: 11, estimated: true)
    let report = TaskReport(
      host: "a", model: "", usage: usage, firstTokenMilliseconds: 0, totalMilliseconds: 0,
      finishReason: "stop", output: "",
      inferences: [
        TaskInference(
          model: model, usage: usage,
          attempts: [PaidAttempt(host: "a", model: model, tokens: 11, outcome: .delivered)])
      ])
    cluster.resources.departures.receive(
      PlanCosts(trace: trace, dispatch: 1, tasks: [.init(task: "answer", report: report)]),
      from: dispatch.dispatcher)
  }

  @Test("the host of the answer is paid for its prompt and for the text that the client received")
  func running() async throws {
    let client = FakeClient.Received()
    let plans = try PlanCluster(scripts: [Self.script(client)])
    try await MoneyCluster(budget: 10_000_000).run { money in
      let payment = try await Self.payment(money.spending)
      try await plans.run { plans in
        let response = try await plans.answer(payment: payment).response()
        await #expect(throws: (any Error).self) {
          try await response.body.write(FakeClient(received: client))
        }
        try await money.wait { money.settlements.count == 1 }
      }
      let answers = money.settlements.flatMap(\.answers)
      #expect(answers.map(\.usage.prompt) == [30])
      let attempts = answers.flatMap(\.attempts)
      #expect(attempts.map(\.host) == ["a"] && attempts.map(\.role) == [.winner])
      #expect(attempts.map(\.usage.prompt) == [30])
      // The text is much shorter than the text that the host wrote.
      let written = try #require(answers.first?.usage.completion)
      #expect((1..<11).contains(written) && attempts.map(\.contributed) == [written])
      #expect(money.charged == 30 + written)
    }
  }

  @Test(
    "the tokens of tasks that were cancelled count against the limits of the key",
    arguments: [true, false])
  func keyLimits(isPaid: Bool) async throws {
    let key = try Self.limitedKey()
    let client = FakeClient.Received()
    let plans = try PlanCluster(scripts: [Self.script(client)])
    try await MoneyCluster(budget: 10_000_000).run { money in
      let payment = try await isPaid ? Self.payment(money.spending) : nil
      try await plans.run { plans in
        let gate = plans.resources.keys
        let answer = try plans.answer(rights: KeyRights(key), payment: payment)
        answer.exchange.journal.record(try gate.admit(KeyRights(key), tokens: 100))
        let response = try await answer.response()
        await #expect(throws: (any Error).self) {
          try await response.body.write(FakeClient(received: client))
        }
        @Sendable func remaining(_ limit: RateLimit) -> [Int] {
          gate.remainders(for: key).filter { $0.limit == limit }.map(\.remaining)
        }
        // The prompt has 30 tokens, and the host wrote 11.
        try await money.wait { remaining(.tokensPerDay) == [1_000 - 41] }
        #expect(remaining(.concurrentRequests) == [1])
      }
    }
  }

  @Test(
    "the record of a plan that a client has left has the tokens of its hosts, also without a key")
  func record() async throws {
    let client = FakeClient.Received()
    let plans = try PlanCluster(scripts: [Self.script(client)])
    try await plans.run { plans in
      let response = try await plans.answer().response()
      await #expect(throws: (any Error).self) {
        try await response.body.write(FakeClient(received: client))
      }
      var batches: [TelemetryBatch] = []
      while batches.flatMap(\.requests).isEmpty, !Task.isCancelled {
        batches += plans.recorder.drain()
        await Task.yield()
      }
      let record = try #require(batches.flatMap(\.requests).first)
      #expect(record.status == 499)
      #expect(record.usage.promptTokens == 30 && record.usage.completionTokens == 11)
      // The host has neither a credential nor a price, so it is free.
      #expect(
        record.shares == [
          HostShare(
            host: "a", model: Self.model, promptTokens: 30, completionTokens: 11, cost: .zero)
        ])
      #expect(record.hostCost == .zero && record.cost == nil)
      let accounting = try #require(
        batches.flatMap(\.spans).first { $0.name == LifecyclePhase.accounting.rawValue })
      #expect(accounting.attributes.contains(Attribute("completion_tokens", "11")))
    }
  }

  static func limitedKey() throws -> KeyRecord {
    KeyRecord(
      id: try #require(KeyID("abcdefghijkl")), name: "k",
      account: try #require(AccountPath("acme")),
      hash: try #require(KeyHash([UInt8](repeating: 1, count: 32))), scopes: [.chat],
      limits: KeyLimits(tokensPerDay: 1_000, concurrentRequests: 1))
  }

  @Test(
    "the tokens of cancelled tasks count, and cost nothing, if the answer was not streamed",
    arguments: [true, false])
  func wholeAnswer(isPaid: Bool) async throws {
    let key = try Self.limitedKey()
    let script = PlanCluster.Script { _, writer, cluster throws(Failure) in
      try writer.send(PlanCluster.delta("Hello "))
      await Self.sendCostsWhenCancelled(to: cluster)
    }
    let plans = try PlanCluster(scripts: [script])
    try await MoneyCluster(budget: 10_000_000).run { money in
      let payment = try await isPaid ? Self.payment(money.spending) : nil
      try await plans.run { plans in
        let gate = plans.resources.keys
        let answer = try plans.answer(streaming: false, rights: KeyRights(key), payment: payment)
        answer.exchange.journal.record(try gate.admit(KeyRights(key), tokens: 100))
        let request = Task { _ = try await answer.response() }
        try await money.wait { answer.exchange.journal.times.firstToken != nil }
        // The client leaves.
        request.cancel()
        await #expect(throws: (any Error).self) { try await request.value }
        @Sendable func remaining(_ limit: RateLimit) -> [Int] {
          gate.remainders(for: key).filter { $0.limit == limit }.map(\.remaining)
        }
        // The prompt has 30 tokens, and the host wrote 11.
        try await money.wait { remaining(.tokensPerDay) == [1_000 - 41] }
        #expect(remaining(.concurrentRequests) == [1])
      }
      #expect(money.charged == 0)
    }
  }

  private final class Settlements: Sendable {
    private let hadCosts = Mutex<[Bool]>([])

    var list: [Bool] { hadCosts.withLock { $0 } }

    func add(_ costs: PlanCosts?) { hadCosts.withLock { $0.append(costs != nil) } }
  }

  @Test("a plan that waits for its dispatcher is settled when the gateway shuts down")
  func shutdown() async throws {
    let departed = DepartedPlans()
    let settlements = Settlements()
    let dispatcher = PeerID(name: "dispatcher-1", incarnation: 1)
    let dispatch = PlanDispatch(dispatcher: dispatcher, number: 1)
    let traces = (1...3 as ClosedRange<UInt64>).map { TraceID(high: 0, low: $0) }
    for trace in traces { departed.begin(trace) }
    departed.leave(traces[0], dispatch) { settlements.add($0) }
    departed.leave(traces[1], dispatch) { settlements.add($0) }
    departed.receive(PlanCosts(trace: traces[0], dispatch: 1, tasks: []), from: dispatcher)
    departed.receive(PlanCosts(trace: traces[0], dispatch: 1, tasks: []), from: dispatcher)
    #expect(settlements.list == [true])
    try await withThrowingTaskGroup(of: Void.self) { group in
      group.addTask { try await departed.run() }
      group.cancelAll()
      try await group.waitForAll()
    }
    #expect(settlements.list == [true, false])
    // After the shutdown, no plan waits.
    departed.leave(traces[2], dispatch) { settlements.add($0) }
    #expect(settlements.list == [true, false, false])
  }
}
