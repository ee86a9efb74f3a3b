import ClusterModel
import ClusterTesting
import Testing

@Suite("Documents that a task reads")
struct TaskDocumentsTests {
  @Test("a small document is given whole, cited, and what is claimed is held against it")
  func smallDocument() async throws {
    let budget = Document(name: "budget.md", text: "The Kestrel budget is 42 million euros.")
    let done = try await perform(order(documents: [budget])) { _ in
      "The Kestrel budget is 45 million euros [1]."
    }
    #expect(done.bodies[0].contains(#"[1]\n<"#) && done.bodies[0].contains(#">\nbudget.md\nThe"#))
    #expect(done.report.output.contains("Sources: [1] budget.md"))
    #expect(done.report.output.contains("The sources say otherwise than this"))
    #expect(done.told.text == done.report.output)
    #expect(done.attribute("facts") == "0 supported, 0 unsupported, 1 contradicted")
    #expect(done.attribute("documents") == "1, whole")
    #expect(done.told.excerpts == [])
  }

  @Test(
    "a part of the answer names its sources, and what was found of its claims goes to the trace only"
  )
  func part() async throws {
    let budget = Document(name: "budget.md", text: "The Kestrel budget is 42 million euros.")
    var part = order(documents: [budget])
    part.isPart = true
    let done = try await perform(part) { _ in "The Kestrel budget is 45 million euros [1]." }
    #expect(done.report.output.hasSuffix("Sources: [1] budget.md"), "\(done.report.output)")
    #expect(!done.report.output.contains("The sources say otherwise"))
    #expect(done.attribute("facts") == "0 supported, 0 unsupported, 1 contradicted")
  }

  @Test("of long documents the passage that was asked for reaches the prompt")
  func longDocuments() async throws {
    let documents = (0..<10).map { number in
      Document(
        name: "d\(number).md",
        text: (0..<10).map { place in
          number == 6 && place == 4
            ? "The Kestrel archive opens with violet-heron-7731."
            : String(repeating: "Ships came and went in year \(number)\(place). ", count: 30)
        }.joined(separator: "\n\n"))
    }
    let done = try await perform(
      order(documents: documents, question: "What opens the Kestrel archive?")
    ) { question in
      let found = question.messages.contains { $0.text.contains("violet-heron-7731") }
      return found ? "The Kestrel archive opens with violet-heron-7731 [1]." : "Not known."
    }
    #expect(done.report.output.hasPrefix("The Kestrel archive opens with violet-heron-7731 [1]."))
    #expect(done.report.output.hasSuffix("Sources: [1] d6.md"))
    #expect(done.attribute("passages") != nil)
    let excerpts = try #require(done.told.excerpts)
    #expect(!excerpts.isEmpty, "the client learns that the documents did not fit")
    #expect(excerpts.allSatisfy { (0..<$0.bytes).contains($0.readBytes) })
    #expect(excerpts.contains { $0.document == "d6.md" && $0.readBytes > 0 })
    #expect(done.bodies[0].utf8.count < 16_384, "the prompt stays within the context")
  }

  @Test("a document of 10,000 tokens is read whole by a host whose context has room for it")
  func longContext() async throws {
    let text = (0..<1_000).map { "Line \($0) of the log is about ship \($0 * 7)." }
      .joined(separator: "\n")
    let long = Document(name: "log.txt", text: text)
    let short = try await perform(order(documents: [long]), context: 4_096) { _ in "Ships." }
    #expect(short.told.excerpts?.map(\.document) == ["log.txt"])
    let whole = try await perform(order(documents: [long]), context: 32_768) { _ in "Ships." }
    #expect(whole.told.excerpts == [])
    #expect(whole.bodies[0].contains("Line 999 of the log"))
  }

  @Test("a document that is no text fails the task by name, before a host is asked")
  func binary() async throws {
    let failure = await #expect(throws: Failure.self) {
      try await perform(order(documents: [Document(name: "a.bin", text: "x\u{0}y")])) { _ in
        Issue.record("nobody was to be asked")
        return ""
      }
    }
    #expect(failure?.code == .invalidRequest && failure?.message.contains("a.bin") == true)
  }
}
