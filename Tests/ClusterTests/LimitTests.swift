import AsyncHTTPClient
import ClusterTesting
import Foundation
import NIOCore
import NIOHTTP1
import Testing

extension ProcessTests {
  @Suite(
    "A gateway at its limits", .serialized,
    .cluster {
      try await RunningCluster.start(
        .faulty(FaultyHosts.two()), settings: "gateway:\n  max_requests: 1\n")
    })
  struct LimitTests {
    private struct Problem: Decodable {
      struct Content: Decodable {
        let message: String
        let code: String
      }
      let error: Content
    }

    private func chat(
      _ cluster: RunningCluster, hop: String? = nil
    ) async throws -> (response: HTTPClientResponse, body: Data) {
      var request = HTTPClientRequest(url: cluster.gateway + "/v1/chat/completions")
      request.method = .POST
      if let hop { request.headers.add(name: "x-tutti-hops", value: hop) }
      request.body = .bytes(
        ByteBuffer(
          string:
            #"{"model":"\#(FaultyHosts.model)","messages":[{"role":"user","content":"Hello"}]}"#))
      let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
      return (response, Data(try await response.body.collect(upTo: 1 << 20).readableBytesView))
    }

    @Test("a request above the limit gets a time to retry, and is served when there is room")
    func admission() async throws {
      let cluster = try RunningCluster.current()
      guard case .faulty(let hosts) = cluster.hosts else { return }
      let gates = hosts.map { $0.hold(.afterToken(2)) }
      let first = try RunningProcess(
        Programs.path("tutti"), ["ask", "-m", FaultyHosts.model, "Hello"],
        environment: ["TUTTI_DATA_DIR": cluster.dataDirectory], in: cluster.directory)
      _ = try await eventually("the first is being answered") { () -> Bool? in
        first.output.isEmpty ? nil : true
      }
      let (refusal, body) = try await chat(cluster)
      #expect(refusal.status.code == 503)
      #expect(refusal.headers.first(name: "retry-after").flatMap { Int($0) } ?? 0 > 0)
      #expect(refusal.headers.first(name: "x-tutti-trace")?.count == 32)
      #expect(try JSONDecoder().decode(Problem.self, from: body).error.code == "overloaded")
      // Health checks still get through.
      #expect(try await cluster.get(cluster.gateway + "/health").status == 200)
      let ask = try await cluster.tutti("ask", "-m", FaultyHosts.model, "Hello")
      #expect(ask.status == 75, "\(ask)")
      for gate in gates { gate.open() }
      #expect(await first.exit() == 0, "\(first.errors)")
      let after = try await eventually("there is room again") { () -> Int? in
        let status = try await Int(chat(cluster).response.status.code)
        return status == 503 ? nil : status
      }
      #expect(after == 200)
    }

    /// Waits until a gauge of the gateway is zero, or not zero.
    private func wait(
      _ what: String, _ cluster: RunningCluster, until gauge: String, isZero: Bool
    ) async throws {
      _ = try await eventually(what) { () -> Bool? in
        let metrics = try await cluster.get(cluster.gateway + "/metrics").body
        return metrics.contains("\n\(gauge) 0\n") == isZero ? true : nil
      }
    }

    @Test("a body that comes slowly holds no place, and is answered when it is complete")
    func slowBody() async throws {
      let cluster = try RunningCluster.current()
      let held = "tutti_memory_held_bytes"
      try await wait("no request is under way", cluster, until: held, isZero: true)
      let text =
        #"{"model":"\#(FaultyHosts.model)","messages":[{"role":"user","content":"Hello"}]}"#
      let (parts, part) = AsyncStream<ByteBuffer>.makeStream()
      var request = HTTPClientRequest(url: cluster.gateway + "/v1/chat/completions")
      request.method = .POST
      request.body = .stream(parts, length: .known(Int64(text.utf8.count)))
      part.yield(ByteBuffer(string: String(text.prefix(20))))
      let slow = Task { [request] in
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
        return (
          status: Int(response.status.code),
          body: String(buffer: try await response.body.collect(upTo: 1 << 20))
        )
      }
      // Wait until the gateway has this request's head, because a full gateway refuses requests
      // when their head arrives.
      try await wait("the head has come", cluster, until: held, isZero: false)
      // This gateway is configured to serve one request at a time.
      for _ in 0..<3 {
        let status = try await eventually("others are answered") { () -> UInt? in
          let status = try await chat(cluster).response.status.code
          return status == 503 ? nil : status
        }
        #expect(status == 200)
      }
      let inFlight = "tutti_gateway_in_flight"
      try await wait("the others are over", cluster, until: inFlight, isZero: true)
      part.yield(ByteBuffer(string: String(text.dropFirst(20))))
      part.finish()
      let answer = try await slow.value
      #expect(answer.status == 200, "\(answer.body)")
    }

    @Test("a request that comes back to its gateway is refused with 508, and the client reads why")
    func loop() async throws {
      let cluster = try await RunningCluster.start(.faulty(FaultyHosts.two()))
      let token = try cluster.adminToken()
      // Add the gateway itself as a host.
      let added = try await cluster.tutti("hosts", "add", cluster.gateway, "--id", "itself")
      #expect(added.status == 0, "\(added)")
      struct Hosts: Decodable {
        struct Line: Decodable { let id: String, state: String }
        let data: [Line]
      }
      let hosts = try await eventually("it is a host of its own") { () -> [Hosts.Line]? in
        let list = try await cluster.tutti("hosts", "list", "--json")
        let hosts = try JSONDecoder().decode(Hosts.self, from: Data(list.output.utf8)).data
        return hosts.contains { $0.id == "itself" && $0.state == "ready" } ? hosts : nil
      }
      for host in hosts where host.id != "itself" {
        #expect(try await cluster.tutti("hosts", "suspend", host.id).status == 0)
      }
      let message = try await eventually("nobody else is asked") { () -> String? in
        let (response, body) = try await chat(cluster)
        guard response.status.code == 502 else { return nil }
        return try JSONDecoder().decode(Problem.self, from: body).error.message
      }
      #expect(message.contains("508"), "\(message)")
      #expect(message.contains("leads back to it"), "\(message)")

      // Send a request whose hop header names the gateway, and read the gateway's own response.
      struct Services: Decodable {
        struct Line: Decodable { let name: String, incarnation: String, service: String }
        let data: [Line]
      }
      let (_, services) = try await cluster.get(
        cluster.registry + "/admin/v1/services", token: token)
      let gateway = try #require(
        try JSONDecoder().decode(Services.self, from: Data(services.utf8)).data
          .first { $0.service == "gateway" })
      let (looped, body) = try await chat(cluster, hop: "\(gateway.name)#\(gateway.incarnation)")
      #expect(looped.status.code == 508)
      #expect(try JSONDecoder().decode(Problem.self, from: body).error.code == "hop_loop")
      try await cluster.stop()
    }

    @Test("an unknown path and a wrong method are traced like every other answer")
    func traced() async throws {
      let cluster = try RunningCluster.current()
      for (path, status) in [("/nowhere", 404), ("/v1/chat/completions", 405), ("/health", 200)] {
        let request = HTTPClientRequest(url: cluster.gateway + path)
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
        #expect(Int(response.status.code) == status, "\(path)")
        #expect(response.headers["x-tutti-trace"].map(\.count) == [32], "\(path)")
      }
    }

    @Test("the admin API's document and its routes are the same")
    func openAPI() async throws {
      let cluster = try RunningCluster.current()
      let token = try cluster.adminToken()
      let (_, document) = try await cluster.get(
        cluster.registry + "/admin/v1/openapi.json", token: token)
      struct Document: Decodable { let paths: [String: [String: Ignored]] }
      struct Ignored: Decodable { init(from decoder: any Decoder) {} }
      var described: Set<String> = []
      for (path, item) in try JSONDecoder().decode(Document.self, from: Data(document.utf8)).paths {
        for method in item.keys where method != "parameters" {
          described.insert("\(method.uppercased()) \(path)")
        }
      }
      // The response to an unknown path lists every route.
      let (_, unknown) = try await cluster.get(cluster.registry + "/nowhere", token: token)
      let message = try JSONDecoder().decode(Problem.self, from: Data(unknown.utf8)).error.message
      let list = try #require(message.firstMatch(of: /There is: (.+)\./)).1
      let routed = Set(
        list.split(separator: ", ").map(String.init).filter { $0.contains(" /admin/") })
      #expect(routed.count > 5)
      #expect(described == routed)
    }

    @Test("the monitor's first page is for people when a browser asks, and a list otherwise")
    func overview() async throws {
      let cluster = try RunningCluster.current()
      var request = HTTPClientRequest(url: cluster.monitor + "/")
      request.headers.add(name: "accept", value: "text/html,application/xhtml+xml,*/*;q=0.8")
      let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
      let page = String(buffer: try await response.body.collect(upTo: 1 << 20))
      #expect(response.headers.first(name: "content-type")?.hasPrefix("text/html") == true)
      #expect(response.headers.first(name: "content-security-policy")?.contains("'none'") == true)
      #expect(page.contains("tutti") || page.contains("Tutti"))
      #expect(page.contains(FaultyHosts.model) && page.contains("dispatcher"), "\(page)")
      #expect(try await cluster.get(cluster.monitor + "/").body.hasPrefix("{"))
    }

    @Test("an absent gateway is reported at once, and so are names that a cluster does not know")
    func sentences() async throws {
      let cluster = try RunningCluster.current()
      for arguments in [["ask", "Hello"], ["status"], ["logs"], ["hosts", "list"]] {
        let began = ContinuousClock.now
        let outcome = try await Programs.run(
          Programs.path("tutti"), arguments + ["--url", "http://127.0.0.1:1"],
          environment: ["TUTTI_ADMIN_TOKEN": "a token of 16 bytes"], in: cluster.directory)
        #expect(outcome.status == 69, "\(outcome)")
        #expect(outcome.errors.contains("no service answers at http://127.0.0.1"), "\(outcome)")
        #expect(began.duration(to: .now) < .seconds(10), "\(arguments)")
      }
      let model = try await cluster.tutti("ask", "-m", "fault-model", "Hello")
      #expect(model.status == 64 && model.errors.contains("`faulty-model`"), "\(model)")
      let logs = try await cluster.tutti("logs", "--trace", String(repeating: "a", count: 32))
      #expect(logs.status == 0 && logs.output.isEmpty, "\(logs)")
      #expect(logs.errors.contains("no log line has trace aaaa"), "\(logs)")
      let token = try await Programs.run(
        Programs.path("tutti"), ["hosts", "list"],
        environment: [
          "TUTTI_DATA_DIR": cluster.dataDirectory, "TUTTI_ADMIN_TOKEN": "of another cluster",
        ], in: cluster.directory)
      #expect(token.status == 1 && token.errors.contains("not the admin token"), "\(token)")
      #expect(token.errors.contains("TUTTI_ADMIN_TOKEN"), "\(token)")
      let host = try await cluster.tutti("hosts", "suspend", "nobody")
      #expect(host.status == 1 && host.errors.contains("tutti hosts list"), "\(host)")
    }
  }
}
