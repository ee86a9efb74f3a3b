import ClusterTesting
import Foundation
import Testing

extension ProcessTests {
  @Suite(
    "A gateway that is sent nonsense", .serialized,
    .cluster {
      try await RunningCluster.start(
        .faulty(FaultyHosts.two()),
        // The deadlines are short, so that slow clients are cut off within the test's time.
        settings: """
          gateway:
            head_deadline: 8s
            body_deadline: 8s

          """)
    })
  struct BadInputTests {
    struct Case: Sendable, CustomStringConvertible {
      let name: String
      /// Allowed statuses; 0 means that the connection closes without an answer.
      let statuses: Set<Int>
      /// The member that the error must name. `nil` means any member.
      let param: String?
      var description: String { name }

      init(_ name: String, _ statuses: Int..., param: String? = nil) {
        self.name = name
        self.param = param
        self.statuses = Set(statuses)
      }
    }

    static let cases = [
      Case("invalid_json", 400), Case("not_utf8", 400), Case("not_an_object", 400),
      Case("empty_body", 400), Case("deep_nesting", 400), Case("no_messages", 400),
      Case("empty_messages", 400), Case("no_model", 200), Case("unknown_model", 404),
      Case("wrong_types", 400), Case("wrong_message_type", 400), Case("wrong_stream_type", 400),
      Case("unknown_option", 400), Case("option_out_of_range", 400, param: "tutti.rounds"),
      // The planner, not the gateway, refuses the next case.
      Case("small_budget", 400, param: "tutti.budget.tokens"),
      Case("plan_logprobs", 400, param: "logprobs"),
      Case("ten_megabytes", 200, 413),
      Case("large_body", 413, 0),
      Case("many_messages", 400), Case("unknown_path", 404), Case("wrong_method", 405),
      Case("many_headers", 431, 0), Case("long_header", 431, 0), Case("long_path", 414, 431, 0),
      Case("not_http", 400, 0), Case("slow_head", 408, 0), Case("slow_body", 408, 0),
    ]

    @Test("it is refused with an error of OpenAI's shape, and others are served", arguments: cases)
    func refused(case input: Case) async throws {
      let cluster = try RunningCluster.current()
      let before = try await cluster.children()
      let bad = try RunningProcess(
        Programs.python, arguments(input.name, cluster), in: cluster.directory)
      // This request is sent without waiting for the end of the bad one.
      let good = try await Programs.run(
        Programs.python, arguments("good", cluster), in: cluster.directory)
      let answer = try Answer(good)
      #expect(answer.status == 200, "\(good)")
      _ = await bad.exit()
      let refusal = try Answer(
        Outcome(status: bad.status ?? -1, output: bad.output, errors: bad.errors))
      #expect(input.statuses.contains(refusal.status), "\(bad.output)")
      if refusal.status >= 400, refusal.status != 408, refusal.status != 431 {
        let error = try #require(refusal.error, "\(bad.output)")
        #expect(!error.message.isEmpty)
        #expect(error.type == "invalid_request_error")
        #expect(error.hasParam)
        if let param = input.param { #expect(error.param == param, "\(bad.output)") }
      }
      #expect(refusal.seconds < 40, "\(bad.output)")
      #expect(try await cluster.children() == before, "a process was lost")
    }

    @Test("a stream that its host breaks off raises an error in the openai package")
    func brokenStream() async throws {
      let cluster = try RunningCluster.current()
      guard case .faulty(let hosts) = cluster.hosts else { return }
      for host in hosts { host.faults = FaultyHostFaults(endAtToken: 3) }
      defer { for host in hosts { host.faults = .none } }
      let outcome = try await Programs.script(
        "openai_client.py", ["broken_stream", cluster.gateway, FaultyHosts.model],
        in: cluster.directory)
      #expect(outcome.status == 0, "\(outcome)")
    }

    @Test("a client that hangs up is cancelled at the host")
    func hangUp() async throws {
      let cluster = try RunningCluster.current()
      guard case .faulty(let hosts) = cluster.hosts else { return }
      let gates = hosts.map { $0.hold(.afterToken(2)) }
      defer { for gate in gates { gate.open() } }
      let cancels = hosts.map(\.counts.cancels.count)
      let ask = try RunningProcess(
        Programs.path("tutti"), ["ask", "-m", FaultyHosts.model, "Hello"],
        environment: ["TUTTI_DATA_DIR": cluster.dataDirectory], in: cluster.directory)
      _ = try await eventually("the answer has begun") { () -> Bool? in
        ask.output.isEmpty ? nil : true
      }
      ask.signal(SIGKILL)
      _ = await ask.exit()
      _ = try await eventually("the host saw the client leave") { () -> Bool? in
        zip(hosts, cancels).contains { $0.counts.cancels.count > $1 } ? true : nil
      }
    }

    @Test("noise in every mailbox is counted and dropped, and no process ends")
    func noise() async throws {
      let cluster = try RunningCluster.current()
      let before = try await cluster.children()
      let token = try cluster.adminToken()
      struct Services: Decodable {
        struct Line: Decodable { let service: String, mailbox: String }
        let data: [Line]
      }
      let (_, list) = try await cluster.get(
        cluster.registry + "/admin/v1/services", token: token)
      let services = try JSONDecoder().decode(Services.self, from: Data(list.utf8)).data
      #expect(services.count == before.count)
      let outcome = try await Programs.script(
        "mailbox_noise.py", ["4711"] + services.map(\.mailbox), in: cluster.directory)
      #expect(outcome.status == 0, "\(outcome)")
      _ = try await eventually("everybody has counted it") { () -> Bool? in
        let (_, metrics) = try await cluster.get(cluster.monitor + "/metrics")
        let counting = metrics.split(separator: "\n").filter {
          $0.hasPrefix("tutti_bus_dropped_total{")
        }
        return services.allSatisfy { service in
          counting.contains { $0.contains("service=\"\(service.service)\"") }
        } ? true : nil
      }
      for model in ["tutti/fast", "tutti/ensemble"] {
        let answer = try await cluster.tutti("ask", "-m", model, "Hello")
        #expect(answer.status == 0, "\(answer)")
      }
      #expect(try await cluster.children() == before, "a process was lost")
    }

    private func arguments(_ name: String, _ cluster: RunningCluster) -> [String] {
      [
        Programs.here.appending(path: "bad_input.py").path, name, "\(cluster.port)",
        FaultyHosts.model,
      ]
    }
  }
}

/// The output of bad_input.py.
private struct Answer: Decodable {
  struct Problem: Decodable {
    let message: String
    let type: String
    let hasParam: Bool
    let param: String?

    enum CodingKeys: String, CodingKey { case message, type, param, code }

    init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: CodingKeys.self)
      message = try members.decode(String.self, forKey: .message)
      type = try members.decode(String.self, forKey: .type)
      // The official error format has both members even if they are null.
      param = try members.decodeIfPresent(String.self, forKey: .param)
      hasParam = members.contains(.param) && members.contains(.code)
    }
  }

  let status: Int
  let error: Problem?
  let seconds: Double

  init(_ outcome: Outcome) throws {
    guard let answer = try? JSONDecoder().decode(Answer.self, from: Data(outcome.output.utf8))
    else { throw TooLate(description: "bad_input.py printed no answer: \(outcome)") }
    self = answer
  }
}
