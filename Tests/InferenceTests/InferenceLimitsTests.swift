import ClusterModel
import ClusterTesting
import Inference
import InferenceCore
import Logging
import Testing

@Suite("The limits that a client is given", .timeLimit(.minutes(5)))
struct InferenceLimitsTests {
  @Test("no more attempts fail than the client allows", arguments: 1...3, [false, true])
  func failures(allowed: Int, isSetAtRunTime: Bool) async throws {
    let broken = FaultyHostConfiguration(faults: FaultyHostFaults(status: 500))
    let hosts = [
      try await FaultyHost.started(broken), try await .started(broken), try await .started(broken),
    ]
    let lines = hosts.enumerated().map { $1.host(HostID("h\($0)")) }
    var limits = InferenceLimits()
    limits.failures = isSetAtRunTime ? 6 : allowed
    let client = InferenceClient(
      hosts: { HostTable(epoch: 1, revision: 1, hosts: lines) }, inferenceLimits: limits,
      logger: Logger(label: "test"))
    var overrides = RuntimeOverrides()
    if isSetAtRunTime { overrides.set(.inferenceFailures, to: .integer(allowed)) }
    client.apply(overrides)
    let request = InferenceRequest(
      endpoint: .chatCompletions, model: "faulty-model",
      body: Array(#"{"model":"x","stream":true,"messages":[]}"#.utf8), stream: true,
      trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3)))
    await #expect(throws: Failure.self) {
      _ = try await client.infer(
        request, constraints: InferenceConstraints(race: .single, seed: 1))
    }
    #expect(hosts.map(\.counts.inferences).reduce(0, +) == allowed)
    try await client.shutdown()
    for host in hosts { try await host.stop() }
  }
}
