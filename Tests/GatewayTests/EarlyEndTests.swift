import Access
import Bus
import BusCore
import ClusterModel
import ClusterTesting
import GatewayCore
import Hummingbird
import Inference
import InferenceCore
import Logging
import OverloadCore
import Telemetry
import Testing

@testable import GatewayService

@Suite("Records of answers that ended early", .timeLimit(.minutes(2)))
struct EarlyEndTests {
  private static let model: ModelID = "faulty-model"

  @Test("a client that leaves amid a stream has a record with its host's tokens, cost and attempt")
  func stream() async throws {
    let host = try await FaultyHost.started(FaultyHostConfiguration())
    let gate = host.hold(.afterToken(4))
    var row = host.host("h")
    // A token costs a millionth of a credit.
    row.price = HostPrice(input: 0, output: 1_000_000)
    let recorder = TelemetryRecorder(service: "gateway", instance: "gateway-1")
    let configuration = BusConfiguration(
      service: .gateway, name: "gateway-1", addresses: .loopback(LoopbackNetwork(seed: 1)))
    let resources = try PlanCluster.resources(
      Bus(
        configuration: configuration, transport: try configuration.makeTransport(),
        logger: Logger(label: "test")), recorder, hosts: [row])
    let json =
      #"{"model":"faulty-model","stream":true,"max_tokens":50,"tutti":{"race":"single"},"#
      + #""messages":[{"role":"user","content":"hi"}]}"#
    let request = try ClientRequest(parsing: Array(json.utf8), endpoint: .chatCompletions)
    let admission = Admission(
      ClientShares(total: 10), memory: resources.memory, logger: Logger(label: "test"))
    let journal = RequestJournal("/v1/chat/completions", recorder: recorder)
    let exchange = Exchange(
      request: request, journal: journal, reservation: try admission.admit(), hops: [],
      headers: [], seed: 1, rights: KeyRights(), client: "", ingress: journal.phase(.ingress))
    let response = try await DirectAnswer(resources, exchange, Self.model).response()
    let received = FakeClient.Received()
    await withTaskGroup(of: Void.self) { group in
      group.addTask { try? await response.body.write(FakeClient(received: received)) }
      await gate.reached()
      while received.events.isEmpty, !Task.isCancelled { await Task.yield() }
      received.leave()
      gate.open()
      await group.waitForAll()
    }
    let batches = recorder.drain()
    let record = try #require(batches.flatMap(\.requests).first)
    #expect(record.status == 499 && record.host == "h" && record.finishReason.isEmpty)
    let tokens = record.usage.completionTokens
    #expect(tokens > 0 && record.usage.promptTokens > 0)
    #expect(record.shares.map(\.host) == ["h"])
    #expect(record.shares.map(\.completionTokens) == [tokens])
    #expect(record.hostCost == CreditAmount(millionths: Int64(tokens)))
    let span = try #require(
      batches.flatMap(\.spans).first { $0.name == LifecyclePhase.request.rawValue })
    #expect(AttemptFacts.all(in: span.attributes).map(\.outcome) == ["consumer_left"])
    try await resources.inference.shutdown()
    try await host.stop()
  }
}
