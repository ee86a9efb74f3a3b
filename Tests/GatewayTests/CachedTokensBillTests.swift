import Access
import BillingJournal
import Bus
import BusCore
import ClusterModel
import ClusterTesting
import Foundation
import GatewayCore
import Hummingbird
import Inference
import InferenceCore
import Logging
import Money
import OverloadCore
import Telemetry
import Testing

@testable import GatewayService

/// A request for a model whose prompt tokens cost 10 micro-credits, or 1 if they were cached. Its
/// completion tokens cost 2.
private struct CachedTokensRequest {
  static let model: ModelID = "faulty-model"

  let request: ClientRequest

  init(streaming: Bool) throws {
    let json =
      #"{"model":"\#(Self.model.name)","stream":\#(streaming),"max_tokens":50,"#
      + #""tutti":{"race":"single"},"messages":[{"role":"user","content":"hi"}]}"#
    request = try ClientRequest(parsing: Array(json.utf8), endpoint: .chatCompletions)
  }

  func payment(_ spending: Spending, _ table: HostTable = .empty) async throws -> Payment {
    let price = try TokenPrice(
      input: MicroCredits(10_000_000), cachedInput: MicroCredits(1_000_000),
      output: MicroCredits(2_000_000))
    let prices = try PriceTable(
      epoch: 1, revision: 1, unknown: .refuse,
      rows: [PriceRow(model: Self.model, effectiveFrom: 0, price: price)])
    let key = try #require(KeyID("abcdefghijkl"))
    return try await Payment(
      spending, key: key.description, model: Self.model,
      trace: TraceID(high: 1, low: 2),
      price: RequestPrice(of: [Self.model], in: prices, at: 1),
      bounds: request.bounds(models: [Self.model], table: table), isPlan: false,
      table: table)
  }

  /// The end of an answer of host `h` with 7 prompt tokens and 40 completion tokens.
  static func summary(cached: Int) -> InferenceSummary {
    InferenceSummary(
      host: "h", model: model,
      usage: Usage(promptTokens: 7, cachedTokens: cached, completionTokens: 40),
      finishReason: "stop", firstToken: .zero, total: .seconds(1),
      attempts: [
        AttemptRecord(
          host: "h", model: model, started: .zero, ended: .seconds(1), tokens: 40,
          outcome: .answered)
      ])
  }

  static let opening = InferenceOpening(
    host: "h", model: model, status: 200, firstToken: .zero, attempt: 1)
}

@Suite("Bills with cached prompt tokens", .timeLimit(.minutes(2)))
struct CachedTokensBillTests {
  private static let budget: Int64 = 1_000_000

  /// Answers one request with a faulty host and returns the settlement and the client's bytes.
  private func settle(
    of configuration: FaultyHostConfiguration, _ dialect: HostDialect, streaming: Bool
  ) async throws -> (settlement: Settlement, received: String) {
    let host = try await FaultyHost.started(configuration)
    var row = host.host("h")
    row.dialect = dialect
    let table = HostTable(epoch: 1, revision: 1, hosts: [row])
    let received = FakeClient.Received()
    let money = try MoneyCluster(budget: Self.budget)
    try await money.run { money in
      try await Self.answer(table, money.spending, streaming: streaming, to: received)
      try await money.wait { money.settlements.count == 1 }
    }
    try await host.stop()
    return (try #require(money.settlements.first), received.text)
  }

  private static func answer(
    _ table: HostTable, _ spending: Spending, streaming: Bool, to received: FakeClient.Received
  ) async throws {
    let configuration = BusConfiguration(
      service: .gateway, name: "gateway-1", addresses: .loopback(LoopbackNetwork(seed: 1)))
    let recorder = TelemetryRecorder(service: "gateway", instance: "gateway-1")
    let resources = try PlanCluster.resources(
      Bus(
        configuration: configuration, transport: try configuration.makeTransport(),
        logger: Logger(label: "test")), recorder, hosts: table.hosts)
    let request = try CachedTokensRequest(streaming: streaming)
    let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
    let admission = Admission(
      ClientShares(total: 10), memory: resources.memory, logger: Logger(label: "test"))
    var exchange = Exchange(
      request: request.request, journal: journal, reservation: try admission.admit(), hops: [],
      headers: [], seed: 1, rights: KeyRights(), client: "", ingress: journal.phase(.ingress))
    exchange.payment = try await request.payment(spending, table)
    let response = try await DirectAnswer(resources, exchange, CachedTokensRequest.model)
      .response()
    try await response.body.write(FakeClient(received: received))
    try await resources.inference.shutdown()
  }

  @Test(
    "the cached tokens that a host reports reach the settlement",
    arguments: [HostDialect.openai, .anthropic], [true, false])
  func settled(_ dialect: HostDialect, _ streaming: Bool) async throws {
    let (settlement, received) = try await settle(
      of: FaultyHostConfiguration(answer: .text("one two three"), cachedTokens: 5), dialect,
      streaming: streaming)
    // The host's prompt has 7 tokens.
    #expect(settlement.lease.billed == MicroCredits(2 * 10 + 5 * 1 + 3 * 2))
    let answer = try #require(settlement.answers.first)
    #expect(try answer.usage == TokenUsage(prompt: 7, cached: 5, completion: 3))
    #expect(answer.attempts.map(\.usage) == [answer.usage])
    #expect(settlement.price.cachedInput == MicroCredits(1_000_000))
    if !streaming {
      #expect(received.contains(#""prompt_tokens_details":{"cached_tokens":5}"#), "\(received)")
    }
  }

  @Test("a host that reports more cached tokens than its prompt has is billed for its prompt")
  func clamped() async throws {
    let (settlement, _) = try await settle(
      of: FaultyHostConfiguration(answer: .text("one two three"), cachedTokens: .max), .openai,
      streaming: true)
    #expect(settlement.lease.billed == MicroCredits(7 * 1 + 3 * 2))
    #expect(
      try settlement.answers.map(\.usage) == [TokenUsage(prompt: 7, cached: 7, completion: 3)])
  }

  @Test("a host that reports no cached tokens is billed at the full price")
  func unknown() async throws {
    let (settlement, _) = try await settle(
      of: FaultyHostConfiguration(answer: .text("one two three")), .openai, streaming: true)
    #expect(settlement.lease.billed == MicroCredits(7 * 10 + 3 * 2))
  }

  @Test("a client that leaves amid a large body pays no more for the prompt than one that stays")
  func left() async throws {
    try await MoneyCluster(budget: Self.budget).run { cluster in
      do {
        let payment = try await CachedTokensRequest(streaming: false).payment(cluster.spending)
        let whole = payment.bill(CachedTokensRequest.summary(cached: 5))
        #expect(whole.billed == MicroCredits(2 * 10 + 5 * 1 + 40 * 2))
        payment.began(by: CachedTokensRequest.opening)
        payment.wrote(20)
      }
      try await cluster.wait { cluster.settlements.count == 1 }
      let settlement = try #require(cluster.settlements.first)
      #expect(settlement.lease.billed == MicroCredits(2 * 10 + 5 * 1 + 20 * 2))
      #expect(settlement.answers.flatMap(\.attempts).map(\.usage.cached) == [5])
    }
  }

  @Test("after a crash, the journal has the cached tokens of a bill and of a part of a body")
  func recovered() async throws {
    let folder = FileManager.default.temporaryDirectory
      .appending(path: "tutti-cached-\(UUID().uuidString)")
    try FileManager.default.createDirectory(
      at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appending(path: "gateway-1.bills").path
    let copy = folder.appending(path: "copy.bills").path
    let opened = try BillingJournal.open(path: path, incarnation: 1, slots: 4)
    try await MoneyCluster(budget: Self.budget, journal: opened).run { cluster in
      let request = try CachedTokensRequest(streaming: false)
      let running = try await request.payment(cluster.spending)
      _ = running.bill(CachedTokensRequest.summary(cached: 5))
      running.began(by: CachedTokensRequest.opening)
      running.wrote(20)
      let ended = try await request.payment(cluster.spending)
      cluster.leave()
      ended.settle(ended.bill(CachedTokensRequest.summary(cached: 3)))
      // The file as a killed process leaves it.
      try FileManager.default.copyItem(atPath: path, toPath: copy)
      withExtendedLifetime(running) {}
    }
    let next = try BillingJournal.open(path: copy, incarnation: 2, slots: 4)
    let settlements = next.entries.compactMap { RecoveredBill.settlement(of: $0) }
      .sorted { $0.lease.number < $1.lease.number }
    #expect(settlements.map { $0.answers.map(\.usage.cached) } == [[3], [5]])
    #expect(
      settlements.map(\.lease.billed) == [
        MicroCredits(4 * 10 + 3 * 1 + 40 * 2), MicroCredits(2 * 10 + 5 * 1 + 20 * 2),
      ])
    let attempts = settlements.map { $0.answers.flatMap(\.attempts) }
    #expect(attempts.map { $0.map(\.role) } == [[.winner], [.winner]])
    #expect(attempts.map { $0.map(\.usage.cached) } == [[3], [5]])
  }
}
