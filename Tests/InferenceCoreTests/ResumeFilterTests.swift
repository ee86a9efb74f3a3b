import Testing
import Text

@Suite("The joint of what one host said and the next says")
struct ResumeFilterTests {
  /// Returns the client's text. It must not depend on how the new host's output is split.
  /// `nil` means a refusal.
  private func joined(
    _ delivered: String, expected: String = "", says said: String,
    _ mode: ResumeFilter.Mode = .completion, boundary: Int? = nil
  ) -> String? {
    let results = [1, 3, 7, 4_096].map { size -> String? in
      var context = SafeBoundary()
      context.take(Array(delivered.utf8))
      if boundary == nil { context.markBoundary() }
      var filter = ResumeFilter(
        delivered: Array(delivered.utf8), boundary: boundary ?? delivered.utf8.count,
        unseen: Array(expected.utf8), context: context, mode: mode)
      var text = Array(delivered.utf8)
      do {
        let bytes = Array(said.utf8)
        for start in stride(from: 0, to: bytes.count, by: size) {
          text += try filter.take(Array(bytes[start..<min(start + size, bytes.count)]))
        }
        text += try filter.finish()
      } catch {
        return nil
      }
      return String(decoding: text, as: UTF8.self)
    }
    #expect(Set(results).count == 1, "\(results)")
    return results[0]
  }

  @Test(
    "words that go on from the cut pass as they are",
    arguments: [
      ResumeFilter.Mode.completion, .instruction,
    ])
  func exact(mode: ResumeFilter.Mode) {
    #expect(
      joined("One two", expected: " thr", says: " three four.", mode) == "One two three four.")
    #expect(joined("One two", expected: " ", says: " three four.", mode) == "One two three four.")
  }

  @Test("the white space that a host leaves out is put back, with its line break")
  func lostSpace() {
    #expect(joined("One two", expected: " thr", says: "three four.") == "One two three four.")
    #expect(joined("let a = [", expected: "\n  ", says: "1\n]\n") == "let a = [\n  1\n]\n")
    #expect(joined("f {\n  g()", expected: "\n", says: "}\nh()") == "f {\n  g()\n}\nh()")
  }

  @Test("the repeated end of the text is dropped")
  func repeatedTail() {
    #expect(
      joined("The quick brown fox jumps", expected: " ov", says: "brown fox jumps over the dog.")
        == "The quick brown fox jumps over the dog.")
    #expect(
      joined("Here. The quick brown", expected: " ", says: "The quick brown fox.")
        == "Here. The quick brown fox.")
  }

  @Test("the answer that is begun again is dropped, as far as the client has it")
  func restart() {
    let text = (0..<60).map { "word\($0) and" }.joined(separator: " ")
    #expect(joined(text, expected: " the", says: text + " the end.") == text + " the end.")
    #expect(joined(text, expected: " the", says: text, .instruction) == text)
    #expect(joined(text, expected: " the", says: String(text.dropLast(40))) == nil)
  }

  @Test("the last dozen bytes may be repeated with the white space before them")
  func repeatedDozen() {
    let text = "An old man went to the narrow road and"
    for mode in [ResumeFilter.Mode.completion, .instruction] {
      let joined = joined(text, expected: " th", says: " road and then he rested there.", mode)
      #expect(joined == nil || joined == text + " then he rested there.")
    }
  }

  @Test("the longest repetition is waited for, not the first that fits")
  func longestRepetition() {
    #expect(
      joined(
        "a = 1\nlet ten = tin(35)\nlet", expected: " ", says: "let ten = tin(35)\nlet nine = 9")
        == "a = 1\nlet ten = tin(35)\nlet nine = 9")
  }

  @Test("an announcement is dropped, in English by its words, otherwise by the repetition after it")
  func announcement() {
    #expect(
      joined("One two", expected: " ", says: "Sure, here is the continuation:\n\nthree four.")
        == "One two three four.")
    #expect(
      joined(
        "The quick brown fox jumps", expected: " ov",
        says: "Voici la suite :\n\nbrown fox jumps over it.")
        == "The quick brown fox jumps over it.")
  }

  @Test("an announcement that begins like the word that was due is refused")
  func announcementThatWasDue() {
    #expect(
      joined(
        "It is done.", expected: " Sur", says: "Sure, here is the continuation:\n\nSurely it is.")
        == nil)
  }

  @Test("a text that repeats itself is refused: the host may repeat it, too")
  func laughter() {
    let laughter = "He laughed: ha ha ha ha ha ha"
    let rest = " ha ha ha ha, and was gone."
    #expect(joined(laughter, expected: " h", says: rest) == nil)
    #expect(joined(laughter, expected: " h", says: rest, .instruction) == nil)
    #expect(joined(laughter, expected: " h", says: String(rest.dropFirst())) == nil)
  }

  @Test("equal rows of a table are refused")
  func equalRows() {
    let row = "| open | 0 | nobody has looked at it yet |"
    let table = "| state | n | note |\n|---|---|---|\n" + row
    #expect(joined(table, expected: "\n", says: "\n\(row)\n| shut |") == nil)
    #expect(joined(table, expected: "\n", says: "\n\(row)\n| shut |", .instruction) == nil)
  }

  @Test("equal elements of JSON are refused: one too many makes another document")
  func equalElements() {
    let zeros = "[" + String(repeating: "0,", count: 40)
    #expect(joined(zeros, says: "0,0,0,1]") == nil)
    #expect(joined(zeros, says: "0,0,0,1]", .instruction) == nil)
    // Long elements are refused, too.
    let words = (0..<80).map { "word\($0)" }.joined(separator: " ")
    let element = "{\"text\": \"\(words)\"}"
    #expect(joined("[\(element),", says: "\(element),\(element)]") == nil)
    // The host restarts in the middle of a number.
    #expect(
      joined(
        #"{"list": [{"n": 1.5, "m": 2}, {"n":"#, expected: " 5",
        says: #"5, "m": 2}, {"n": 5.5, "m": 6}]}"#) == nil)
  }

  @Test(
    "JSON that is begun again continues where it was cut, whatever its white space",
    arguments: [
      ResumeFilter.Mode.completion, .instruction,
    ])
  func reindented(mode: ResumeFilter.Mode) {
    #expect(
      joined(
        #"{"size":"#, expected: " 35", says: "{\n  \"size\": 353.5,\n  \"name\": null\n}", mode)
        == "{\"size\": 353.5,\n  \"name\": null\n}")
    #expect(
      joined(#"{"size":"#, says: "```json\n{\n  \"size\": 353.5,\n  \"name\": null\n}\n```", mode)
        == "{\"size\": 353.5,\n  \"name\": null\n}\n")
  }

  @Test(
    "text that does not continue the JSON is refused",
    arguments: [
      #"}{"#, "Here it is", #""b": 1}"#, "1 2",
    ])
  func brokenJSON(said: String) {
    #expect(joined(#"{"a":"#, expected: " 1", says: said) == nil)
  }

  @Test("white space that is written as an escape is white space")
  func escapedSpace() {
    let text = #"{"text": "first \"né\" then second"#
    #expect(
      joined(text, expected: #"\nna"#, says: #"\"né\" then second\nnames"}"#) == text
        + #"\nnames"}"#)
    #expect(joined(text, expected: #"\nna"#, says: #"names"}"#) == text + #"\nnames"}"#)
  }

  @Test("a host must repeat a partly delivered long token exactly, otherwise it is refused")
  func longToken() {
    let token = String(repeating: "QUJD", count: 30)
    #expect(
      joined("Data:\n\(token)", says: "\n\(token)ZZ== end", boundary: 5)
        == "Data:\n\(token)ZZ== end")
    // The token may end with the last byte that the client has.
    #expect(joined("Data:\n\(token)", says: "\n\(token)", boundary: 5) == "Data:\n\(token)")
    #expect(joined("Data:\n\(token)", says: "\n\(token.lowercased())ZZ", boundary: 5) == nil)
    #expect(joined("Data:\n\(token)", says: "\n\(token.dropLast())", boundary: 5) == nil)
  }

  @Test("text without spaces is joined between its characters")
  func unspaced() {
    #expect(joined("春眠暁を", expected: "覚", says: "覚えず、処々啼鳥を聞く。") == "春眠暁を覚えず、処々啼鳥を聞く。")
    #expect(joined("春眠暁を", expected: "覚", says: "春眠暁を覚えず。") == "春眠暁を覚えず。")
  }

  @Test("a code fence that is opened again is dropped")
  func refenced() {
    #expect(
      joined("Code:\n\n```swift\nlet a = 1", expected: "\nlet", says: "```swift\nlet b = 2\n```\n")
        == "Code:\n\n```swift\nlet a = 1\nlet b = 2\n```\n")
  }
}
