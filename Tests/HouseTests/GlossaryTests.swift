import Testing

@Suite("Glossary")
struct GlossaryTests {
  @Test("entries are in alphabetical order")
  func sorted() throws {
    let words = try SourceTree.text("docs/GLOSSARY.md").split(separator: "\n")
      .compactMap {
        $0.firstMatch(of: /^\| \*\*(.+?)\*\*/)?.1.replacing("`", with: "").lowercased()
      }
    #expect(words.count > 100, "the pattern of this test finds no entries any more")
    for (word, next) in zip(words, words.dropFirst()) {
      #expect(word < next, "“\(next)” comes after “\(word)”")
    }
  }
}
