import AsyncHTTPClient
import ClusterTesting
import Foundation
import NIOCore
import NIOHTTP1
import Testing

extension ProcessTests {
  @Suite(
    "Hosts that fall silent, as clients and operators see them", .serialized,
    .cluster { try await RunningCluster.start(.faulty(FaultyHosts.two())) })
  struct SilentHostTests {
    @Test("an ensemble waits for a silent host no longer than its limit")
    func ensemble() async throws {
      let cluster = try RunningCluster.current()
      guard case .faulty(let hosts) = cluster.hosts else { return }
      // Each host sends two words of its first answer and stalls. The default timeout of a new host
      // is 30 s.
      for host in hosts { host.faults = FaultyHostFaults(stallAtToken: 2, remaining: 1) }
      defer { for host in hosts { host.faults = .none } }
      let (status, body) = try await RawChat.whole(
        cluster, model: "tutti/ensemble",
        #"{"trace":true,"race":"single","deadlines_ms":{"inter_token":500,"total":25000}}"#)
      #expect(status == 200, "\(body)")
      #expect(body.contains(FaultyHosts.answer), "\(body)")
    }

    @Test("an operator sees every attempt of an answer, and how busy each host is")
    func attempts() async throws {
      let cluster = try RunningCluster.current()
      guard case .faulty(let hosts) = cluster.hosts else { return }
      for host in hosts { host.faults = FaultyHostFaults(stallAtToken: 2, remaining: 1) }
      defer { for host in hosts { host.faults = .none } }
      let (status, body) = try await RawChat.whole(
        cluster, model: FaultyHosts.model,
        #"{"trace":true,"race":"single","deadlines_ms":{"inter_token":500}}"#)
      #expect(status == 200, "\(body)")
      struct Answer: Decodable {
        struct Extension: Decodable {
          struct Attempt: Decodable {
            let host: String, role: String, outcome: String
          }
          let traceID: String
          let attempts: [Attempt]
          enum CodingKeys: String, CodingKey {
            case attempts
            case traceID = "trace_id"
          }
        }
        let tutti: Extension
      }
      let told = try JSONDecoder().decode(Answer.self, from: Data(body.utf8)).tutti
      #expect(told.attempts.map(\.role).prefix(2) == ["first", "resumption"], "\(body)")
      #expect(told.attempts.first?.outcome == "stall" && told.attempts.last?.outcome == "answered")
      let shown = try await eventually("the monitor has the trace") { () -> String? in
        let outcome = try await cluster.tutti("trace", told.traceID)
        return outcome.output.contains("attempt 1") ? outcome.output : nil
      }
      #expect(shown.contains("\(told.attempts[0].host) first stall, "), "\(shown)")
      #expect(shown.contains(" resumption answered, "), "\(shown)")

      struct Hosts: Decodable {
        struct Line: Decodable {
          struct Load: Decodable {
            let firstTokenP95: Int?
            enum CodingKeys: String, CodingKey { case firstTokenP95 = "first_token_p95_ms" }
          }
          let load: Load?
        }
        let data: [Line]
      }
      _ = try await eventually("first tokens are reported") { () -> Bool? in
        let list = try await cluster.tutti("hosts", "list", "--json")
        let hosts = try JSONDecoder().decode(Hosts.self, from: Data(list.output.utf8)).data
        return hosts.contains { $0.load?.firstTokenP95 != nil } ? true : nil
      }
      let list = try await cluster.tutti("hosts", "list").output
      #expect(list.contains("in flight") && list.contains("closed"), "\(list)")
    }

    @Test("where the answer and its progress go to one terminal, each has lines of its own")
    func oneTerminal() async throws {
      let cluster = try RunningCluster.current()
      let outcome = try await Programs.run(
        "/bin/bash",
        ["-c", "\"$0\" ask -m tutti/ensemble Hello 2>&1", Programs.path("tutti")],
        environment: ["TUTTI_DATA_DIR": cluster.dataDirectory], in: cluster.directory)
      let lines = outcome.output.split(separator: "\n")
      #expect(lines.contains { $0 == FaultyHosts.answer }, "\(outcome)")
      #expect(
        lines.allSatisfy { $0 == FaultyHosts.answer || $0.hasPrefix("tutti: ") }, "\(outcome)")
      #expect(lines.last?.hasPrefix("tutti: task ended") == true, "\(outcome)")
      // If standard output and standard error are two files, the answer is alone in the first.
      let apart = try await cluster.tutti("ask", "-m", "tutti/ensemble", "Hello")
      #expect(apart.output == FaultyHosts.answer + "\n", "\(apart)")
      let progress = apart.errors.split(separator: "\n", omittingEmptySubsequences: false)
      #expect(progress.dropLast().allSatisfy { $0.hasPrefix("tutti: ") }, "\(apart)")
      #expect(progress.contains { $0.hasPrefix("tutti: task ended answer") }, "\(apart)")
    }
  }

  @Suite("Streams at the end of a gateway", .serialized)
  struct LastWordTests {
    @Test(
      "a stream that is not done when the drain ends gets one error event, no [DONE], and a proper end",
      arguments: [FaultyHosts.model, "tutti/ensemble"])
    func lastWord(model: String) async throws {
      let hosts = try await FaultyHosts.two()
      let gates = hosts.map { $0.hold(.afterToken(2)) }
      defer { for gate in gates { gate.open() } }
      let cluster = try await RunningCluster.start(
        .faulty(hosts), settings: "cluster:\n  drain_seconds: 2\n")
      let (status, body) = try await RawChat.toItsEnd(cluster, model: model) {
        cluster.process.signal(SIGTERM)
      }
      #expect(status == 200)
      #expect(body.ranges(of: #"data: {"error":"#).count == 1, "\(body)")
      #expect(body.contains(#""code":"overloaded""#) && body.contains("shutting down"), "\(body)")
      #expect(!body.contains("[DONE]"), "\(body)")
      #expect(await cluster.process.exit() == 0, "\(cluster.process.errors)")
      #expect(!cluster.process.errors.contains("did not drain in time"))
    }
  }
}

/// Chat requests over plain HTTP, without the `tutti` program.
enum RawChat {
  private static func request(
    _ cluster: RunningCluster, model: String, stream: Bool, _ options: String
  ) -> HTTPClientRequest {
    var request = HTTPClientRequest(url: cluster.gateway + "/v1/chat/completions")
    request.method = .POST
    request.body = .bytes(
      ByteBuffer(
        string: #"{"model":"\#(model)","stream":\#(stream),"tutti":\#(options),"#
          + #""messages":[{"role":"user","content":"Hello"}]}"#))
    return request
  }

  /// Sends an unstreamed request.
  static func whole(
    _ cluster: RunningCluster, model: String, _ options: String
  ) async throws -> (status: Int, body: String) {
    let response = try await HTTPClient.shared.execute(
      request(cluster, model: model, stream: false, options), timeout: .seconds(120))
    let body = try await response.body.collect(upTo: 1 << 20)
    return (Int(response.status.code), String(buffer: body))
  }

  /// Reads a stream to its end.
  ///
  /// - Parameter begun: called when the first bytes have arrived.
  /// - Throws: An error of the protocol if the body has no proper end.
  static func toItsEnd(
    _ cluster: RunningCluster, model: String, _ begun: () -> Void
  ) async throws -> (status: Int, body: String) {
    let response = try await HTTPClient.shared.execute(
      request(cluster, model: model, stream: true, "{}"), timeout: .seconds(120))
    var body = ""
    for try await piece in response.body {
      if body.isEmpty { begun() }
      body += String(buffer: piece)
    }
    return (Int(response.status.code), body)
  }
}
