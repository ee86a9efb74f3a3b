import AnswerTesting
import ClusterModel
import ClusterTesting
import Inference
import InferenceCore
import Testing

@Suite("Requests to hosts that refuse an addition", .timeLimit(.minutes(2)))
struct RefusedAdditionsTests {
  private let constraints = InferenceConstraints(seed: 1)

  private func body(_ request: FaultyHostRequest?) -> String {
    String(decoding: request?.body ?? [], as: UTF8.self)
  }

  /// Runs `test` with one host and a new client.
  private func withHost(
    _ configuration: FaultyHostConfiguration = FaultyHostConfiguration(),
    _ test: (FaultyHost, InferenceClient) async throws -> Void
  ) async throws {
    let host = try await FaultyHost.started(configuration)
    let client = SocketHosts(hosts: [host]).client()
    try await test(host, client)
    try await client.shutdown()
    try await host.stop()
  }

  @Test("a client that does not stream is asked for in its own bytes")
  func ownBytes() async throws {
    try await withHost { host, client in
      let request = SocketHosts.request("Hi", stream: false, extra: #","odd" : [1, 2.50]"#)
      let told = await SocketHosts.ask(client, request, constraints)
      #expect(told.failure == nil && !told.received.content.isEmpty)
      #expect(host.requests.map(body) == [String(decoding: request.body, as: UTF8.self)])
      #expect(told.summary?.usage.estimated == false)
    }
  }

  @Test("a host that refuses an addition answers all the same, and is not asked so again")
  func refused() async throws {
    try await withHost { host, client in
      host.faults = FaultyHostFaults(
        status: 422,
        statusBody:
          #"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted"}]}"#,
        remaining: 1)
      for _ in 0..<2 {
        let told = await SocketHosts.ask(
          client, SocketHosts.request("Hi", stream: true), constraints)
        #expect(told.failure == nil && !told.received.content.isEmpty)
      }
      #expect(host.requests.map { body($0).contains("stream_options") } == [true, false, false])
    }
  }

  @Test("the status of a host, its members and its wait are the failure's")
  func status() async throws {
    try await withHost { host, client in
      host.faults = FaultyHostFaults(
        status: 429,
        statusBody:
          #"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#,
        retryAfter: 7)
      let told = await SocketHosts.ask(
        client, SocketHosts.request("Hi", stream: true), constraints)
      #expect(told.failure?.code == .rateLimited && told.failure?.retryAfter == .seconds(7))
      #expect(told.failure?.refusal?.status == 429)
      #expect(
        told.failure?.refusal?.members.map(\.name) == ["type", "code"], "\(told.failure as Any)")
    }
  }

  @Test("headers of the client reach the host, and never in place of its own")
  func headers() async throws {
    try await withHost { host, client in
      var request = SocketHosts.request("Hi", stream: true)
      request.headers = [
        .init("openai-project", "p"), .init("user-agent", "x/1"), .init("content-type", "text/odd"),
      ]
      let told = await SocketHosts.ask(client, request, constraints)
      #expect(told.failure == nil)
      let sent = host.requests.last?.headers
      #expect(sent?["openai-project"] == "p" && sent?["user-agent"] == "x/1")
      #expect(sent?["content-type"] == "application/json")
    }
  }
}
