import Foundation
import Testing

extension ProcessTests {
  @Suite("`tutti chat`, and commands without the admin token")
  struct ChatTests {
    @Test(
      "turns are kept, cut, saved, stopped and continued",
      arguments: ["piped", "cut", "failed", "saved", "stopped", "interrupted"])
    func chat(check: String) async throws { try await passes(check) }

    @Test("the status of a cluster without the admin token shows its health")
    func status() async throws { try await passes("status") }

    @Test("shells complete the names of models")
    func completions() async throws { try await passes("completed") }

    @Test(
      "a mistyped command gets a guess and the exit status of a usage mistake",
      arguments: [
        (["stauts"], "`tutti status`"), (["hosts", "lst"], "`tutti hosts list`"),
        (["Why is the sky blue?"], "tutti ask"),
      ])
    func guess(arguments: [String], expected: String) async throws {
      let outcome = try await Programs.run(
        Programs.path("tutti"), arguments, in: TemporaryDirectory())
      #expect(outcome.status == 64 && outcome.errors.contains(expected), "\(outcome)")
    }

    private func passes(_ check: String) async throws {
      let outcome = try await Programs.script(
        "chat_cli.py", [check, Programs.path("tutti")], in: TemporaryDirectory())
      #expect(outcome.status == 0, "\(outcome)")
    }
  }
}
