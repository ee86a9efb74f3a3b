import ClusterModel
import ClusterTesting
import Foundation
import Testing

extension ProcessTests {
  @Suite("The start of a cluster", .serialized)
  struct StartTests {
    static let services = ServiceName.all.map { "tutti-\($0)" }

    @Test("a data directory of 200 characters works, and one in use is named with its owner")
    func dataDirectory() async throws {
      let directory = try TemporaryDirectory()
      let padding = 200 - directory.path.utf8.count - 2
      let long =
        directory.path + "/" + String(repeating: "d", count: padding / 2) + "/"
        + String(repeating: "e", count: padding - padding / 2)
      #expect(long.utf8.count == 200)
      let cluster = try await RunningCluster.start(
        .faulty(FaultyHosts.two()), dataDirectory: long)
      let answer = try await cluster.tutti("ask", "-m", "tutti/ensemble", "Hello")
      #expect(answer.status == 0 && answer.output.contains("quick brown fox"), "\(answer)")

      let second = try await Programs.run(
        Programs.path("tutti"),
        ["up", "--data-dir", long, "--port", "1999", "--host", "http://127.0.0.1:9"],
        in: directory)
      #expect(second.status == 75, "\(second)")
      #expect(second.errors.contains("pid \(cluster.process.pid)"), "\(second)")

      let third = try await Programs.run(
        Programs.path("tutti"),
        [
          "up", "--data-dir", directory.path + "/other", "--port", "\(cluster.port)", "--host",
          "http://127.0.0.1:9",
        ], in: directory)
      #expect(third.status == 69, "\(third)")
      #expect(third.errors.contains("\(cluster.port)"), "\(third)")
      #expect(third.errors.contains("--port"), "\(third)")

      // A service that is started by hand is refused if its data directory or its port is in use.
      for service in ["registry", "monitor"] {
        let fourth = try await Programs.run(
          Programs.path("tutti-\(service)"), ["--data-dir", long, "--port", "127.0.0.1:0"],
          in: directory)
        #expect(fourth.status == 75, "\(fourth)")
        #expect(fourth.errors.contains("named \(service) already runs"), "\(fourth)")
        #expect(fourth.errors.contains("--data-dir"), "\(fourth)")
        let fifth = try await Programs.run(
          Programs.path("tutti-\(service)"),
          ["--data-dir", directory.path + "/alone", "--port", "\(cluster.port)"], in: directory)
        #expect(fifth.status == 69 && fifth.errors.contains("with --port"), "\(fifth)")
      }
      try await cluster.stop()
      #expect(!FileManager.default.fileExists(atPath: long + "/cluster.json"))
    }

    @Test("hosts are known after a restart, and an admin's decision with them")
    func restart() async throws {
      let hosts = try await FaultyHosts.two()
      let cluster = try await RunningCluster.start(.faulty(hosts))
      #expect(
        try await cluster.tutti("hosts", "add", "http://127.0.0.1:9", "--id", "kept").status == 75)
      #expect(try await cluster.tutti("hosts", "suspend", "kept").status == 0)
      try await cluster.stop()
      let again = try await RunningCluster.start(
        .faulty(hosts), dataDirectory: cluster.dataDirectory)
      let list = try await again.tutti("hosts", "list")
      let line = list.output.split(separator: "\n").first { $0.hasPrefix("kept ") }
      #expect(line?.contains("suspended") == true, "\(list)")
      try await again.stop()
    }

    @Test("requests are logged in MongoDB when its address is set")
    func mongoDB() async throws {
      let directory = try TemporaryDirectory()
      let (server, uri) = try await startMongoServer(in: directory)
      defer { server.cutLifeline() }
      let cluster = try await RunningCluster.start(
        .faulty(FaultyHosts.two()), environment: ["TUTTI_MONGODB_URI": uri])
      let answer = try await cluster.tutti("ask", "--trace", "-m", "tutti/fast", "Hello")
      let id = try #require(
        answer.errors.split(separator: " ").compactMap {
          TraceID($0.trimmingCharacters(in: .whitespacesAndNewlines))
        }.last, "\(answer)")
      _ = try await eventually("the request \(id) is in the log") { () -> Bool? in
        let (status, body) = try await cluster.get(cluster.monitor + "/requests?trace=\(id)")
        return status == 200 && body.contains("\(id)") ? true : nil
      }
      // The embedded store was not opened.
      let files = try FileManager.default.contentsOfDirectory(atPath: cluster.dataDirectory)
      #expect(!files.contains { $0.contains("monitor") && $0.contains("sqlite") }, "\(files)")
      try await cluster.stop()
    }

    @Test("a cluster runs in links to the executable of a distribution")
    func links() async throws {
      let manager = FileManager.default
      // `tutti up` starts the services next to its own file, so the directory has only links. The
      // first one is a hard link, which needs the same file system.
      let folder = Programs.path("links-\(UUID().uuidString)")
      try manager.createDirectory(atPath: folder, withIntermediateDirectories: true)
      defer { try? manager.removeItem(atPath: folder) }
      try manager.linkItem(atPath: Programs.path("all-of-tutti"), toPath: folder + "/tutti")
      for service in Self.services {
        try manager.createSymbolicLink(
          atPath: "\(folder)/\(service)", withDestinationPath: "tutti")
      }
      let cluster = try await RunningCluster.start(
        .faulty(FaultyHosts.two()), executables: folder)
      let answer = try await cluster.tutti("ask", "-m", "tutti/ensemble", "Hello")
      #expect(answer.status == 0 && answer.output.contains("quick brown fox"), "\(answer)")
      let processes = try await eventually("all services are in the status") { () -> String? in
        let status = try await cluster.tutti("status")
        let isComplete = Self.services.allSatisfy {
          status.output.contains($0.dropFirst("tutti-".count))
        }
        return isComplete ? status.output : nil
      }
      #expect(processes.contains("ready"), "\(processes)")
      try await cluster.stop()
    }

    @Test("every executable explains itself", arguments: services + ["tutti", "tutti-faulty-host"])
    func help(program: String) async throws {
      let directory = try TemporaryDirectory()
      let outcome = try await Programs.run(Programs.path(program), ["--help"], in: directory)
      #expect(outcome.status == 0, "\(outcome)")
      #expect(outcome.output.contains(program), "\(outcome)")
      #expect(outcome.output.contains("--"), "\(outcome)")
      let version = try await Programs.run(Programs.path(program), ["--version"], in: directory)
      if program != "tutti-faulty-host" {
        #expect(version.output.hasPrefix("\(program) \(Version.current)"), "\(version)")
      }
    }

    @Test(
      "help has whole lines at the width of a terminal",
      arguments: [
        [], ["up"], ["ask"], ["chat"], ["plan"], ["status"], ["hosts"], ["hosts", "add"], ["logs"],
        ["trace"], ["simulate", "race"],
      ])
    func helpLines(command: [String]) async throws {
      let outcome = try await Programs.run(
        Programs.path("tutti"), command + ["--help"], environment: ["COLUMNS": "80"],
        in: TemporaryDirectory())
      let lines = outcome.output.components(separatedBy: "\n")
      #expect(lines.allSatisfy { $0.count <= 80 || $0.hasPrefix("USAGE") }, "\(outcome)")
      // A line that ends early in the middle of a sentence was wrapped twice.
      let text = lines.prefix { !$0.hasPrefix("USAGE") }
      for (line, next) in zip(text, text.dropFirst()) where next.first?.isLowercase == true {
        let word = next.prefix { $0 != " " }
        guard !line.isEmpty, !word.hasPrefix("tutti/") else { continue }
        #expect(line.count + 1 + word.count > 78, "“\(line)” and “\(next)”")
      }
    }

    @Test("--check-config accepts what is right and names every mistake", arguments: services)
    func checkConfig(program: String) async throws {
      let directory = try TemporaryDirectory()
      let right = try await Programs.run(
        Programs.path(program), ["--check-config", "--data-dir", directory.path], in: directory)
      #expect(right.status == 0, "\(right)")
      let wrong = try await Programs.run(
        Programs.path(program),
        ["--check-config", "--log-level", "loud", "--http", "nowhere:x", "--no-such-flag"],
        in: directory)
      #expect(wrong.status == 64, "\(wrong)")
      for mistake in ["--log-level", "--http", "--no-such-flag"] {
        #expect(wrong.errors.contains(mistake), "\(wrong)")
      }
    }

    @Test("`tutti up` names every mistake in its configuration and starts nothing")
    func mistakes() async throws {
      let directory = try TemporaryDirectory()
      let outcome = try await Programs.run(
        Programs.path("tutti"),
        [
          "up", "--port", "80a", "--embedded-hosts", "99", "--host", "nowhere", "--data-dir",
          directory.path + "/data", "--drain-seconds", "-3", "--no-such-flag", "--log-level",
          "debug",
        ], in: directory)
      #expect(outcome.status == 64, "\(outcome)")
      for mistake in [
        "--port", "--embedded-hosts", "--host", "--drain-seconds", "--no-such-flag", "--log-level",
      ] {
        #expect(outcome.errors.contains(mistake), "\(outcome)")
      }
      #expect(!FileManager.default.fileExists(atPath: directory.path + "/data"))
      let file = directory.path + "/tutti.yaml"
      try Data().write(to: URL(fileURLWithPath: file))
      let empty = try await Programs.run(
        Programs.path("tutti"), ["up", "--check-config", "--config", file], in: directory)
      #expect(empty.status == 0, "\(empty)")
      // The services' settings are checked before any service is started.
      try Data("gateway:\n  max_requests: many\nregistry:\n  hosts: [nowhere]\nnonsense:\n".utf8)
        .write(to: URL(fileURLWithPath: file))
      for more in [["--check-config"], ["--data-dir", directory.path + "/data"]] {
        let wrong = try await Programs.run(
          Programs.path("tutti"), ["up", "--config", file, "--port", "80a"] + more, in: directory)
        #expect(wrong.status == 64, "\(wrong)")
        for mistake in ["--port", "gateway.max_requests", "registry.hosts", "`nonsense`"] {
          #expect(wrong.errors.components(separatedBy: mistake).count == 2, "\(mistake): \(wrong)")
        }
        #expect(!wrong.errors.contains("started"), "\(wrong)")
      }
      let right = try await Programs.run(
        Programs.path("tutti"), ["up", "--check-config", "--port", "9000"], in: directory)
      #expect(right.status == 0 && right.output.contains("9000"), "\(right)")
    }

    @Test("a start with a host that refuses connections reports it, and succeeds")
    func silentHost() async throws {
      let directory = try TemporaryDirectory()
      for _ in 1...10 {
        let port = Int.random(in: 2_000...3_100) * 10
        let process = try RunningProcess(
          Programs.path("tutti"),
          [
            "up", "--port", "\(port)", "--data-dir", directory.path + "/data", "--host",
            "http://127.0.0.1:9",
          ], in: directory, hasLifeline: true)
        let isTold = try await eventually("it says so, or the port is taken") { () -> Bool? in
          if process.errors.contains("taken") { return false }
          let isExplained =
            process.errors.contains("(http://127.0.0.1:9)")
            && process.errors.contains("nothing listens there")
          return isExplained && process.output.contains("gateway   http://") ? true : nil
        }
        guard isTold else { continue }
        process.signal(SIGTERM)
        #expect(await process.exit() == 0, "\(process.errors)")
        return
      }
      Issue.record("no free ports were found")
    }

    @Test("without the local model, and without a cluster, one sentence says what to do")
    func sentences() async throws {
      let directory = try TemporaryDirectory()
      let up = try await Programs.run(
        Programs.path("tutti"), ["up", "--data-dir", directory.path + "/data"],
        environment: ["TUTTI_MODEL_ENV": directory.path + "/nothing"], in: directory)
      #expect(up.status == 69, "\(up)")
      #expect(up.errors.contains("make setup") && up.errors.contains("--host"), "\(up)")
      for arguments in [["ask", "Hello"], ["status"], ["logs"], ["hosts", "list"]] {
        let outcome = try await Programs.run(
          Programs.path("tutti"), arguments, environment: ["TUTTI_DATA_DIR": directory.path],
          in: directory)
        #expect(outcome.status == 69, "\(outcome)")
        #expect(outcome.errors.contains("tutti up"), "\(outcome)")
      }
      let usage = try await Programs.run(Programs.path("tutti"), ["ask"], in: directory)
      #expect(usage.status == 64, "\(usage)")
    }
  }
}
