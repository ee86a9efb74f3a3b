import Testing

@testable import Text

@Suite("Announcements of chat models before they continue")
struct AnnouncementPhrasesTests {
  private func find(_ text: String, isFinal: Bool = false) -> AnnouncementPhrases.Finding {
    AnnouncementPhrases.find(in: Array(text.utf8)[...], isFinal: isFinal)
  }

  @Test(
    "an announcement ends after its colon and the white space there",
    arguments: [
      "Sure, here is the continuation:\n\n", "Continuing from where I left off:\n",
      "  Certainly! Here's the rest of the answer: ", "Here’s the remaining JSON:\n",
    ])
  func announcements(text: String) {
    #expect(find(text + "é first") == .ends(text.utf8.count))
  }

  @Test("a line that announces a continuation counts without a colon, too")
  func line() {
    let text = "Okay, I will continue.\n"
    #expect(find(text + "next") == .ends(text.utf8.count))
  }

  @Test("text that begins otherwise is none, and so is one that only begins alike")
  func none() {
    for text in ["The answer: 4", "", "日本語: 1", "Sure enough it rained. And then: snow\nand ice"] {
      #expect(find(text, isFinal: true) == .none, "\(text)")
    }
  }

  @Test("as long as it may become one, more is needed; at the end it is none")
  func unfinished() {
    let text = "Sure, here is the continuation:"
    for count in 1...text.count {
      #expect(find(String(text.prefix(count))) == .unfinished, "\(text.prefix(count))")
    }
    #expect(find("Su", isFinal: true) == .none)
  }

  @Test("a text longer than a sentence is the beginning of an answer")
  func long() {
    #expect(find("Sure, " + String(repeating: "word ", count: 60) + "continuing: x") == .none)
  }
}
