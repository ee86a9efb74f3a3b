import ClusterTesting
import Foundation
import Testing

extension ProcessTests {
  @Suite("Output of `tutti ask`")
  struct AskTests {
    @Test(
      "the answer reaches a pipe as it was written, and the terminal is left to it",
      arguments: ["piped", "terminal"])
    func output(check: String) async throws {
      try await passes(check)
    }

    @Test("an error in the stream has the exit status of one that comes before it")
    func error() async throws { try await passes("overloaded") }

    @Test(
      "an answer that was cut, or that another task wrote, is reported on standard error",
      arguments: ["cut", "degraded"])
    func end(check: String) async throws { try await passes(check) }

    @Test("--timeout holds for the whole answer")
    func timeout() async throws { try await passes("overdue") }

    @Test("--data-policy reaches the gateway")
    func policy() async throws { try await passes("policy") }

    @Test("standard input is joined with the question")
    func standardInput() async throws { try await passes("stdin") }

    @Test("files, images, the system message, the race mode and the deadline reach the gateway")
    func parts() async throws { try await passes("parts") }

    @Test("a data policy that does not exist is refused", arguments: ["ask", "plan"])
    func badPolicy(command: String) async throws {
      let outcome = try await Programs.run(
        Programs.path("tutti"),
        [command, "--url", "http://127.0.0.1:1", "--data-policy", "locl", "Hello"],
        in: TemporaryDirectory())
      #expect(
        outcome.status == 64 && outcome.errors.contains("any, trusted or local"), "\(outcome)")
    }

    @Test("a temperature that is no number is refused in words")
    func temperature() async throws {
      let outcome = try await Programs.run(
        Programs.path("tutti"),
        ["ask", "--url", "http://127.0.0.1:1", "--temperature", "nan", "Hello"],
        in: TemporaryDirectory())
      #expect(outcome.status == 64 && outcome.errors.contains("--temperature"), "\(outcome)")
    }

    @Test("latencies beyond all measure are simulated like others")
    func simulation() async throws {
      let outcome = try await Programs.run(
        Programs.path("tutti"),
        ["simulate", "race", "--median", "1e300", "--sigma", "0.7,30", "--samples", "1000"],
        in: TemporaryDirectory())
      #expect(outcome.status == 0, "\(outcome)")
    }

    private func passes(_ check: String) async throws {
      let outcome = try await Programs.script(
        "ask_output.py", [check, Programs.path("tutti")], in: TemporaryDirectory())
      #expect(outcome.status == 0, "\(outcome)")
    }
  }
}
