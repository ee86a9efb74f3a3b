import AgentCore
import ClusterModel
import ClusterTesting
import Testing
import Text

@Suite("Documents on their way into a prompt")
struct AgentMaterialTests {
  private func documents(_ texts: [String]) -> [Document] {
    texts.enumerated().map { Document(name: "d\($0).md", text: $1) }
  }

  @Test("small documents are given whole, numbered, with their names")
  func whole() throws {
    let reading = try DocumentSelection.of(documents(["One.", "Two."]), within: 100, query: ["?"])
    guard case .ready(let material) = reading else {
      Issue.record("they fit: \(reading)")
      return
    }
    #expect(material.isWhole)
    let fence = Fence(seed: 1)
    #expect(
      material.note(cites: false, fence: fence)
        == "Sources:\n\n[1]\n\(fence.enclosing("d0.md\nOne."))\n\n[2]\n"
        + fence.enclosing("d1.md\nTwo."))
    #expect(material.note(cites: true, fence: fence).contains("like [1]"))
    #expect(PromptDocuments.none.note(cites: true, fence: fence).isEmpty)
  }

  @Test("documents that fit without their repetitions are not searched")
  func repetitive() throws {
    let line = "The same paragraph stands here again and again, and it says nothing new at all."
    let text = Array(repeating: line, count: 20).joined(separator: "\n\n")
    let reading = try DocumentSelection.of(documents([text]), within: 250, query: ["?"])
    guard case .ready(let material) = reading else {
      Issue.record("it fits when shortened")
      return
    }
    #expect(material.sources[0].text.contains(line))
  }

  @Test("long documents are searched, for the words of what was asked")
  func search() throws {
    let text = (0..<200).map { "Paragraph \($0) is about subject \($0)." }
      .joined(separator: "\n\n")
    let reading = try DocumentSelection.of(
      documents([text]), within: 200, query: ["What is the Kestrel budget?", "Find the budget."])
    guard case .search(let passages, let query) = reading else {
      Issue.record("it does not fit")
      return
    }
    #expect(passages.count > 5)
    #expect(query.terms == ["kestrel", "budget", "find"])
    #expect(query.match == #""kestrel" OR "budget" OR "find""#)
  }

  @Test(
    "whatever is asked, nothing in it is an operator of the index",
    arguments: [
      "NEAR(a b) AND \"x\" OR * ^y", "name:secret -not", "\"", "\"\"\" OR 1=1 --", "(((", "",
    ])
  func escaping(query: String) {
    let match = PassageQuery([query]).match
    for term in match.split(separator: " OR ") {
      #expect(term.hasPrefix("\"") && term.hasSuffix("\"") && term.count > 2)
      #expect(!term.dropFirst().dropLast().contains("\""))
    }
  }

  @Test("scripts without spaces are indexed and asked for character by character")
  func unspaced() {
    #expect(PassageQuery(["東京 budget"]).terms == ["東", "京", "budget"])
    #expect(PassageQuery.indexed("東京 2020") == " 東  京  2020")
  }

  @Test("a query is bounded")
  func boundedQuery() {
    let query = (0..<10_000).map { "word\($0)" }.joined(separator: " ")
    #expect(PassageQuery([query]).terms.count == 32)
  }

  // MARK: - Passages

  @Test("passages cover the whole text, once, in order, and are never too long")
  func passages() {
    var rng = SeededGenerator(seed: 11)
    let pieces = [
      "# Heading", "A sentence. ", "word ", "\n", "\n\n", "\r\n\r\n", "é日本👩‍👩‍👧", "   ",
      String(repeating: "x", count: 1_500), String(repeating: "A long one, again. ", count: 90),
    ]
    for _ in 0..<300 {
      var text = ""
      for _ in 0..<Int.random(in: 0...20, using: &rng) {
        text += pieces[Int.random(in: 0..<pieces.count, using: &rng)]
      }
      let passages = Passages.of([Document(name: "d", text: text)])
      let bytes = Array(text.utf8)
      var end = 0
      for passage in passages {
        #expect(passage.range.lowerBound >= end)
        #expect((1...1_200).contains(passage.range.count))
        #expect(Array(passage.text.utf8) == Array(bytes[passage.range]), "no character is cut")
        #expect(blank(bytes[end..<passage.range.lowerBound]))
        end = passage.range.upperBound
      }
      #expect(blank(bytes[end...]))
    }
  }

  private func blank(_ bytes: ArraySlice<UInt8>) -> Bool {
    bytes.allSatisfy { [0x20, 0x0A, 0x0D, 0x09].contains($0) }
  }

  @Test("a heading stays with the text below it, and a new heading begins a passage")
  func headings() {
    let body = String(repeating: "Some words about it. ", count: 12)
    let passages = Passages.of([Document(name: "d", text: "# A\n\n\(body)\n\n# B\n\n\(body)")])
    #expect(passages.map { $0.text.prefix(3) } == ["# A", "# B"])
  }

  @Test("of the shortest paragraphs no more passages are made than ten megabytes may have")
  func bounded() {
    let text = String(repeating: "# a\n\nb\n\n", count: 50_000)
    let passages = Passages.of([Document(name: "d", text: text)])
    #expect(passages.count * 25 <= Passages.maximumPassages)
    #expect(passages.last?.range.upperBound ?? 0 > text.utf8.count - 8, "all of it is there")
  }

  // MARK: - Selection

  @Test("the found passages come first, the best first, within the room there is")
  func chosen() {
    let texts = (0..<40).map { "Passage \($0). " + String(repeating: "filler ", count: 60) }
    let documents = documents([texts.joined(separator: "\n\n")])
    let passages = Passages.of(documents)
    let material = DocumentSelection.material(
      of: passages, ranked: [30, 7, 999], in: documents, within: 500)
    #expect(!material.isWhole)
    #expect(material.sources[0].text == passages[30].text)
    #expect(material.sources[1].text == passages[7].text)
    let bytes = material.sources.reduce(0) { $0 + $1.text.utf8.count }
    #expect(bytes / 4 <= 500)
    #expect(
      material.excerpts == [
        DocumentExcerpt(
          document: "d0.md", bytes: documents[0].text.utf8.count, readBytes: bytes)
      ])
  }

  @Test("excerpts list a document of which nothing was read, and omit one that was read whole")
  func excerpts() {
    let long = String(repeating: "Nothing of interest is here. ", count: 200)
    let documents = documents(["A short note.", long, long])
    let passages = Passages.of(documents)
    let material = DocumentSelection.material(
      of: passages, ranked: [0, 1], in: documents, within: 300)
    #expect(material.excerpts.map(\.document) == ["d1.md", "d2.md"])
    #expect(material.excerpts.last?.readBytes == 0)
    #expect(material.excerpts.allSatisfy { $0.bytes == long.utf8.count })
  }

  @Test("where nothing is found, the documents are shortened, and all of them are there")
  func nothingFound() {
    let documents = documents(
      (0..<4).map { n in
        (0..<50).map { "Line \($0) of document \(n) says a thing." }.joined(separator: "\n\n")
      })
    let material = DocumentSelection.material(
      of: Passages.of(documents), ranked: [], in: documents, within: 400)
    #expect(material.sources.map(\.name) == ["d0.md", "d1.md", "d2.md", "d3.md"])
    #expect(!material.isWhole)
    #expect(material.excerpts.map(\.readBytes) == material.sources.map(\.text.utf8.count))
    #expect(material.sources.reduce(0) { $0 + $1.text.utf8.count } / 4 <= 400)
  }

  @Test(
    "a document that is not text is refused by name",
    arguments: [
      "a\u{0}b", String(repeating: "\u{1}\u{2}x", count: 10),
      String(repeating: "\u{FFFD}", count: 9),
    ])
  func binary(text: String) {
    let failure = #expect(throws: Failure.self) {
      try DocumentSelection.of(
        [Document(name: "photo\n.jpg", text: text)], within: 1_000, query: [])
    }
    #expect(failure?.code == .invalidRequest)
    #expect(failure?.message.contains("\"photo .jpg\" is not text") == true)
  }

  @Test("tabs, form feeds and a stray mark are text")
  func odd() throws {
    _ = try DocumentSelection.of(
      documents(["a\tb\u{C}c\r\nd " + String(repeating: "é ", count: 50) + "\u{FFFD}", ""]),
      within: 1_000, query: [])
  }

  @Test("the last question is the text of the last user message, in any form")
  func lastQuestion() {
    func text(_ messages: String) -> String {
      LastQuestion.text(of: Conversation(messagesJSON: Array(messages.utf8)))
    }
    #expect(
      text(#"[{"role":"user","content":"a"},{"role":"user","content":"b"},{"role":"assistant"}]"#)
        == "b")
    #expect(text(#"[{"role":"user","content":[{"type":"text","text":"c"},{"x":1}]}]"#) == "c")
    #expect(text("nonsense") == "" && text("[]") == "")
  }
}
