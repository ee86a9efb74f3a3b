import AsyncHTTPClient
import ClusterModel
import ClusterTesting
import Foundation
import NIOCore
import NIOHTTP1
import Testing

extension ProcessTests {
  /// Hosts added to a running cluster: other dialects, hosts with secrets, hosts of the fallback
  /// tier.
  @Suite(
    "A cluster whose hosts differ", .serialized, .timeLimit(.minutes(10)),
    .cluster {
      try await RunningCluster.start(
        .faulty([try await .started(HostsThatDiffer.configuration(["relay"], .openai))]),
        environment: [HostsThatDiffer.variable: HostsThatDiffer.secret])
    })
  struct DialectTests {
    private typealias Hosts = HostsThatDiffer

    @Test(
      "a host is recognised, and answers the openai package as any other, tools included",
      arguments: [HostDialect.anthropic, .ollama])
    func dialect(_ dialect: HostDialect) async throws {
      let cluster = try RunningCluster.current()
      let model = "only-\(dialect.rawValue)"
      try await Hosts.withHost([model], dialect, in: cluster) { host in
        let line = try await Hosts.line(dialect.rawValue, in: cluster)
        #expect(line.contains(" \(dialect.rawValue) ") && line.contains(" ready "), "\(line)")
        for (check, arguments) in [("says", [Hosts.text]), ("tools", [])] {
          let outcome = try await Programs.script(
            "openai_client.py", [check, cluster.gateway, model] + arguments, in: cluster.directory)
          #expect(outcome.status == 0, "\(outcome)")
        }
        let path = dialect == .anthropic ? "/v1/messages" : "/api/chat"
        #expect(host.counts.requests[path, default: 0] >= 5, "\(host.counts)")
      }
    }

    @Test(
      "a host of another dialect resumes an OpenAI host's answer",
      arguments: [HostDialect.anthropic, .ollama])
    func takeover(_ dialect: HostDialect) async throws {
      let cluster = try RunningCluster.current()
      guard case .faulty(let first) = cluster.hosts, let first = first.first else { return }
      let marker = "only-\(dialect.rawValue)"
      try await Hosts.withHost(["relay", marker], dialect, in: cluster) { other in
        #expect(try await cluster.tutti("hosts", "suspend", dialect.rawValue).status == 0)
        try await Hosts.wait(until: false, marker, isOfferedBy: cluster)
        let gate = first.hold(.afterToken(5))
        // The fault is permanent, because the registry's probe would use up a fault that occurs
        // only once.
        first.faults = FaultyHostFaults(kind: .drop, atByte: 60)
        defer { first.faults = .none }
        let client = try RunningProcess(
          Programs.python,
          [
            Programs.here.appending(path: "openai_client.py").path, "streams", cluster.gateway,
            "relay", Hosts.text,
          ], in: cluster.directory)
        await gate.reached()
        #expect(try await cluster.tutti("hosts", "resume", dialect.rawValue).status == 0)
        try await Hosts.wait(until: true, marker, isOfferedBy: cluster)
        gate.open()
        #expect(await client.exit() == 0, "\(client.errors)")
        // The request is recorded after it has been answered.
        await other.wait { $0.inferences > 0 && $0.active == 0 }
        let asked = try #require(other.requests.last { $0.path != "/v1/models" })
        let said = String(decoding: asked.body, as: UTF8.self)
        #expect(said.contains(#""assistant""#) && said.contains(Hosts.text.prefix(30)), "\(said)")
      }
    }

    @Test(
      "a secret goes to its host and nowhere else",
      arguments: [HostDialect.openai, .anthropic, .ollama])
    func credential(_ dialect: HostDialect) async throws {
      let cluster = try RunningCluster.current()
      let model = "secret-\(dialect.rawValue)"
      try await Hosts.withHost(
        [model], dialect, secret: Hosts.secret,
        options: ["--credential", "env:" + Hosts.variable], in: cluster
      ) { host in
        let line = try await Hosts.line(dialect.rawValue, in: cluster)
        #expect(line.contains(" ready "), "\(line)")
        let said = try await Programs.script(
          "openai_client.py", ["says", cluster.gateway, model, Hosts.text], in: cluster.directory)
        #expect(said.status == 0, "\(said)")
        // A refusal by the host becomes an error that is logged.
        host.faults = FaultyHostFaults(
          status: 401, statusBody: #"{"error":{"message":"no"}}"#)
        let refused = try await cluster.tutti("ask", "-m", model, "Hello")
        let sent = host.requests.last?.headers
        #expect(
          sent?["authorization"] == "Bearer " + Hosts.secret || sent?["x-api-key"] == Hosts.secret)

        let token = try cluster.adminToken()
        let admin = try await cluster.get(cluster.registry + "/admin/v1/hosts", token: token).body
        #expect(admin.contains("env:" + Hosts.variable), "\(admin)")
        let told = [
          admin, "\(refused)", "\(said)", cluster.process.output, cluster.process.errors,
          "\(try await cluster.tutti("status", "--json"))",
          "\(try await cluster.tutti("hosts", "list", "--json"))",
          "\(try await cluster.tutti("logs", "--limit", "1000"))",
          try await cluster.get(cluster.monitor + "/metrics").body,
          try await cluster.get(cluster.monitor + "/requests").body,
        ]
        for text in told { #expect(!text.contains(Hosts.secret), "\(text)") }
        let secret = Data(Hosts.secret.utf8)
        let files = FileManager.default.enumerator(atPath: cluster.dataDirectory)
        var count = 0
        while let name = files?.nextObject() as? String {
          guard let data = FileManager.default.contents(atPath: cluster.dataDirectory + "/" + name)
          else { continue }
          count += 1
          #expect(data.range(of: secret) == nil, "\(name)")
        }
        #expect(count > ServiceName.all.count)
      }
    }

    @Test("a fallback host gets nothing while the others answer, and answers when they do not")
    func fallback() async throws {
      let cluster = try RunningCluster.current()
      try await Hosts.withHost(["tiered", "only-openai"], .openai, in: cluster) { community in
        try await Hosts.withHost(
          ["tiered", "spare"], .openai, id: "spare", options: ["--tier", "fallback"], in: cluster
        ) { spare in
          for race in ["dual", "hedged", "single"] {
            for _ in 0..<4 {
              let answer = try await Hosts.ask("tiered", race: race, in: cluster)
              #expect(answer.contains(Hosts.text), "\(answer)")
            }
          }
          #expect(community.counts.inferences == 12 && spare.counts.inferences == 0)

          let gate = community.hold(.beforeFirstToken)
          let answer = try await Hosts.ask("tiered", race: "dual", deadline: 2_000, in: cluster)
          #expect(answer.contains(Hosts.text), "\(answer)")
          await community.waitForCancels(1)
          #expect(spare.counts.inferences == 1)
          gate.open()
        }
      }
    }
  }
}

/// Helpers for hosts that exist during one test.
enum HostsThatDiffer {
  static let variable = "TUTTI_CREDENTIAL_FAULTY_HOST"
  static let secret = "sk-5f1d-never-written-9c27"
  static let text =
    "First we walk along the river, then we cross the old bridge, and when the evening comes we "
    + "sit down under the tall trees and look at the lights of the town."

  static func configuration(
    _ models: [String], _ dialect: HostDialect, secret: String? = nil
  ) -> FaultyHostConfiguration {
    FaultyHostConfiguration(
      models: models,
      answer: .corpus(
        FaultyHostCorpus(
          [
            "<thanks>": FaultyHostReply("It is sunny in both."),
            "<weather>": FaultyHostReply(
              toolCalls: [
                .init(id: "call_a", name: "weather", arguments: #"{"city":"Paris"}"#),
                .init(
                  id: "call_b", name: "weather", arguments: #"{"city":"Köln \"am Rhein\""}"#),
              ]),
          ], otherwise: FaultyHostReply(text))), dialect: dialect, secret: secret)
  }

  /// Adds a host with `tutti hosts add`, runs `body`, and removes the host.
  /// - Parameter id: `nil` means the name of the dialect.
  static func withHost(
    _ models: [String], _ dialect: HostDialect, id: String? = nil, secret: String? = nil,
    options: [String] = [], in cluster: RunningCluster,
    _ body: (FaultyHost) async throws -> Void
  ) async throws {
    let host = try await FaultyHost.started(configuration(models, dialect, secret: secret))
    let name = id ?? dialect.rawValue
    let added = try await Programs.run(
      Programs.path("tutti"),
      ["hosts", "add", host.url, "--id", name, "--dialect", "auto"] + options,
      environment: ["TUTTI_DATA_DIR": cluster.dataDirectory], in: cluster.directory)
    #expect(added.status == 0, "\(added)")
    for model in models { try await wait(until: true, model, isOfferedBy: cluster) }
    do {
      try await body(host)
    } catch {
      _ = try? await cluster.tutti("hosts", "remove", name)
      try await host.stop()
      throw error
    }
    #expect(try await cluster.tutti("hosts", "remove", name).status == 0)
    try await wait(until: false, models[models.count - 1], isOfferedBy: cluster)
    try await host.stop()
  }

  /// - Parameter deadline: milliseconds until the first token.
  static func ask(
    _ model: String, race: String, deadline: Int = 60_000, in cluster: RunningCluster
  ) async throws -> String {
    var request = HTTPClientRequest(url: cluster.gateway + "/v1/chat/completions")
    request.method = .POST
    request.body = .bytes(
      ByteBuffer(
        string: #"{"model":"\#(model)","tutti":{"race":"\#(race)","deadlines_ms":"#
          + #"{"first_token":\#(deadline)}},"messages":[{"role":"user","content":"Hello"}]}"#))
    let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
    return String(buffer: try await response.body.collect(upTo: 1 << 20))
  }

  static func line(_ id: String, in cluster: RunningCluster) async throws -> String {
    let list = try await cluster.tutti("hosts", "list")
    return list.output.split(separator: "\n").first { $0.hasPrefix(id + " ") }.map { String($0) }
      ?? "\(list)"
  }

  /// Waits until the gateway's own host table lists the model, or no longer lists it.
  static func wait(
    until isOffered: Bool, _ model: String, isOfferedBy cluster: RunningCluster
  ) async throws {
    _ = try await eventually("\(model) is offered: \(isOffered)") { () -> Bool? in
      let body = try await cluster.get(cluster.gateway + "/v1/models").body
      return body.contains("\"\(model)\"") == isOffered ? true : nil
    }
  }
}
