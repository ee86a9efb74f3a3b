import ClusterTesting
import Foundation
import Testing

extension ProcessTests {
  @Suite("Clusters in the background, and files of models", .serialized)
  struct DetachTests {
    /// Ports below the range from which the kernel takes ports for outgoing connections.
    private static func port() -> Int { Int.random(in: 2_000...3_100) * 10 }

    private static func tutti(
      _ arguments: String..., in directory: TemporaryDirectory
    ) async throws -> Outcome {
      try await Programs.run(
        Programs.path("tutti"), arguments,
        environment: ["TUTTI_DATA_DIR": directory.path + "/data"], in: directory)
    }

    /// Starts a cluster in the background, on ports that are free.
    private static func start(
      _ arguments: [String], in directory: TemporaryDirectory
    ) async throws -> Outcome {
      for _ in 1...10 {
        let outcome = try await Programs.run(
          Programs.path("tutti"), ["up", "--detach", "--port", "\(port())"] + arguments,
          environment: ["TUTTI_DATA_DIR": directory.path + "/data"], in: directory)
        if outcome.status == 0 || !outcome.errors.contains("taken") { return outcome }
      }
      throw TooLate(description: "no free ports were found")
    }

    @Test("a cluster runs on after `up --detach`, which shows live and dead hosts, until `stop`")
    func detach() async throws {
      let directory = try TemporaryDirectory()
      let host = try #require(try await FaultyHosts.two().first)
      let nothing = try await Self.tutti("stop", in: directory)
      #expect(nothing.status == 69 && nothing.errors.contains("no cluster runs"), "\(nothing)")

      let up = try await Self.start(
        ["--host", host.url, "--host", "http://127.0.0.1:9"], in: directory)
      try #require(up.status == 0, "\(up)")
      do {
        let lines = up.output.split(separator: "\n")
        let hosts = lines.filter { $0.hasPrefix("host ") }
        #expect(hosts.count == 2, "\(up)")
        #expect(
          hosts.contains { $0.contains(host.url) && $0.contains("ready: \(FaultyHosts.model)") },
          "\(up)")
        #expect(
          hosts.contains { $0.contains("127.0.0.1:9 ") && $0.contains("is not answering: ") },
          "\(up)")
        #expect(lines.last?.hasPrefix("access ") == true, "\(up)")
        #expect(up.errors.contains("services ready after"), "\(up)")

        let answer = try await Self.tutti("ask", "-m", "tutti/fast", "Hello", in: directory)
        #expect(answer.status == 0 && answer.output.contains("quick brown fox"), "\(answer)")
        let second = try await Self.tutti(
          "up", "--detach", "--port", "1999", "--host", host.url, in: directory)
        #expect(second.status == 75 && second.errors.contains("is in use"), "\(second)")
      } catch {
        _ = try? await Self.tutti("stop", "--now", in: directory)
        throw error
      }
      let stop = try await Self.tutti("stop", in: directory)
      #expect(stop.status == 0 && stop.errors.contains("has stopped"), "\(stop)")
      #expect(!FileManager.default.fileExists(atPath: directory.path + "/data/cluster.json"))
      let again = try await Self.tutti("stop", in: directory)
      #expect(again.status == 69, "\(again)")
    }

    @Test("a detached start that fails shows why and returns the status")
    func failure() async throws {
      let directory = try TemporaryDirectory()
      let taken = try await FaultyHosts.two()[0]
      let port = try #require(URL(string: taken.url)?.port)
      let outcome = try await Self.tutti(
        "up", "--detach", "--port", "\(min(port, 65_533))", "--host", taken.url, in: directory)
      #expect(outcome.status == 69, "\(outcome)")
      #expect(outcome.errors.contains("already taken"), "\(outcome)")
      #expect(outcome.errors.contains("up.log"), "\(outcome)")
    }

    @Test("mistakes in files of models are named together with all others")
    func mistakes() async throws {
      let directory = try TemporaryDirectory()
      let file = directory.path + "/text.gguf"
      try Data("text".utf8).write(to: URL(fileURLWithPath: file))
      let outcome = try await Self.tutti(
        "up", "--port", "80a", "--model", file, "--model", "a=/no/such/file", in: directory)
      #expect(outcome.status == 64, "\(outcome)")
      for part in ["--port", "text.gguf” is not a GGUF", "/no/such/file” does not exist"] {
        #expect(outcome.errors.contains(part), "\(part): \(outcome)")
      }
    }

    @Test("two named models answer under their names, and `stop --now` ends their servers")
    func models() async throws {
      let directory = try TemporaryDirectory()
      let environment = try #require(ProcessInfo.processInfo.environment["TUTTI_MODEL_ENV"])
      let found = FileManager.default.enumerator(atPath: environment)?
        .compactMap { $0 as? String }.first { $0.hasSuffix(".gguf") }
      let file = environment + "/" + (try #require(found))
      let up = try await Self.start(
        ["--model", "first=\(file)", "--model", "second=\(file)"], in: directory)
      try #require(up.status == 0, "\(up)")
      do {
        for name in ["first", "second"] {
          #expect(up.errors.contains("loading \(name) (98 MB) into embedded-"), "\(up)")
          #expect(up.output.contains("is ready: \(name)"), "\(up)")
          let answer = try await Self.tutti(
            "ask", "-m", name, "--max-tokens", "4", "Hello", in: directory)
          #expect(answer.status == 0 && answer.hasText, "\(answer)")
        }
        #expect(
          up.errors.contains(/embedded-1: model loaded after .+, first answer after/), "\(up)")
        let builtIn = try await Self.tutti(
          "ask", "-m", "SmolLM2-135M-Instruct", "Hello", in: directory)
        #expect(builtIn.status == 64, "\(builtIn)")
      } catch {
        _ = try? await Self.tutti("stop", "--now", in: directory)
        throw error
      }
      let stop = try await Self.tutti("stop", "--now", in: directory)
      #expect(stop.status == 0, "\(stop)")
    }

    @Test("a file that llama.cpp cannot load ends the start at once, and its log is shown")
    func brokenFile() async throws {
      let directory = try TemporaryDirectory()
      let file = directory.path + "/cut.gguf"
      try Data("GGUF, and then something else".utf8).write(to: URL(fileURLWithPath: file))
      let outcome = try await Self.start(["--model", file], in: directory)
      #expect(outcome.status == 64, "\(outcome)")
      #expect(outcome.errors.contains("cut.gguf"), "\(outcome)")
    }
  }
}
