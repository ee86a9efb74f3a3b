import ClusterModel
import ClusterTesting
import Foundation
import Testing

extension ProcessTests {
  @Suite("Events of a cluster in trouble", .serialized)
  struct EventTests {
    /// The lines of `tutti logs --level warning`. `nil` means that the monitor does not answer.
    private func events(_ cluster: RunningCluster) async throws -> [[String: String]]? {
      let outcome = try await cluster.tutti(
        "logs", "--level", "warning", "--since", "1h", "--json", "--limit", "1000")
      if outcome.status == ClusterModel.ExitStatus.unavailable.rawValue { return nil }
      try #require(outcome.status == 0, "\(outcome)")
      return try outcome.output.split(separator: "\n").map { line in
        let object = try JSONSerialization.jsonObject(with: Data(line.utf8))
        return try #require(object as? [String: String], "\(line)")
      }
    }

    private func event(
      _ name: String, in cluster: RunningCluster
    ) async throws -> [String: String] {
      try await eventually("\(name) is in the log") {
        try await events(cluster)?.first { $0["event"] == name }
      }
    }

    @Test("a broken answer, a dead host, a dead process and a store that refuses are in the log")
    func rings() async throws {
      let host = try await FaultyHost.started(
        FaultyHostConfiguration(
          models: [FaultyHosts.model], answer: .text(FaultyHosts.answer), dialect: .openai))
      let gate = host.hold(.afterToken(2))
      let cluster = try await RunningCluster.start(.faulty([host]))
      #expect(try await events(cluster)?.filter { $0["level"] == "error" } == [])

      let ask = try RunningProcess(
        Programs.path("tutti"), ["ask", "-m", FaultyHosts.model, "Hello"],
        environment: ["TUTTI_DATA_DIR": cluster.dataDirectory], in: cluster.directory)
      await gate.reached()
      _ = try await eventually("the answer has begun") { () -> Bool? in
        ask.output.isEmpty ? nil : true
      }
      // The host is gone for good, so no attempt can resume the answer.
      try await host.stop()
      gate.open()
      #expect(await ask.exit() != 0, "\(ask.errors)")
      let attempt = try await event("attempt_broken", in: cluster)
      #expect(attempt["level"] == "warning" && attempt["service"] == "gateway", "\(attempt)")
      let broken = try await event("answer_broken", in: cluster)
      #expect(broken["level"] == "error" && broken["host"] == attempt["host"], "\(broken)")
      #expect(broken["trace_id"] == attempt["trace_id"] && broken["trace_id"] != nil, "\(broken)")

      let down = try await event("host_down", in: cluster)
      #expect(down["level"] == "warning" && down["was"] == "ready", "\(down)")
      try await host.start()
      _ = try await eventually("the host's return is in the log") { () -> Bool? in
        let outcome = try await cluster.tutti("logs", "--level", "notice", "--json")
        return outcome.output.contains(#""event":"host_back""#) ? true : nil
      }

      let planner = try #require(try await cluster.children()["tutti-planner"])
      #expect(kill(planner, SIGKILL) == 0)
      let died = try await event("service_died", in: cluster)
      #expect(died["level"] == "error" && died["process"] == "planner", "\(died)")
      #expect(died["count"] == "1" && died["reason"]?.contains("KILL") == true, "\(died)")

      // A monitor that started again does not log the planner's crash a second time.
      // The list of crashes has whole seconds.
      let crash = try #require(died["at"].flatMap { Timestamp(rfc3339: $0) })
      _ = try await eventually("the second of the crash is over") { () -> Bool? in
        Date().timeIntervalSince1970 > Double(crash.unixMicroseconds) / 1e6 + 1 ? true : nil
      }
      let monitor = try #require(try await cluster.children()["tutti-monitor"])
      #expect(kill(monitor, SIGKILL) == 0)
      _ = try await eventually("the monitor's own crash is in the log") { () -> Bool? in
        guard let events = try? await events(cluster) else { return nil }
        return events.contains { $0["process"] == "monitor" } ? true : nil
      }
      let lines = try #require(try await events(cluster))
      let planners = lines.filter { $0["process"] == "planner" }
      #expect(planners.filter { $0["event"] == "service_died" }.count == 1, "\(planners)")

      // Another process holds the registry's store.
      let holder = try RunningProcess(
        Programs.python,
        [
          "-c",
          """
          import sqlite3, sys
          store = sqlite3.connect(sys.argv[1], isolation_level=None)
          store.execute("BEGIN IMMEDIATE")
          print("held", flush=True)
          sys.stdin.read()
          """, cluster.dataDirectory + "/registry.sqlite",
        ], in: cluster.directory, hasLifeline: true)
      defer { holder.cutLifeline() }
      _ = try await eventually("the store is held") { () -> Bool? in
        holder.output.contains("held") ? true : nil
      }
      let add = try await cluster.tutti("hosts", "add", "http://127.0.0.1:9", "--id", "new")
      #expect(add.status != 0, "\(add)")
      holder.cutLifeline()
      let refused = try await event("host_not_saved", in: cluster)
      #expect(refused["level"] == "error" && refused["service"] == "registry", "\(refused)")

      try await cluster.stop()
      try await host.stop()
    }
  }
}
