import ClusterModel
import ClusterTesting
import Testing
import Text

@Suite("Parts of a document")
struct DocumentCutTests {
  private func parts(_ count: Int, _ text: String) -> [String] {
    (1...count).map { DocumentCut.part($0, of: count, in: text) }
  }

  @Test("a part ends after a paragraph, otherwise after a sentence, otherwise before a word")
  func borders() {
    let paragraphs = Array(repeating: "One line. Another line.", count: 40).joined(
      separator: "\n\n")
    #expect(parts(4, paragraphs).dropLast().allSatisfy { $0.hasSuffix("line.\n\n") })
    let sentences = Array(repeating: "One sentence of some words.", count: 40).joined(
      separator: " ")
    #expect(parts(4, sentences).dropLast().allSatisfy { $0.hasSuffix("words. ") })
    let words = Array(repeating: "word", count: 200).joined(separator: " ")
    #expect(parts(4, words).dropLast().allSatisfy { $0.hasSuffix("word ") })
  }

  @Test("the parts are the whole text in order, none is too long, and no character is cut")
  func cover() {
    var rng = SeededGenerator(seed: 5)
    let pieces = [
      "A sentence. ", "word ", "\n", "\n\n", "é日本👩‍👩‍👧", String(repeating: "x", count: 90),
    ]
    for _ in 0..<300 {
      let text = (0..<Int.random(in: 0...60, using: &rng)).reduce(into: "") { text, _ in
        text += pieces[Int.random(in: 0..<pieces.count, using: &rng)]
      }
      let count = Int.random(in: 1...16, using: &rng)
      let parts = parts(count, text)
      #expect(parts.joined().utf8.elementsEqual(text.utf8))
      let most = text.utf8.count / count * (100 + DocumentCut.excessPercent) / 100 + count + 1
      #expect(parts.allSatisfy { $0.utf8.count <= most })
    }
  }

  @Test("a text with fewer characters than parts loses none of them")
  func short() {
    for text in ["é日本👩‍👩‍👧", "a", ""] {
      for count in 1...16 { #expect(parts(count, text).joined().utf8.elementsEqual(text.utf8)) }
    }
  }

  @Test("a part that the document does not have is empty")
  func missing() {
    for (number, count) in [(0, 2), (3, 2), (1, 0), (-1, -1)] {
      #expect(DocumentCut.part(number, of: count, in: "A text.").isEmpty)
    }
  }
}
