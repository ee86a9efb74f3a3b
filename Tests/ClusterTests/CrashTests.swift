import ClusterModel
import ClusterTesting
import Foundation
import Testing

extension ProcessTests {
  @Suite(
    "A cluster whose processes crash", .serialized,
    .cluster { try await RunningCluster.start(.faulty(FaultyHosts.two())) })
  struct CrashTests {
    @Test(
      "the port is free, the service answers again, and its backtrace is written with names",
      arguments: ["registry", "gateway", "monitor"])
    func crash(service: String) async throws {
      let cluster = try RunningCluster.current()
      let before = try await cluster.children()
      let victim = try #require(before["tutti-\(service)"])
      #expect(kill(victim, SIGSEGV) == 0)
      // If any process still had the port, each successor of the service would end at once.
      let after = try await eventually("\(service) runs again") { () -> [String: pid_t]? in
        let children = try await cluster.children()
        return children["tutti-\(service)"].map { $0 != victim } == true ? children : nil
      }
      for (name, pid) in before where name != "tutti-\(service)" {
        #expect(after[name] == pid, "\(name) did not stay")
      }
      let url = [
        "registry": cluster.registry, "gateway": cluster.gateway, "monitor": cluster.monitor,
      ][service]
      let health = try #require(url) + "/health"
      _ = try await eventually("\(service) answers again") { () -> Bool? in
        guard let (status, _) = try? await cluster.get(health) else { return nil }
        return status == 200 ? true : nil
      }
      #expect(try await cluster.children()["tutti-\(service)"] == after["tutti-\(service)"])

      let report = "\(cluster.dataDirectory)/crashes/\(service)-\(victim).txt"
      let text = try await eventually("the backtrace is written") { () -> String? in
        let text = try? String(contentsOfFile: report, encoding: .utf8)
        return text?.contains("Backtrace took") == true ? text : nil
      }
      #expect(text.contains("signal 11") && text.contains("_dispatch_sig_thread"), "\(text)")
      // The forked copy that wrote the report has ended too.
      _ = try await eventually("nothing is left of the crashed process") { () -> Bool? in
        let left = try await cluster.processes().filter {
          $0.command.contains("tutti-\(service) ") && $0.command.contains(cluster.dataDirectory)
        }
        return left.count == 1 ? true : nil
      }
      let status = try await eventually("the status is complete") { () -> Outcome? in
        let outcome = try await cluster.tutti("status")
        return outcome.status == 0 ? outcome : nil
      }
      #expect(status.output.contains("was killed by signal 11 (SEGV)"), "\(status)")
      #expect(status.output.contains(report), "\(status)")
      let metrics = try await eventually("the crash is counted") { () -> String? in
        let (_, body) = try await cluster.get(cluster.monitor + "/metrics")
        return body.split(separator: "\n").map(String.init).first {
          $0.hasPrefix("tutti_process_crashes_total{") && $0.contains("\"\(service)\"")
            && $0.hasSuffix(" 1")
        }
      }
      #expect(!metrics.isEmpty)
    }

    @Test("a host that cannot be stored is not there, and one that was is as it was")
    func notStored() async throws {
      let cluster = try RunningCluster.current()
      let file = unsafe open(cluster.dataDirectory + "/registry.sqlite", O_RDWR)
      try #require(file >= 0)
      // The process that locks SQLite's reserved byte is the writer.
      var lock = flock()
      lock.l_type = Int16(F_WRLCK)
      lock.l_whence = Int16(SEEK_SET)
      lock.l_start = 0x4000_0001
      lock.l_len = 1
      let locked = unsafe fcntl(file, F_SETLK, &lock)
      #expect(locked == 0)
      let id = try await cluster.tutti("hosts", "list").output.split(separator: "\n")[1]
        .split(separator: " ")[0]
      for arguments in [
        ["hosts", "add", "http://127.0.0.1:9", "--id", "new"], ["hosts", "suspend", "\(id)"],
        ["hosts", "remove", "\(id)"],
      ] {
        let outcome = try await Programs.run(
          Programs.path("tutti"), arguments,
          environment: ["TUTTI_DATA_DIR": cluster.dataDirectory], in: cluster.directory)
        #expect(outcome.status == 1 && outcome.errors.contains("nothing was changed"), "\(outcome)")
      }
      let list = try await cluster.tutti("hosts", "list").output
      #expect(!list.contains("new") && !list.contains("suspended") && list.contains(id), "\(list)")
      close(file)
      let suspended = try await cluster.tutti("hosts", "suspend", "\(id)")
      #expect(suspended.status == 0, "\(suspended)")
      #expect(try await cluster.tutti("hosts", "list").output.contains("suspended"))
      #expect(try await cluster.tutti("hosts", "resume", "\(id)").status == 0)
    }

    @Test("a terminal executes no control characters of a host")
    func escapes() async throws {
      let cluster = try RunningCluster.current()
      let host = try await FaultyHost.started(
        FaultyHostConfiguration(
          models: ["escape-model"], answer: .text("before\u{1B}]0;title\u{07}\u{9B}2Jafter"),
          dialect: .openai))
      let added = try await cluster.tutti(
        "hosts", "add", host.url, "--id", "escape", "--alias", "escape-alias")
      #expect(added.status == 0 && added.output == "escape\n", "\(added)")
      #expect(added.errors.contains("host escape is ready: escape-model"), "\(added)")
      #expect(
        added.errors.contains("alias escape-alias stands for escape-model"), "\(added)")
      _ = try await eventually("the gateway knows the model") { () -> Bool? in
        try await cluster.get(cluster.gateway + "/v1/models").body.contains("escape-model")
          ? true : nil
      }
      for arguments in [
        ["ask", "-m", "escape-model", "Hello"],
        ["ask", "--trace", "--json", "-m", "escape-model", "Hello"], ["status"],
        ["status", "--json"], ["hosts", "list"], ["hosts", "list", "--json"],
      ] {
        let outcome = try await Programs.run(
          Programs.path("tutti"), arguments,
          environment: ["TUTTI_DATA_DIR": cluster.dataDirectory], in: cluster.directory)
        #expect(outcome.status == 0, "\(outcome)")
        let scalars = (outcome.output + outcome.errors).unicodeScalars
        #expect(!scalars.contains { $0 == "\u{1B}" || $0 == "\u{9B}" || $0 == "\u{07}" })
      }
      let answer = try await cluster.tutti("ask", "-m", "escape-model", "Hello")
      #expect(answer.output == "before␛]0;title␇\\u{9B}2Jafter\n")
      #expect(try await cluster.tutti("hosts", "remove", "escape").status == 0)
      #expect(try await cluster.tutti("models", "reset", "escape-alias").status == 0)
      try await host.stop()
    }
  }

  @Suite("Files and secrets of a cluster", .serialized)
  struct SecretFileTests {
    @Test("a program that took the registry's port does not get the admin token")
    func impostor() async throws {
      let directory = try TemporaryDirectory()
      let impostor = try await FaultyHost.started()
      let data = directory.path + "/data"
      try FileManager.default.createDirectory(
        atPath: data, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
      let cluster =
        #"{"gateway":"\#(impostor.url)","registry":"\#(impostor.url)","#
        + #""monitor":"\#(impostor.url)"}"#
      try Data(cluster.utf8).write(to: URL(filePath: data + "/cluster.json"))
      let token = "0123456789abcdef0123456789abcdef"
      let outcome = try await Programs.run(
        Programs.path("tutti"), ["hosts", "list"],
        environment: ["TUTTI_DATA_DIR": data, "TUTTI_ADMIN_TOKEN": token], in: directory)
      #expect(outcome.status == 1 && outcome.errors.contains("does not prove"), "\(outcome)")
      #expect(!impostor.requests.contains { $0.headers.values.contains { $0.contains(token) } })
      try await impostor.stop()
    }

    @Test("a data directory that others may write is refused with what to do")
    func directory() async throws {
      let directory = try TemporaryDirectory()
      let data = directory.path + "/data"
      try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
      try FileManager.default.setAttributes([.posixPermissions: 0o777], ofItemAtPath: data)
      let up = try await Programs.run(
        Programs.path("tutti"), ["up", "--host", "http://127.0.0.1:9", "--data-dir", data],
        in: directory)
      let service = try await Programs.run(
        Programs.path("tutti-planner"), ["--data-dir", data], in: directory)
      for outcome in [up, service] {
        #expect(outcome.status == 69 && outcome.errors.contains("chmod go-w"), "\(outcome)")
      }
    }

    @Test(
      "an admin token or a store that is a link is refused",
      arguments: ["admin-token", "registry.sqlite"])
    func link(name: String) async throws {
      let directory = try TemporaryDirectory()
      let data = directory.path + "/data"
      try FileManager.default.createDirectory(
        atPath: data, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
      try FileManager.default.createSymbolicLink(
        atPath: "\(data)/\(name)", withDestinationPath: directory.path + "/elsewhere")
      let outcome = try await Programs.run(
        Programs.path("tutti-registry"), ["--data-dir", data, "--port", "0"], in: directory)
      #expect(outcome.status == 69 && outcome.errors.contains("symbolic link"), "\(outcome)")
      #expect(!FileManager.default.fileExists(atPath: directory.path + "/elsewhere"))
    }
  }
}
