import Access
import BillingJournal
import ClusterModel
import Foundation
import GatewayCore
import HTTPTypes
import Hummingbird
import InferenceCore
import Limits
import Money
import NIOCore
import Testing

@testable import GatewayService

@Suite("Money of requests", .timeLimit(.minutes(2)))
struct SpendingTests {
  private static func cost(_ worst: Int64, minimum: Int64? = nil) -> RequestCost {
    RequestCost(minimum: MicroCredits(minimum ?? worst), worst: MicroCredits(worst))
  }

  private static func settle(
    _ hold: Spending.Hold, _ billed: Int64, in spending: Spending
  ) {
    spending.settle(hold.request, billed: MicroCredits(billed), nil) { lease in
      Settlement(
        lease: lease, trace: "", model: "m", admittedAt: 0, price: .free, answers: [])
    }
  }

  private static func payment(
    _ spending: Spending, output: Int64 = 1_000_000, table: HostTable = .empty
  ) async throws -> Payment {
    let price = try TokenPrice(
      input: .zero, cachedInput: .zero, output: MicroCredits(output))
    let prices = try PriceTable(
      epoch: 1, revision: 1, unknown: .refuse,
      rows: [PriceRow(model: "m", effectiveFrom: 0, price: price)])
    let request = try ClientRequest(
      parsing: Array(
        #"{"model":"m","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}"#.utf8),
      endpoint: .chatCompletions)
    let id = try #require(KeyID("abcdefghijkl"))
    return try await Payment(
      spending, key: id.description,
      model: "m", trace: TraceID(high: 1, low: 2),
      price: RequestPrice(of: ["m"], in: prices, at: 1),
      bounds: request.bounds(models: ["m"], table: HostTable(epoch: 1, revision: 1, hosts: [])),
      isPlan: false, table: table)
  }

  /// A folder with the journal of a gateway, which is removed at the end.
  private final class Scratch: Sendable {
    private let folder = FileManager.default.temporaryDirectory
      .appending(path: "tutti-bills-\(UUID().uuidString)")

    init() throws {
      try FileManager.default.createDirectory(
        at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    var path: String { folder.appending(path: "gateway-1.bills").path }
    var copyPath: String { folder.appending(path: "copy.bills").path }

    /// Copies the journal as it is now.
    func copy() throws {
      try FileManager.default.copyItem(atPath: path, toPath: copyPath)
    }
  }

  /// The beginning of an answer by a host, which names its model `real`.
  private static func opening(_ host: HostID) -> InferenceOpening {
    InferenceOpening(
      host: host, model: "m", status: 200, firstToken: .zero, attempt: 1, hostModel: "real")
  }

  /// The bill of an answer of host `h`.
  private static func bill(
    _ payment: Payment, prompt: Int = 0, completion: Int
  ) -> RequestBill {
    var delivered = DeliveredAnswer()
    delivered.begin(by: "h", "m", as: "m", tier: .community)
    delivered.wrote(completion)
    return RequestBill(
      delivered, of: "m", prompt: prompt, price: payment.price, hold: payment.hold)
  }

  @Test("of 200 requests at once exactly those are paid that the budget affords")
  func crowd() async throws {
    // The test may run on a busy machine and does not measure patience, so the time is long.
    try await MoneyCluster(budget: 200, patience: .seconds(600)).run { cluster in
      let paid = await withTaskGroup(of: Bool.self) { group in
        for _ in 0..<200 {
          group.addTask {
            do throws(Failure) {
              let hold = try await cluster.spending.hold(Self.cost(10), for: MoneyCluster.key)
              await Task.yield()
              Self.settle(hold, 10, in: cluster.spending)
              return true
            } catch {
              #expect(error.code == .budgetExhausted && error.message.contains("day-calendar"))
              return false
            }
          }
        }
        return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      #expect(paid == 20)
      try await cluster.wait { cluster.settlements.count == 20 }
      #expect(cluster.charged == 200)
    }
  }

  @Test("requests that cost less than their holds make room for others")
  func cheap() async throws {
    try await MoneyCluster(budget: 100).run { cluster in
      await withTaskGroup(of: Void.self) { group in
        for _ in 0..<20 {
          group.addTask {
            let hold = try? await cluster.spending.hold(
              Self.cost(50, minimum: 1), for: MoneyCluster.key)
            #expect(hold != nil)
            if let hold { Self.settle(hold, 5, in: cluster.spending) }
          }
        }
      }
      try await cluster.wait { cluster.settlements.count == 20 }
      #expect(cluster.charged == 100)
    }
  }

  @Test("an answer is cut at the last affordable token")
  func cut() async throws {
    try await MoneyCluster(budget: 7).run { cluster in
      let payment = try await Self.payment(cluster.spending)
      #expect(payment.isCut && payment.tokens == 7 && payment.hold == MicroCredits(7))
    }
  }

  @Test("money of a preview is free at once and costs nothing")
  func preview() async throws {
    try await MoneyCluster(budget: 7).run { cluster in
      let first = try await Self.payment(cluster.spending)
      first.release()
      let second = try await Self.payment(cluster.spending)
      #expect(first.tokens == 7 && second.tokens == 7)
      second.release()
      try await cluster.wait { cluster.settlements.count == 2 }
      #expect(cluster.charged == 0)
    }
  }

  @Test("the headers of an answer that is cut name the budget and its reset")
  func cutHeaders() async throws {
    try await MoneyCluster(budget: 7).run { cluster in
      let trace = TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(1))
      let payment = try await Self.payment(cluster.spending)
      let response = Response(events: trace, paidBy: payment) { _ in }
      #expect(response.headers[.affordableTokens] == "7")
      #expect(
        response.headers[.limitingBudget]
          == "key/abcdefghijkl/day-calendar; resets=1970-01-01T00:00:00Z")
    }
    try await MoneyCluster(budget: 100).run { cluster in
      let trace = TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(1))
      let payment = try await Self.payment(cluster.spending)
      let response = Response(events: trace, paidBy: payment) { _ in }
      #expect(payment.cut == nil)
      #expect(response.headers[.affordableTokens] == nil)
      #expect(response.headers[.limitingBudget] == nil)
    }
  }

  @Test("a client that leaves pays for the tokens that were written to its socket")
  func left() async throws {
    try await MoneyCluster(budget: 100).run { cluster in
      do {
        let payment = try await Self.payment(cluster.spending)
        payment.began(by: Self.opening("h"))
        payment.wrote(3)
        payment.wrote(9)
      }
      try await cluster.wait { cluster.settlements.count == 1 }
      let settlement = try #require(cluster.settlements.first)
      #expect(settlement.lease.billed == MicroCredits(9))
      #expect(settlement.answers.first?.attempts.map(\.host) == ["h"])
      // A host earns the price of its own model.
      #expect(settlement.model == "m" && settlement.answers.first?.attempts.first?.model == "real")
    }
  }

  @Test("a settlement has the hosts' own prices at the admission")
  func hostPrices() async throws {
    try await MoneyCluster(budget: 100).run { cluster in
      let hosts = [
        Host(
          id: "a", url: "http://a", state: .ready, price: HostPrice(input: 1, output: 3_000_000)),
        Host(id: "b", url: "http://b", credential: "env:A", state: .ready),
      ]
      do {
        let payment = try await Self.payment(
          cluster.spending, table: HostTable(epoch: 1, revision: 1, hosts: hosts))
        for (index, host) in ["a", "b", "unknown"].enumerated() {
          payment.began(by: Self.opening(HostID(host)))
          payment.wrote(3 * (index + 1))
        }
      }
      try await cluster.wait { cluster.settlements.count == 1 }
      let attempts = try #require(cluster.settlements.first?.answers.first?.attempts)
      #expect(attempts.map(\.host) == ["a", "b", "unknown"])
      #expect(
        attempts.map { $0.hostPrice?.output.count } == [3 * MicroCredits.perCredit, 0, nil])
    }
  }

  @Test("a client that leaves pays each host whose text it received")
  func leftAfterFailover() async throws {
    try await MoneyCluster(budget: 100).run { cluster in
      do {
        let payment = try await Self.payment(cluster.spending)
        payment.began(by: Self.opening("a"))
        payment.wrote(3)
        payment.began(by: Self.opening("b"))
        payment.wrote(9)
      }
      try await cluster.wait { cluster.settlements.count == 1 }
      let answer = try #require(cluster.settlements.first?.answers.first)
      #expect(answer.usage.completion == 9)
      #expect(answer.attempts.map(\.host) == ["a", "b"])
      #expect(answer.attempts.map(\.role) == [.failed, .continued])
      #expect(answer.attempts.map(\.contributed) == [3, 6])
    }
  }

  @Test("a client that leaves pays no host for more tokens than it was asked for")
  func leftEndlessHost() async throws {
    try await MoneyCluster(budget: 100).run { cluster in
      do {
        let payment = try await Self.payment(cluster.spending)
        payment.began(by: Self.opening("h"))
        // The host writes far more than the request's `max_tokens` of 50.
        payment.wrote(1_000_000)
      }
      try await cluster.wait { cluster.settlements.count == 1 }
      let answer = try #require(cluster.settlements.first?.answers.first)
      #expect(answer.usage.completion == 50)
      #expect(answer.attempts.map(\.usage.completion) == [50])
    }
  }

  /// A client that receives some pieces of a body, then leaves.
  private struct LeavingClient: ResponseBodyWriter {
    var pieces: Int

    mutating func write(_ buffer: ByteBuffer) async throws {
      guard pieces > 0 else { throw CancellationError() }
      pieces -= 1
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
  }

  @Test("a client that leaves amid a large body pays for the part that it received")
  func partOfBody() async throws {
    try await MoneyCluster(budget: 100).run { cluster in
      try await PlanCluster(scripts: []).run { plans in
        var exchange = try plans.answer(streaming: false).exchange
        let payment = try await Self.payment(cluster.spending)
        exchange.payment = payment
        let bill = Self.bill(payment, completion: 40)
        let body = [UInt8](repeating: UInt8(ascii: " "), count: 4 * Limits.heavyBytes.value)
        let response = try exchange.response(body, bill: bill)
        await #expect(throws: CancellationError.self) {
          try await response.body.write(LeavingClient(pieces: 2))
        }
      }
      try await cluster.wait { cluster.settlements.count == 1 }
      #expect(cluster.settlements.first?.lease.billed == MicroCredits(20))
    }
  }

  @Test("a request that was not answered costs nothing")
  func unanswered() async throws {
    try await MoneyCluster(budget: 100).run { cluster in
      do { _ = try await Self.payment(cluster.spending) }
      try await cluster.wait { cluster.settlements.count == 1 }
      #expect(cluster.charged == 0)
    }
  }

  @Test("a registry that is away is no empty budget, and the client may ask again")
  func away() async throws {
    try await MoneyCluster(budget: 100, patience: .milliseconds(1)).run { cluster in
      cluster.leave()
      let failure = await #expect(throws: Failure.self) {
        try await cluster.spending.hold(Self.cost(10), for: MoneyCluster.key)
      }
      #expect(failure?.code == .overloaded && failure?.retryAfter == .seconds(1))
    }
  }

  @Test("prices are requested until the registry answers, and models of one without any are free")
  func prices() async throws {
    try await MoneyCluster(budget: 10).run { cluster in
      let running = Task { try await cluster.spending.run() }
      try await cluster.wait { cluster.spending.hasPrices }
      running.cancel()
      _ = try? await running.value
      #expect(try cluster.spending.priceTable().unknown == .free)
      #expect(cluster.priceRequests == 3)
    }
  }

  @Test("a client that leaves while it waits for money takes none")
  func waiting() async throws {
    try await MoneyCluster(budget: 10).run { cluster in
      let first = try await cluster.spending.hold(Self.cost(10), for: MoneyCluster.key)
      let second = Task {
        try await cluster.spending.hold(Self.cost(10), for: MoneyCluster.key)
      }
      second.cancel()
      let failure = await #expect(throws: Failure.self) { try await second.value }
      #expect(failure?.code == .cancelled)
      Self.settle(first, 0, in: cluster.spending)
      _ = try await cluster.spending.hold(Self.cost(10), for: MoneyCluster.key)
    }
  }

  @Test("a bill that the registry did not confirm is settled by the next process, as it was")
  func unconfirmed() async throws {
    let scratch = try Scratch()
    let opened = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 4)
    try await MoneyCluster(budget: 100, journal: opened).run { cluster in
      let payment = try await Self.payment(cluster.spending)
      cluster.leave()
      // As for an answer in one body, nothing is recorded before the bill is settled.
      payment.settle(Self.bill(payment, prompt: 30, completion: 9))
      // A process that is killed now leaves this file.
      try scratch.copy()
    }
    let next = try BillingJournal.open(path: scratch.copyPath, incarnation: 2, slots: 4)
    let entry = try #require(next.entries.first)
    let settlement = try #require(RecoveredBill.settlement(of: entry))
    #expect(settlement.lease.billed == MicroCredits(9) && settlement.lease.number == 1)
    #expect(settlement.answers.first?.usage == (try TokenUsage(prompt: 30, completion: 9)))
    #expect(settlement.answers.first?.attempts.map(\.host) == ["h"])
  }

  @Test("after a crash, each host earns the price of its own model, in its own part")
  func recoveredHosts() async throws {
    let scratch = try Scratch()
    let opened = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 4)
    try await MoneyCluster(budget: 300, journal: opened).run { cluster in
      let running = try await Self.payment(cluster.spending)
      running.began(by: Self.opening("a"))
      running.wrote(3)
      running.began(by: Self.opening("b"))
      running.wrote(9)
      let ended = try await Self.payment(cluster.spending)
      cluster.leave()
      var trace = PlanTrace(
        Plan(
          id: PlanID("p"), pattern: "tutti/ensemble",
          tasks: [PlanTask(id: "x", role: .research), PlanTask(id: "y", role: .reasoning)],
          sink: "y", seed: 1, deadline: .seconds(9)))
      for (task, model) in [("x", ModelID("m")), ("y", "n")] as [(TaskID, ModelID)] {
        trace.record(
          .ended(
            TaskEnded(
              task: task, role: .research, agent: "agent", status: .done,
              report: TaskReport(
                host: "h", model: model, usage: Usage(promptTokens: 3, completionTokens: 4),
                firstTokenMilliseconds: 1, totalMilliseconds: 2, finishReason: "stop",
                output: "o"))))
      }
      ended.settle(
        RequestBill(
          plan: trace, model: "tutti/ensemble", written: 4, price: ended.price,
          hold: ended.hold))
      // A process that is killed now leaves this file.
      try scratch.copy()
      withExtendedLifetime(running) {}
    }
    let next = try BillingJournal.open(path: scratch.copyPath, incarnation: 2, slots: 4)
    let settlements = next.entries.compactMap { RecoveredBill.settlement(of: $0) }
      .sorted { $0.lease.number < $1.lease.number }
    let attempts = settlements.map { $0.answers.flatMap(\.attempts) }
    #expect(attempts.map { $0.map(\.host) } == [["h", "h"], ["a", "b"]])
    #expect(attempts.map { $0.map(\.model) } == [["m", "n"], ["real", "real"]])
    #expect(attempts.map { $0.map(\.role) } == [[.winner, .continued], [.failed, .continued]])
    #expect(attempts.map { $0.map(\.contributed) } == [[4, 4], [3, 6]])
  }

  @Test("after a crash, hosts that delivered no token are not among the hosts of an answer")
  func recoveredWithoutToken() async throws {
    let scratch = try Scratch()
    let opened = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 4)
    try await MoneyCluster(budget: 100, journal: opened).run { cluster in
      let unanswered = try await Self.payment(cluster.spending)
      unanswered.began(by: Self.opening("a"))
      let resumed = try await Self.payment(cluster.spending)
      resumed.began(by: Self.opening("a"))
      resumed.wrote(3)
      resumed.began(by: Self.opening("b"))
      resumed.wrote(3)
      // A process that is killed now leaves this file.
      try scratch.copy()
      withExtendedLifetime((unanswered, resumed)) {}
    }
    let next = try BillingJournal.open(path: scratch.copyPath, incarnation: 2, slots: 4)
    let settlements = next.entries.compactMap { RecoveredBill.settlement(of: $0) }
      .sorted { $0.lease.billed < $1.lease.billed }
    #expect(settlements.map(\.lease.billed) == [.zero, MicroCredits(3)])
    let attempts = settlements.map { $0.answers.flatMap(\.attempts) }
    #expect(attempts.map { $0.map(\.host) } == [[], ["a"]])
    #expect(attempts.map { $0.map(\.role) } == [[], [.winner]])
    #expect(attempts.map { $0.map(\.contributed) } == [[], [3]])
  }

  @Test("after a crash within a plan's answer, each host is paid for its part")
  func recoveredPlan() async throws {
    let scratch = try Scratch()
    let opened = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 4)
    try await MoneyCluster(budget: 100, journal: opened).run { cluster in
      let running = try await Self.payment(cluster.spending)
      running.began(by: TaskBegan(host: "a", model: "m", firstTokenMilliseconds: 1))
      running.wrote(3)
      running.began(by: TaskBegan(host: "b", model: "m", firstTokenMilliseconds: 1))
      running.wrote(9)
      // A process that is killed now leaves this file.
      try scratch.copy()
      withExtendedLifetime(running) {}
    }
    let next = try BillingJournal.open(path: scratch.copyPath, incarnation: 2, slots: 4)
    let entry = try #require(next.entries.first)
    let settlement = try #require(RecoveredBill.settlement(of: entry))
    let attempts = settlement.answers.flatMap(\.attempts)
    #expect(attempts.map(\.host) == ["a", "b"])
    #expect(attempts.map(\.role) == [.failed, .continued])
    #expect(attempts.map(\.contributed) == [3, 6])
  }

  @Test("after a crash, a running answer gets no number of an answer without an entry")
  func numberWithoutEntry() async throws {
    let scratch = try Scratch()
    let opened = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 4)
    try await MoneyCluster(budget: 200, journal: opened).run { cluster in
      let payment = try await Self.payment(cluster.spending)
      let hold = try await cluster.spending.hold(Self.cost(10), for: .key("abcdefghijkl"))
      Self.settle(hold, 10, in: cluster.spending)
      // A process that is killed now leaves this file.
      try scratch.copy()
      payment.settle(Self.bill(payment, prompt: 30, completion: 9))
    }
    let next = try BillingJournal.open(path: scratch.copyPath, incarnation: 2, slots: 4)
    #expect(next.entries.map(\.settlement) == [2])
  }

  @Test("the journal of a killed gateway is settled once")
  func killed() async throws {
    let scratch = try Scratch()
    do {
      let journal = try BillingJournal.open(path: scratch.path, incarnation: 1, slots: 4).journal
      for (id, tokens) in [("1/a", 4), ("2/b", 0)] {
        var bill = try journal.begin(
          BilledRequest(
            id: id, keyID: "abcdefghijkl", leaseID: "gateway-1#1/1", model: "m", admittedAt: 1,
            inputPrice: .zero, cachedInputPrice: .zero, outputPrice: MicroCredits(1_000_000),
            hold: MicroCredits(50)))
        let host = bill.addHost("h", "m", .winner)
        bill.record(
          completionTokens: tokens, made: tokens, contributed: tokens, by: host)
        // The bill is dropped without an end, as by a killed process.
        _ = consume bill
      }
    }
    let opened = try BillingJournal.open(path: scratch.path, incarnation: 2, slots: 4)
    #expect(opened.journal.usedSlots == 2)
    try await MoneyCluster(budget: 100, journal: opened).run { cluster in
      try await cluster.wait { opened.journal.usedSlots == 0 }
      #expect(cluster.settlements.map(\.lease.billed) == [MicroCredits(4), .zero])
      #expect(cluster.settlements.map(\.trace) == ["a", "b"])
      let old = PeerID(name: "gateway-1", incarnation: 1)
      #expect(cluster.settlements.allSatisfy { $0.lease.lease.gateway == old })
    }
  }
}
