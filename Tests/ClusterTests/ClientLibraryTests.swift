import Foundation
import Testing

extension ProcessTests {
  /// Runs `Benchmarks/clients/compare.py`, which starts its own cluster and scripted hosts.
  @Suite("Client libraries", .serialized)
  struct ClientLibraryTests {
    /// The most common host behaviours. `make clients` plays all behaviours.
    static let habits = [
      "exact", "pretty_body", "many_data_lines", "finish_empty", "done_without_finish",
      "null_first", "gzipped", "no_stream_options", "message_beside_delta", "rate_limited",
      "context_too_long", "batch",
    ]

    @Test("four client libraries return the same directly and through Tutti")
    func equality() async throws {
      let directory = try TemporaryDirectory()
      let clients = [
        "openai": Programs.python, "langchain": Programs.clientsPython,
        "llama_index": Programs.clientsPython, "instructor": Programs.clientsPython,
      ]
      let pythons = clients.flatMap { ["--python", "\($0.key)=\($0.value)"] }
      let outcome = try await Programs.run(
        Programs.python,
        [
          Programs.benchmarks.appending(path: "clients/compare.py").path,
          "--bin", Programs.directory, "--clients", clients.keys.sorted().joined(separator: ","),
          "--habits", Self.habits.joined(separator: "|"),
        ] + pythons, environment: ["PYTHONDONTWRITEBYTECODE": "1"], in: directory)
      #expect(outcome.status == 0, "\(outcome)")
    }
  }
}
