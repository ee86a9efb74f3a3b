import ClusterModel
import AsyncHTTPClient
import ClusterTesting
import Foundation
import NIOCore
import NIOHTTP1
import Testing

extension ProcessTests {
  /// Plays every `HostileRow` and every row of `clients.py` and checks that services live, that
  /// honest requests are answered, and that the returned bytes are bounded.
  ///
  /// Nothing is timed. `Benchmarks/hostile` measures the same rows at full size.
  @Suite(
    "A cluster among hostile hosts and clients", .serialized,
    .cluster { try await RunningCluster.start(.faulty(FaultyHosts.two())) })
  struct HostileTests {
    /// A `HostileRow` that targets answers is played with 1/40 of its repetitions. Fatal faults
    /// still show, and a debug build finishes in a minute.
    private static let divisor = 40
    /// The client may get this many times the bytes that the host sends, plus `fixedBytes`. The
    /// gateway rewrites names and framing but multiplies nothing.
    private static let mostAmplification = 4
    private static let fixedBytes = 1 << 20

    // MARK: - Web pages

    /// - Returns: status and body of a request with one more header.
    private static func ask(
      _ url: String, _ name: String, _ value: String, body: String? = nil
    ) async throws -> (status: Int, body: String) {
      var request = HTTPClientRequest(url: url)
      request.headers.add(name: name, value: value)
      if let body {
        request.method = .POST
        request.headers.add(name: "content-type", value: "text/plain")
        request.body = .bytes(ByteBuffer(string: body))
      }
      let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
      let text = String(buffer: try await response.body.collect(upTo: 1 << 20))
      return (Int(response.status.code), text)
    }

    @Test("no port of the cluster answers a page of another site or a rebound name")
    func foreignPages() async throws {
      let cluster = try RunningCluster.current()
      for port in [cluster.gateway, cluster.registry, cluster.monitor, cluster.planner] {
        for (name, value) in [
          ("host", "evil.example"), ("origin", "https://evil.example"), ("origin", "null"),
        ] {
          let refusal = try await Self.ask(port + "/metrics", name, value)
          #expect(refusal.status == 403, "\(port) \(name): \(refusal)")
          #expect(refusal.body.contains("permission_denied"), "\(refusal)")
        }
        #expect(try await cluster.get(port + "/metrics").status == 200, "\(port)")
      }
      let chat = cluster.gateway + "/v1/chat/completions"
      let question =
        #"{"model":"\#(FaultyHosts.model)","messages":[{"role":"user","content":"Hello"}]}"#
      #expect(
        try await Self.ask(chat, "origin", "https://evil.example", body: question).status == 403)
      #expect(try await Self.ask(chat, "user-agent", "a program", body: question).status == 200)
    }

    // MARK: - Hosts

    @Test(
      "a hostile host ends no service and no request of others",
      arguments: HostileRow.all.filter { $0.target == .answer })
    func host(row: HostileRow) async throws {
      let cluster = try RunningCluster.current()
      let before = try await cluster.children()
      let hosts = try await Self.started(row)
      var names: [String] = []
      for (number, host) in hosts.enumerated() {
        names.append(try await Self.add(host, named: "\(row.name)-\(number)", to: cluster))
      }
      let model = row.client.isShared ? FaultyHosts.model : row.model
      try await Self.isOffered(model, by: cluster)

      async let honest = Self.honestAnswers(cluster, 6)
      let received = try await Self.play(row, model, cluster)
      let right = try await honest
      #expect(right == 6, "honest requests were answered wrongly next to \(row.name)")

      let sent = hosts.reduce(0) { $0 + $1.counts.hostileBytes }
      #expect(
        received <= Self.mostAmplification * sent + Self.fixedBytes,
        "a client got \(received) bytes for \(sent)")
      for name in names { _ = try await cluster.tutti("hosts", "remove", name) }
      for host in hosts { try await host.stop() }
      #expect(try await Self.honestAnswers(cluster, 3) == 3)
      #expect(try await cluster.children() == before, "a service ended with \(row.name)")
    }

    @Test(
      "whatever a host answers to a probe, new hosts still reach the gateways",
      arguments: HostileRow.all.filter { $0.target != .answer })
    func probe(row: HostileRow) async throws {
      let cluster = try RunningCluster.current()
      let before = try await cluster.children()
      // This row is played at full size, because the size of the host table does the harm.
      let host = try await Self.started(row, divisor: 1)[0]
      let name = try await Self.add(host, named: row.name, to: cluster)
      let fresh = try await FaultyHost.started(
        FaultyHostConfiguration(models: ["fresh-\(row.name)"], dialect: .openai))
      let freshName = try await Self.add(fresh, named: "fresh-\(row.name)", to: cluster)
      try await Self.isOffered("fresh-\(row.name)", by: cluster)
      #expect(try await Self.honestAnswers(cluster, 3) == 3)
      _ = try await cluster.tutti("hosts", "remove", name)
      _ = try await cluster.tutti("hosts", "remove", freshName)
      try await host.stop()
      try await fresh.stop()
      #expect(try await cluster.children() == before, "a service ended with \(row.name)")
    }

    // MARK: - Clients

    @Test(
      "a hostile client ends no service, no request of others and gets a bounded answer",
      arguments: try clientRows())
    func client(row: String) async throws {
      let cluster = try RunningCluster.current()
      let before = try await cluster.children()
      async let honest = Self.honestAnswers(cluster, 6)
      let outcome = try await Programs.run(
        Programs.python,
        [Self.script, row, "\(cluster.port)", "1", FaultyHosts.model], in: cluster.directory)
      let right = try await honest
      #expect(right == 6, "honest requests were answered wrongly next to \(row)")
      #expect(outcome.status == 0, "\(outcome)")
      #expect(outcome.output.contains(#""words": null"#), "\(outcome.output)")
      #expect(try await Self.honestAnswers(cluster, 3) == 3)
      #expect(try await cluster.children() == before, "a service ended with \(row)")
    }

    private static let script =
      Programs.here.appending(path: "../../Benchmarks/hostile/clients.py").standardizedFileURL.path

    /// The names that the script registers.
    static func clientRows() throws -> [String] {
      let text = try String(contentsOfFile: script, encoding: .utf8)
      return text.matches(of: #/@row\ndef ([a-z_]+)\(/#).map {
        "client-" + $0.1.replacing("_", with: "-")
      }
    }

    // MARK: - Playing a row

    private static func started(
      _ row: HostileRow, divisor: Int = divisor
    ) async throws -> [FaultyHost] {
      var hosts: [FaultyHost] = []
      for isSecond in row.needsTwoHosts ? [false, true] : [false] {
        var faults = FaultyHostFaults(hostile: row.name, hostileDivisor: divisor)
        faults.hostileSecond = isSecond
        hosts.append(
          try await .started(
            FaultyHostConfiguration(
              models: [row.client.isShared ? FaultyHosts.model : row.model],
              dialect: row.dialect, faults: faults)))
      }
      return hosts
    }

    private static func add(
      _ host: FaultyHost, named name: String, to cluster: RunningCluster
    ) async throws -> String {
      let outcome = try await cluster.tutti("hosts", "add", "--id", name, "--wait", "2", host.url)
      // A command that adds a host with garbage as its answer to a probe may fail, but must not
      // crash.
      #expect(outcome.status < 128, "\(outcome)")
      return name
    }

    private static func isOffered(_ model: String, by cluster: RunningCluster) async throws {
      _ = try await eventually("the gateway knows \(model)", within: .seconds(20)) { () -> Bool? in
        let (status, body) = try await cluster.get(cluster.gateway + "/v1/models")
        return status == 200 && body.contains("\"\(model)\"") ? true : nil
      }
    }

    /// - Returns: total bytes of all answers.
    private static func play(
      _ row: HostileRow, _ model: String, _ cluster: RunningCluster
    ) async throws -> Int {
      var received = 0
      for number in 0..<row.client.times {
        var value: [String: Any] = ["model": model]
        if row.client.path == "/v1/embeddings" {
          value["input"] = "hi"
        } else {
          value["messages"] = [["role": "user", "content": "hi \(number)"]]
          value["stream"] = row.client.stream
        }
        if let milliseconds = row.client.firstTokenMilliseconds {
          value["tutti"] = ["deadlines_ms": ["first_token": milliseconds]]
        }
        let body = try JSONSerialization.data(withJSONObject: value)
        let (status, bytes) = try await Self.post(cluster, row.client.path, Array(body))
        received += bytes
        if row.client.isShared { #expect(status == 200, "a good host offers it, too") }
      }
      return received
    }

    private static func post(
      _ cluster: RunningCluster, _ path: String, _ body: [UInt8]
    ) async throws -> (status: Int, bytes: Int) {
      var request = HTTPClientRequest(url: cluster.gateway + path)
      request.method = .POST
      request.headers.add(name: "content-type", value: "application/json")
      // A stream that ends with an error closes its connection. The header prevents AsyncHTTPClient
      // from reusing a connection that is just closing.
      request.headers.add(name: "connection", value: "close")
      request.body = .bytes(ByteBuffer(bytes: body))
      let response = try await HTTPClient.shared.execute(request, timeout: .seconds(120))
      var bytes = 0
      do {
        for try await piece in response.body { bytes += piece.readableBytes }
      } catch {
        // A cut answer ends without a proper HTTP end.
      }
      return (Int(response.status.code), bytes)
    }

    /// Number of correctly answered requests among `count` honest ones.
    private static func honestAnswers(_ cluster: RunningCluster, _ count: Int) async throws -> Int {
      var right = 0
      for number in 0..<count {
        let (status, body) = try await cluster.ask(
          FaultyHosts.model, "Honest question \(number)")
        if status == 200, body.contains(FaultyHosts.answer) { right += 1 }
      }
      return right
    }
  }
}

extension RunningCluster {
  /// Sends one unstreamed request.
  fileprivate func ask(_ model: String, _ question: String) async throws -> (Int, String) {
    var request = HTTPClientRequest(url: gateway + "/v1/chat/completions")
    request.method = .POST
    request.headers.add(name: "content-type", value: "application/json")
    let body = #"{"model":"\#(model)","messages":[{"role":"user","content":"\#(question)"}]}"#
    request.body = .bytes(ByteBuffer(string: body))
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
    return (
      Int(response.status.code), String(buffer: try await response.body.collect(upTo: 1 << 20))
    )
  }
}
