import ClusterModel
import ClusterTesting
import Foundation
import Synchronization
import Testing

extension ProcessTests {
  /// Sends a document that is longer than the context of the hosts through the real executables.
  @Suite("Long documents", .serialized)
  struct LongDocumentTests {
    /// The prompts that hosts received.
    private final class Prompts: Sendable {
      private let texts = Mutex<[String]>([])

      func append(_ question: FaultyHostQuestion) {
        let text = question.messages.map(\.text).joined(separator: "\n")
        texts.withLock { $0.append(text) }
      }

      /// Returns the prompts so far, and forgets them.
      func take() -> [String] {
        texts.withLock { texts in
          defer { texts = [] }
          return texts
        }
      }
    }

    /// Lines of a document of about 10,000 tokens. The hosts have a context of 4,096 tokens.
    private static let lines = (1...600).map {
      "Entry \($0) of the log: ship \($0 * 7) left the harbour with grain for the north."
    }

    private static func options() throws -> String {
      let text = lines.joined(separator: "\n\n")
      let quoted = String(decoding: try JSONEncoder().encode(text), as: UTF8.self)
      return #"{"trace":true,"documents":[{"name":"log.txt","text":\#(quoted)}]}"#
    }

    @Test(
      "every part of a long document reaches a host for a summary; other questions get excerpts")
    func longDocument() async throws {
      let prompts = Prompts()
      var hosts: [FaultyHost] = []
      for _ in 0..<2 {
        hosts.append(
          try await .started(
            FaultyHostConfiguration(
              models: ["general-8b"], contextTokens: 4_096,
              answer: .writer { question in
                prompts.append(question)
                return FaultyHostReply("The ships carry grain.")
              }, dialect: .openai)))
      }
      let cluster = try await RunningCluster.start(.faulty(hosts))

      let summary = try await PatternClient.ask(
        cluster, "tutti/decompose", "Summarise this log.", stream: false, try Self.options())
      #expect(summary.status == 200 && summary.hasText, "\(summary)")
      let plan = try #require(summary.trace, "\(summary)")
      #expect(plan.pattern == "tutti/decompose", "\(summary)")
      #expect(plan.reason?.contains("parts of the document") == true, "\(summary)")
      let parts = plan.tasks.dropLast()
      #expect(parts.count > 2 && parts.map(\.id) == (1...parts.count).map { "part-\($0)" })
      #expect(plan.tasks.last?.inputs == parts.map(\.id), "\(summary)")
      #expect(plan.tasks.allSatisfy { $0.status == "done" && $0.excerpts == nil }, "\(summary)")
      let read = prompts.take()
      let missing = Self.lines.filter { line in !read.contains { $0.contains(line) } }
      #expect(missing.isEmpty, "\(missing)")
      // The prompt of the answer contains notes and no line of the document.
      #expect(read.contains { $0.contains("The ships carry grain.") && !$0.contains("Entry ") })

      let question = try await PatternClient.ask(
        cluster, "tutti/decompose", "Where did ship 700 go?", stream: true, try Self.options())
      let direct = try #require(question.trace, "\(question)")
      #expect(direct.tasks.count == 1, "\(question)")
      let excerpt = try #require(direct.tasks.first?.excerpts?.first, "\(question)")
      #expect(excerpt.document == "log.txt", "\(question)")
      #expect((1..<excerpt.bytes).contains(excerpt.readBytes), "\(question)")
      #expect(
        question.comments.contains { $0.contains(#""excerpt":{"documents":1,"#) }, "\(question)")
      try await cluster.stop()
    }
  }
}
