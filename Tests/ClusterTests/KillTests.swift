import ClusterModel
import ClusterTesting
import Foundation
import Testing

extension ProcessTests {
  @Suite(
    "A cluster whose processes are killed", .serialized,
    .cluster { try await RunningCluster.start(.faulty(FaultyHosts.two())) })
  struct KillTests {
    @Test(
      "kill -9 of a service: the others stay, it comes back, and new requests succeed",
      arguments: ServiceName.all)
    func killOne(service: ServiceName) async throws {
      let cluster = try RunningCluster.current()
      let before = try await cluster.children()
      let name = "tutti-\(service)"
      let victim = try #require(before[name])
      // Requests run during the kill. A request at the killed process may fail, but no request may
      // hang.
      let running = try (1...2).map { number in
        try RunningProcess(
          Programs.path("tutti"),
          ["ask", "-m", number == 1 ? "tutti/fast" : "tutti/ensemble", "Hello"],
          environment: ["TUTTI_DATA_DIR": cluster.dataDirectory], in: cluster.directory)
      }
      #expect(kill(victim, SIGKILL) == 0)
      let after = try await eventually("\(name) runs again") { () -> [String: pid_t]? in
        let children = try await cluster.children()
        return children[name] != nil && children[name] != victim ? children : nil
      }
      for process in running { _ = await process.exit() }
      for (other, pid) in before where other != name {
        #expect(after[other] == pid, "\(other) did not stay")
      }
      for model in ["tutti/fast", "tutti/ensemble"] {
        let answer = try await eventually("\(model) is answered again") { () -> Outcome? in
          let outcome = try await cluster.tutti("ask", "-m", model, "Hello")
          return outcome.status == 0 ? outcome : nil
        }
        #expect(answer.hasText, "\(answer)")
      }
      #expect(cluster.process.errors.contains("was killed by signal 9"))
    }
  }

  @Suite("The end of a cluster", .serialized)
  struct EndTests {
    @Test("kill -9 of `tutti up`: nothing survives, model servers included")
    func killUp() async throws {
      let cluster = try await RunningCluster.start(.embedded)
      let children = Set(try await cluster.children().values)
      #expect(children.count == ServiceName.all.count + 2)
      cluster.process.signal(SIGKILL)
      #expect(await cluster.process.exit() == 128 + SIGKILL)
      _ = try await eventually("every child is gone", within: .seconds(60)) { () -> Bool? in
        let left = try await cluster.processes().filter { children.contains($0.pid) }
        return left.isEmpty ? true : nil
      }
      let ask = try await cluster.tutti("ask", "Hello")
      #expect(ask.status == 69 && ask.errors.contains("is gone"), "\(ask)")
      // The data directory can be used again.
      let again = try await RunningCluster.start(
        .faulty(FaultyHosts.two()), dataDirectory: cluster.dataDirectory)
      try await again.stop()
    }

    @Test("the end of its lifeline drains a cluster")
    func lifeline() async throws {
      let cluster = try await RunningCluster.start(.faulty(FaultyHosts.two()))
      let children = Set(try await cluster.children().values)
      cluster.process.cutLifeline()
      #expect(await cluster.process.exit() == 0, "\(cluster.process.errors)")
      let left = try await cluster.processes().filter { children.contains($0.pid) }
      #expect(left.isEmpty, "\(left)")
    }

    @Test("SIGTERM in the middle of a stream: the stream is finished, and the status is 0")
    func drain() async throws {
      let hosts = try await FaultyHosts.two()
      let gates = hosts.map { $0.hold(.afterToken(2)) }
      let cluster = try await RunningCluster.start(.faulty(hosts))
      let ask = try RunningProcess(
        Programs.path("tutti"), ["ask", "-m", FaultyHosts.model, "Hello"],
        environment: ["TUTTI_DATA_DIR": cluster.dataDirectory], in: cluster.directory)
      _ = try await eventually("the answer has begun") { () -> Bool? in
        ask.output.isEmpty ? nil : true
      }
      cluster.process.signal(SIGTERM)
      // The gateway drains first. It accepts no new clients while it finishes its requests.
      _ = try await eventually("the gateway drains") { () -> Bool? in
        cluster.process.errors.contains("draining") ? true : nil
      }
      for gate in gates { gate.open() }
      #expect(await ask.exit() == 0, "\(ask.errors)")
      #expect(ask.output == FaultyHosts.answer + "\n")
      #expect(await cluster.process.exit() == 0, "\(cluster.process.errors)")
    }

    @Test("a request that never ends holds up the drain until its deadline, and no longer")
    func overdue() async throws {
      let hosts = try await FaultyHosts.two()
      let gates = hosts.map { $0.hold(.afterToken(2)) }
      defer { for gate in gates { gate.open() } }
      let cluster = try await RunningCluster.start(
        .faulty(hosts), settings: "cluster:\n  drain_seconds: 1\n")
      let children = Set(try await cluster.children().values)
      let ask = try RunningProcess(
        Programs.path("tutti"), ["ask", "-m", FaultyHosts.model, "Hello"],
        environment: ["TUTTI_DATA_DIR": cluster.dataDirectory], in: cluster.directory)
      _ = try await eventually("the answer has begun") { () -> Bool? in
        ask.output.isEmpty ? nil : true
      }
      cluster.process.signal(SIGTERM)
      #expect(await ask.exit() != 0, "\(ask.errors)")
      #expect(!ask.errors.isEmpty)
      // The gateway ended by itself, so no process had to be killed.
      #expect(await cluster.process.exit() == 0, "\(cluster.process.errors)")
      #expect(
        !cluster.process.errors.contains("did not drain in time"), "\(cluster.process.errors)")
      let left = try await cluster.processes().filter { children.contains($0.pid) }
      #expect(left.isEmpty, "\(left)")
    }

    @Test("a service that cannot finish its drain is gone at the deadline, with 1 and a sentence")
    func lastResort() async throws {
      let cluster = try await RunningCluster.start(
        .faulty(FaultyHosts.two()), settings: "cluster:\n  drain_seconds: 1\n")
      // A Python process locks the log for writing. The monitor then waits in SQLite, which
      // cancellation cannot interrupt.
      let holder = try RunningProcess(
        Programs.python,
        [
          "-c",
          """
          import sqlite3, sys
          log = sqlite3.connect(sys.argv[1], isolation_level=None)
          log.execute("BEGIN IMMEDIATE")
          print("held", flush=True)
          sys.stdin.read()
          """, cluster.dataDirectory + "/monitor.sqlite",
        ], in: cluster.directory, hasLifeline: true)
      defer { holder.cutLifeline() }
      _ = try await eventually("the log is held") { () -> Bool? in
        holder.output.contains("held") ? true : nil
      }
      #expect(try await cluster.tutti("ask", "Hello").status == 0)
      let monitor = try #require(try await cluster.children()["tutti-monitor"])
      #expect(kill(monitor, SIGTERM) == 0)
      _ = try await eventually("it ended by itself") { () -> Bool? in
        cluster.process.errors.contains("monitor exited with 1;") ? true : nil
      }
      let said = try String(
        contentsOfFile: cluster.dataDirectory + "/logs/monitor.log", encoding: .utf8)
      #expect(said.contains("The drain took longer than allowed"), "\(said)")
      holder.cutLifeline()
      try await cluster.stop()
    }

    @Test("a second SIGTERM ends everything at once")
    func secondSignal() async throws {
      let hosts = try await FaultyHosts.two()
      let gates = hosts.map { $0.hold(.afterToken(2)) }
      let cluster = try await RunningCluster.start(.faulty(hosts))
      let children = Set(try await cluster.children().values)
      let ask = try RunningProcess(
        Programs.path("tutti"), ["ask", "-m", FaultyHosts.model, "Hello"],
        environment: ["TUTTI_DATA_DIR": cluster.dataDirectory], in: cluster.directory)
      _ = try await eventually("the answer has begun") { () -> Bool? in
        ask.output.isEmpty ? nil : true
      }
      cluster.process.signal(SIGTERM)
      _ = try await eventually("it drains") { () -> Bool? in
        cluster.process.errors.contains("draining") ? true : nil
      }
      cluster.process.signal(SIGTERM)
      _ = await cluster.process.exit()
      #expect(await ask.exit() != 0)
      let left = try await cluster.processes().filter { children.contains($0.pid) }
      #expect(left.isEmpty, "\(left)")
      for gate in gates { gate.open() }
    }
  }
}

/// Hosts in the test's process, so that tests can read their records.
enum FaultyHosts {
  static let model = "faulty-model"
  static let answer = "The quick brown fox jumps over the lazy dog."

  @Sendable static func two() async throws -> [FaultyHost] {
    let configuration = FaultyHostConfiguration(
      models: [model], answer: .text(answer), dialect: .openai)
    return [try await .started(configuration), try await .started(configuration)]
  }
}
