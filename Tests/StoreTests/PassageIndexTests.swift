import AgentCore
import ClusterModel
import Search
import Testing
import Text

@Suite("Documents, searched")
struct PassageIndexTests {
  /// A hundred passages, one of which contains an unguessable fact.
  private static let documents = (0..<10).map { number in
    Document(
      name: "notes-\(number).md",
      text: (0..<10).map { place in
        let filler = "Report \(number)-\(place): the weather was mild and the harbour quiet. "
        let planted =
          number == 6 && place == 4
          ? "The access phrase of the Kestrel archive is violet-heron-7731. " : ""
        return String(repeating: filler, count: 4) + planted
          + String(repeating: "Ships came and went. ", count: 14)
      }.joined(separator: "\n\n"))
  }

  private func material(query: String, within tokens: Int) async throws -> PromptDocuments {
    let reading = try DocumentSelection.of(Self.documents, within: tokens, query: [query])
    guard case .search(let passages, let query) = reading else {
      Issue.record("they are too long to be given whole")
      return .none
    }
    #expect(passages.count == 100)
    let index = try await PassageIndex(
      passages.map {
        .init(
          name: Self.documents[$0.document].name, text: PassageQuery.indexed($0.text))
      })
    let ranked = try await index.best(query.match, limit: 64)
    return DocumentSelection.material(
      of: passages, ranked: ranked, in: Self.documents, within: tokens)
  }

  @Test("a planted passage is found first among a hundred, and an answer from it is cited")
  func planted() async throws {
    let material = try await material(
      query: "What is the access phrase of the Kestrel archive?", within: 900)
    #expect(material.sources.first?.name == "notes-6.md")
    #expect(material.sources.first?.text.contains("violet-heron-7731") == true)
    let fence = Fence(seed: 1)
    #expect(
      material.note(cites: true, fence: fence).contains("[1]\n\(fence.opening)\nnotes-6.md"))
    let answer = "The access phrase of the Kestrel archive is violet-heron-7731 [1]."
    let check = FactCheck(answer, against: material.sources)
    #expect(check.claims.map(\.verdict) == [.supported])
    #expect(check.tail(material.sources, hasVerdicts: true) == "Sources: [1] notes-6.md")
    let wrong = FactCheck(
      "The access phrase of the Kestrel archive is violet-heron-9999.",
      against: material.sources)
    #expect(wrong.claims.map(\.verdict) == [.contradicted])
  }

  @Test("a word is found in another form, and a document by its name")
  func forms() async throws {
    let index = try await PassageIndex([
      .init(name: "a", text: "She was running a bakery in Orléans."),
      .init(name: "bridges", text: "Nothing of note."),
      .init(name: "c", text: PassageQuery.indexed("東京の予算は四千万円です。")),
    ])
    #expect(try await index.best(PassageQuery(["bakeries run in Orleans"]).match, limit: 5) == [0])
    #expect(try await index.best(PassageQuery(["bridge"]).match, limit: 5) == [1])
    #expect(try await index.best(PassageQuery(["予算"]).match, limit: 5) == [2])
    #expect(try await index.best(PassageQuery(["submarine"]).match, limit: 5).isEmpty)
    #expect(try await index.best("", limit: 5).isEmpty)
  }

  @Test(
    "whatever is asked, the index answers",
    arguments: [
      "NEAR(a b) AND \"x\" OR * ^y", "name:secret -not", "\"\"\" OR 1=1 --", "(((", "*", "a*b^c",
      "'; DROP TABLE passages; --", "1,000.50 and 3.14", "NOT", "é 日本 👩‍👩‍👧 ½ ²", "\u{0}x\u{7}",
    ])
  func hostile(query: String) async throws {
    let index = try await PassageIndex([.init(name: "a", text: "a b x y")])
    _ = try await index.best(PassageQuery([query]).match, limit: 5)
  }

  @Test("equal passages keep their order, and at most the requested number is returned")
  func ties() async throws {
    let index = try await PassageIndex((0..<9).map { _ in .init(name: "n", text: "same words") })
    #expect(try await index.best("\"words\"", limit: 4) == [0, 1, 2, 3])
  }
}
