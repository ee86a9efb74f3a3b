import ClusterModel
import AsyncHTTPClient
import ClusterTesting
import Foundation
import NIOCore
import NIOHTTP1
import Testing

extension ProcessTests {
  @Suite("Plans that do not end well, and plans that wait", .serialized)
  struct TroubledPlanTests {
    private struct Requests: Decodable {
      struct Line: Decodable {
        struct Usage: Decodable {
          let promptTokens: Int, completionTokens: Int
          enum CodingKeys: String, CodingKey {
            case promptTokens = "prompt_tokens"
            case completionTokens = "completion_tokens"
          }
        }
        let model: String
        let status: Int
        let usage: Usage
      }
      let data: [Line]
    }

    @Test("the usage of a plan is booked, although its client left in mid-answer")
    func accounted() async throws {
      // Only the answer of the task that reads drafts is long enough to be held at the host's gate.
      let host = try await FaultyHost.started(
        FaultyHostConfiguration(
          models: ["faulty-model"],
          answer: .corpus(
            FaultyHostCorpus(
              ["Draft 1": FaultyHostReply(LostDispatcherTests.answer)],
              otherwise: FaultyHostReply("A draft of it."))),
          dialect: .openai))
      let gate = host.hold(.afterToken(6))
      let cluster = try await RunningCluster.start(.faulty([host]))
      let ask = try RunningProcess(
        Programs.path("tutti"),
        ["ask", "-m", "tutti/ensemble", "--members", "2", "Count to twelve for me."],
        environment: ["TUTTI_DATA_DIR": cluster.dataDirectory], in: cluster.directory)
      await gate.reached()
      _ = try await eventually("the answer has begun") { () -> Bool? in
        ask.output.isEmpty ? nil : true
      }
      ask.signal(SIGKILL)
      let line = try await eventually("the request is in the log") { () -> Requests.Line? in
        let (_, body) = try await cluster.get(cluster.monitor + "/requests?limit=20")
        return try JSONDecoder().decode(Requests.self, from: Data(body.utf8)).data
          .first { $0.model == "tutti/ensemble" }
      }
      gate.open()
      #expect(line.status == 499)
      // Two drafts of four words each have ended.
      #expect(line.usage.completionTokens >= 6 && line.usage.promptTokens > 0, "\(line)")
      try await cluster.stop()
    }

    @Test(
      "the record, the metrics and the trace of an answer agree if its client left in the middle")
    func agreement() async throws {
      let host = try await FaultyHost.started(
        FaultyHostConfiguration(
          models: ["faulty-model"], answer: .text(LostDispatcherTests.answer), dialect: .openai))
      let gate = host.hold(.afterToken(6))
      let cluster = try await RunningCluster.start(.faulty([host]))
      let ask = try RunningProcess(
        Programs.path("tutti"), ["ask", "-m", "faulty-model", "Count to twelve for me."],
        environment: ["TUTTI_DATA_DIR": cluster.dataDirectory], in: cluster.directory)
      await gate.reached()
      _ = try await eventually("the answer has begun") { () -> Bool? in
        ask.output.isEmpty ? nil : true
      }
      ask.signal(SIGKILL)
      struct Records: Decodable { let data: [RequestRecord] }
      let record = try await eventually("the request is in the log") { () -> RequestRecord? in
        let (_, body) = try await cluster.get(cluster.monitor + "/requests?limit=20")
        return try JSONDecoder().decode(Records.self, from: Data(body.utf8)).data
          .first { $0.model == "faulty-model" }
      }
      gate.open()
      let tokens = record.usage.completionTokens
      #expect(record.status == 499 && tokens > 0 && record.usage.promptTokens > 0, "\(record)")
      #expect(record.shares.map(\.completionTokens) == [tokens], "\(record)")
      let counted = try await eventually("the metrics have the tokens") { () -> Int? in
        let (_, body) = try await cluster.get(cluster.monitor + "/metrics")
        let samples = body.split(separator: "\n").filter {
          $0.hasPrefix("tutti_inference_tokens_total{") && $0.contains(#"kind="completion""#)
            && $0.contains(#"model="faulty-model""#)
        }
        let values = samples.compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
        return values.isEmpty ? nil : Int(values.reduce(0, +))
      }
      #expect(counted == tokens)
      let trace = try await cluster.tutti("trace", record.trace.description)
      #expect(trace.status == 0 && trace.output.contains("consumer_left"), "\(trace)")
      let share = try #require(
        trace.output.split(separator: "\n").last { $0.contains("faulty-model") })
      #expect(share.split(separator: " ").contains("\(tokens)"), "\(trace)")
      try await cluster.stop()
    }

    /// Sets the slots as an admin would, because these hosts do not report them.
    private func tellSlots(_ slots: Int, of model: String, _ cluster: RunningCluster) async throws {
      struct Hosts: Decodable {
        struct Line: Decodable {
          struct Model: Decodable { let id: String }
          let id: String
          let models: [Model]
        }
        let data: [Line]
      }
      let list = try await cluster.tutti("hosts", "list", "--json")
      let hosts = try JSONDecoder().decode(Hosts.self, from: Data(list.output.utf8)).data
      let host = try #require(hosts.first { $0.models.contains { $0.id == model } }, "\(list)")
      var request = HTTPClientRequest(url: cluster.registry + "/admin/v1/hosts/\(host.id)")
      request.method = .PATCH
      request.headers.add(name: "authorization", value: "Bearer \(try cluster.adminToken())")
      request.body = .bytes(ByteBuffer(string: #"{"slots":\#(slots)}"#))
      let response = try await HTTPClient.shared.execute(request, timeout: .seconds(60))
      #expect(response.status.code == 200)
    }

    @Test("tasks that wait for a busy host do not keep the agents from others")
    func waiting() async throws {
      let busy = try await FaultyHost.started(
        FaultyHostConfiguration(
          models: ["busy-model"], answer: .text(FaultyHosts.answer), dialect: .openai))
      let idle = try await FaultyHost.started(
        FaultyHostConfiguration(
          models: ["idle-model"], answer: .text(FaultyHosts.answer), dialect: .openai))
      let gate = busy.hold(.afterToken(2))
      let cluster = try await RunningCluster.start(
        .faulty([busy, idle]), settings: "dispatcher:\n  max_tasks: 2\n")
      try await tellSlots(1, of: "busy-model", cluster)
      let first = (0..<3).map { _ in
        Task {
          try await PatternClient.ask(
            cluster, "tutti/ensemble", "Hello", stream: false,
            #"{"members":["busy-model","busy-model","busy-model","busy-model"]}"#)
        }
      }
      await gate.reached()
      let answer = try await PatternClient.ask(
        cluster, "tutti/ensemble", "Hello", stream: false,
        #"{"members":["idle-model","idle-model"],"trace":true}"#)
      #expect(answer.status == 200, "\(answer)")
      gate.open()
      for task in first { #expect(try await task.value.status == 200) }
      try await cluster.stop()
    }
  }

  @Suite("A dispatcher that is killed", .serialized)
  struct LostDispatcherTests {
    static let answer = "One two three four five six seven eight nine ten eleven twelve."

    @Test("in mid-answer another one resumes, and the client sees one answer")
    func midAnswer() async throws {
      // Only the answer of the task that reads drafts is long enough to be held at the host's gate.
      let host = try await FaultyHost.started(
        FaultyHostConfiguration(
          models: ["faulty-model"],
          answer: .corpus(
            FaultyHostCorpus(
              ["Draft 1": FaultyHostReply(Self.answer)], otherwise: FaultyHostReply("A draft."))),
          dialect: .openai))
      let gate = host.hold(.afterToken(6))
      let cluster = try await RunningCluster.start(.faulty([host]))
      let dispatcher = try #require(try await cluster.children()["tutti-dispatcher"])
      async let asked = PatternClient.ask(
        cluster, "tutti/ensemble", "Count to twelve for me.", stream: true,
        #"{"trace":true,"members":2}"#)
      await gate.reached()
      #expect(kill(dispatcher, SIGKILL) == 0)
      gate.open()
      let answer = try await asked
      #expect(answer.status == 200 && answer.isDone, "\(answer)")
      #expect(answer.text == Self.answer, "\(answer)")
      let trace = try #require(answer.trace)
      #expect(trace.tasks.filter { $0.status == "done" }.count == 3, "\(answer)")
      try await cluster.stop()
    }
  }
}
