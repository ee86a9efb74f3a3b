import Foundation
import Testing

extension ProcessTests {
  @Suite("The manual's commands")
  struct ManualCommandTests {
    private static let manual = Programs.benchmarks.deletingLastPathComponent()
      .appending(path: "docs/manual").path

    @Test("every command of every page does what its page states, in the order of the index")
    func commands() async throws {
      let outcome = try await Programs.script(
        "manual_commands.py", [Programs.directory, Self.manual], in: TemporaryDirectory())
      #expect(outcome.status == 0, "\(outcome)")
    }
  }
}
