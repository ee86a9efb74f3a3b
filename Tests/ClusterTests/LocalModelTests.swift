import ClusterModel
import Foundation
import Testing

extension ProcessTests {
  /// One cluster for all tests, with the two embedded model servers.
  @Suite(
    "A cluster with the local model", .serialized,
    .cluster { try await RunningCluster.start(.embedded) })
  struct LocalModelTests {
    static let model = "SmolLM2-135M-Instruct"

    @Test(
      "the official openai package gets what it expects",
      arguments: ["chat", "stream", "models", "errors"], ["SmolLM2-135M-Instruct", "tutti/fast"])
    func openai(check: String, model: String) async throws {
      // The checks of similar names and of the list need a real model name.
      guard model == Self.model || ["chat", "stream"].contains(check) else { return }
      let cluster = try RunningCluster.current()
      let outcome = try await Programs.script(
        "openai_client.py", [check, cluster.gateway, model], in: cluster.directory)
      #expect(outcome.status == 0, "\(outcome)")
    }

    @Test(
      "every pattern streams a real model's answer to the openai package",
      arguments: PatternName.allCases.map(\.rawValue))
    func patterns(model: String) async throws {
      let cluster = try RunningCluster.current()
      let outcome = try await Programs.script(
        "openai_client.py", ["real_pattern", cluster.gateway, model], in: cluster.directory)
      #expect(outcome.status == 0, "\(outcome)")
    }

    @Test("the same call to the model server and through Tutti gives the same text")
    func sameText() async throws {
      let cluster = try RunningCluster.current()
      for port in try await modelPorts(cluster) {
        let outcome = try await Programs.script(
          "openai_client.py",
          ["same_text", cluster.gateway, Self.model, "http://127.0.0.1:\(port)"],
          in: cluster.directory)
        #expect(outcome.status == 0, "\(outcome)")
      }
    }

    @Test("the embedded model gets its authors' sampling, and prompts that have the tools")
    func sampling() async throws {
      struct Properties: Decodable {
        struct Settings: Decodable { let params: Parameters }
        struct Parameters: Decodable {
          let temperature: Double, topP: Double, repeatPenalty: Double, dryMultiplier: Double
          enum CodingKeys: String, CodingKey {
            case temperature
            case topP = "top_p"
            case repeatPenalty = "repeat_penalty"
            case dryMultiplier = "dry_multiplier"
          }
        }
        let settings: Settings
        let template: String
        enum CodingKeys: String, CodingKey {
          case settings = "default_generation_settings"
          case template = "chat_template"
        }
      }
      let cluster = try RunningCluster.current()
      for port in try await modelPorts(cluster) {
        let (status, body) = try await cluster.get("http://127.0.0.1:\(port)/props")
        try #require(status == 200, "\(body)")
        let properties = try JSONDecoder().decode(Properties.self, from: Data(body.utf8))
        let values = properties.settings.params
        #expect(abs(values.temperature - 0.2) < 0.001)
        #expect(abs(values.topP - 0.9) < 0.001)
        #expect(values.repeatPenalty > 1 && values.dryMultiplier > 0)
        #expect(properties.template.contains("<tool_call>"))
      }
    }

    @Test("an ensemble is answered by proposers on both hosts and an aggregator")
    func ensemble() async throws {
      let cluster = try RunningCluster.current()
      let outcome = try await Programs.script(
        "openai_client.py", ["ensemble", cluster.gateway, Self.model], in: cluster.directory)
      #expect(outcome.status == 0, "\(outcome)")
    }

    @Test(
      "`tutti ask --trace` streams the answer and names its host",
      arguments: [
        "tutti/fast", PatternName.ensemble.rawValue,
      ])
    func ask(model: String) async throws {
      let cluster = try RunningCluster.current()
      let outcome = try await cluster.tutti(
        "ask", "-m", model, "--trace", "--max-tokens", "24", "Name a colour.")
      #expect(outcome.status == 0, "\(outcome)")
      #expect(outcome.hasText, "\(outcome)")
      for title in [
        "task", "agent role", "host", "first-token ms", "read", "written", "credits", "ms",
        "trace ",
      ] {
        #expect(outcome.errors.contains(title), "\(outcome)")
      }
      #expect(outcome.errors.contains("embedded-"), "\(outcome)")
      if model == PatternName.ensemble.rawValue {
        #expect(outcome.errors.contains("embedded-1"), "\(outcome)")
        #expect(outcome.errors.contains("embedded-2"), "\(outcome)")
      }
    }

    @Test("the log and the spans of a request are found by its trace")
    func trace() async throws {
      let cluster = try RunningCluster.current()
      let answer = try await cluster.tutti(
        "ask", "-m", PatternName.ensemble.rawValue, "--trace-full", "--max-tokens", "8",
        "Name a colour.")
      // The output has a member's text above the table of tasks.
      #expect(answer.errors.contains(/\ndraft-1 \(.+\):\n/), "\(answer)")
      let id = try #require(
        answer.errors.split(separator: " ").compactMap {
          TraceID($0.trimmingCharacters(in: .whitespacesAndNewlines))
        }.last)
      // Telemetry is sent in batches and arrives shortly after the answer.
      let tree = try await eventually("the trace \(id) is complete") { () -> Outcome? in
        let outcome = try await cluster.tutti("trace", "\(id)")
        return outcome.status == 0 && outcome.output.contains("gateway")
          && outcome.output.contains("dispatcher") && outcome.output.contains("agent-")
          ? outcome : nil
      }
      #expect(tree.output.contains("span"), "\(tree)")
      let found = try await eventually("the request \(id) is in the log") { () -> String? in
        let (status, body) = try await cluster.get(cluster.monitor + "/requests?trace=\(id)")
        return status == 200 && body.contains("\(id)") ? body : nil
      }
      #expect(found.contains(PatternName.ensemble.rawValue))
      let json = try await cluster.tutti("trace", "\(id)", "--json")
      #expect(json.status == 0)
      #expect(try JSONSerialization.jsonObject(with: Data(json.output.utf8)) is [String: Any])
    }

    @Test("status names every service, host and model")
    func status() async throws {
      let cluster = try RunningCluster.current()
      let outcome = try await cluster.tutti("status")
      #expect(outcome.status == 0, "\(outcome)")
      for service in ServiceName.all {
        #expect(outcome.output.contains("\(service)"), "\(outcome)")
      }
      for name in ["embedded-1", "embedded-2", Self.model, PatternName.ensemble.rawValue] {
        #expect(outcome.output.contains(name), "\(outcome)")
      }
      let json = try await cluster.tutti("status", "--json")
      let object = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
      #expect((object as? [String: Any])?["ready"] as? Bool == true)
    }

    @Test("logs can be read, all of them and by level")
    func logs() async throws {
      let cluster = try RunningCluster.current()
      let lines = try await eventually("some service has logged") { () -> String? in
        let outcome = try await cluster.tutti("logs", "--limit", "1000")
        #expect(outcome.status == 0, "\(outcome)")
        return outcome.output.isEmpty ? nil : outcome.output
      }
      #expect(lines.contains(" info ") || lines.contains(" notice "), "\(lines)")
      let grave = try await cluster.tutti("logs", "--level", "critical")
      #expect(grave.status == 0, "\(grave)")
      #expect(!grave.output.contains(" info "), "\(grave)")
    }

    @Test("hosts are added, suspended, resumed and removed")
    func hosts() async throws {
      let cluster = try RunningCluster.current()
      let wrong = try await cluster.tutti("hosts", "add", "http://127.0.0.1:9", "--price=-1")
      #expect(wrong.status == 64 && wrong.errors.contains("--price"), "\(wrong)")
      let added = try await cluster.tutti(
        "hosts", "add", "http://127.0.0.1:9", "--id", "nobody", "--price", "0.15/600")
      #expect(added.status == 75 && added.output == "nobody\n", "\(added)")
      #expect(added.errors.contains("is added, but not ready"), "\(added)")
      #expect(added.errors.contains("probed again in"), "\(added)")
      let twice = try await cluster.tutti("hosts", "add", "http://127.0.0.1:9", "--id", "nobody")
      #expect(twice.status != 0 && twice.errors.contains("already"), "\(twice)")
      let suspended = try await cluster.tutti("hosts", "suspend", "nobody")
      #expect(suspended.status == 0 && suspended.errors.contains("is suspended"), "\(suspended)")
      let refused = try await cluster.tutti("hosts", "probe", "nobody")
      #expect(refused.status == 75 && refused.errors.contains("hosts resume"), "\(refused)")
      let list = try await cluster.tutti("hosts", "list")
      let line = list.output.split(separator: "\n").first { $0.hasPrefix("nobody ") }
      #expect(line?.contains("suspended") == true, "\(list)")
      let all = try await cluster.tutti("hosts", "list", "--json")
      #expect(all.output.contains(#""price_output":"600""#), "\(all)")
      let resumed = try await cluster.tutti("hosts", "resume", "nobody")
      #expect(resumed.status == 75 && resumed.errors.contains("is resumed"), "\(resumed)")
      let probed = try await cluster.tutti("hosts", "probe", "embedded-1")
      #expect(probed.status == 0, "\(probed)")
      #expect(probed.errors.contains("host embedded-1 is ready: \(Self.model)"), "\(probed)")
      let removed = try await cluster.tutti("hosts", "remove", "nobody")
      #expect(removed.status == 0 && removed.errors.contains("is removed"), "\(removed)")
      let gone = try await cluster.tutti("hosts", "list", "--json")
      #expect(!gone.output.contains("nobody"), "\(gone)")
      #expect(try await cluster.tutti("hosts", "remove", "nobody").status == 1)
    }

    @Test("promtool finds nothing wrong with the metrics of the cluster and of a service")
    func metrics() async throws {
      let cluster = try RunningCluster.current()
      for url in [cluster.monitor, cluster.planner] {
        let text = try await eventually("\(url) has metrics") { () -> String? in
          let (status, body) = try await cluster.get(url + "/metrics")
          return status == 200 && body.contains("tutti_") ? body : nil
        }
        let file = cluster.directory.path + "/metrics.txt"
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        let outcome = try await Programs.run(
          "/bin/sh", ["-c", "promtool check metrics < \(file)"], in: cluster.directory)
        #expect(outcome.status == 0, "\(outcome)")
        #expect(outcome.output.isEmpty && outcome.errors.isEmpty, "\(outcome)")
      }
      let (_, all) = try await cluster.get(cluster.monitor + "/metrics")
      for service in ServiceName.all { #expect(all.contains("service=\"\(service)\"")) }
    }

    @Test("every service is a process of its own")
    func separateProcesses() async throws {
      let cluster = try RunningCluster.current()
      let children = try await cluster.children()
      for service in ServiceName.all { #expect(children["tutti-\(service)"] != nil, "\(children)") }
      #expect(children.count == ServiceName.all.count + 2, "\(children)")
      #expect(Set(children.values).count == children.count)
    }

    private func modelPorts(_ cluster: RunningCluster) async throws -> [Int] {
      let ports = try await cluster.children().keys.compactMap { name in
        name.hasPrefix("embedded_host:") ? Int(name.dropFirst("embedded_host:".count)) : nil
      }
      #expect(ports.count == 2)
      return ports
    }
  }
}
