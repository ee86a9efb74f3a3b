import Testing
import Text

@Suite("The joint of what one host said and the next says")
struct JointTests {
  /// The client's text, however the new host's output is split; `nil` means a refusal.
  private func joined(
    _ delivered: String, due: String = "", says said: String,
    _ asked: JointFilter.Asked = .completion, boundary: Int? = nil
  ) -> String? {
    let results = [1, 3, 7, 4_096].map { size -> String? in
      var context = SafeBoundary()
      context.take(Array(delivered.utf8))
      if boundary == nil { context.markBoundary() }
      var filter = JointFilter(
        delivered: Array(delivered.utf8), boundary: boundary ?? delivered.utf8.count,
        unseen: Array(due.utf8), context: context, asked: asked)
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
      JointFilter.Asked.completion, .instruction,
    ])
  func exact(asked: JointFilter.Asked) {
    #expect(joined("One two", due: " thr", says: " three four.", asked) == "One two three four.")
    #expect(joined("One two", due: " ", says: " three four.", asked) == "One two three four.")
  }

  @Test("the white space that a host leaves out is put back, with its line break")
  func lostSpace() {
    #expect(joined("One two", due: " thr", says: "three four.") == "One two three four.")
    #expect(joined("let a = [", due: "\n  ", says: "1\n]\n") == "let a = [\n  1\n]\n")
    #expect(joined("f {\n  g()", due: "\n", says: "}\nh()") == "f {\n  g()\n}\nh()")
  }

  @Test("the repeated end of the text is dropped")
  func repeatedTail() {
    #expect(
      joined("The quick brown fox jumps", due: " ov", says: "brown fox jumps over the dog.")
        == "The quick brown fox jumps over the dog.")
    #expect(
      joined("Here. The quick brown", due: " ", says: "The quick brown fox.")
        == "Here. The quick brown fox.")
  }

  @Test("the answer that is begun again is dropped, as far as the client has it")
  func restart() {
    let text = (0..<60).map { "word\($0) and" }.joined(separator: " ")
    #expect(joined(text, due: " the", says: text + " the end.") == text + " the end.")
    #expect(joined(text, due: " the", says: text, .instruction) == text)
    #expect(joined(text, due: " the", says: String(text.dropLast(40))) == nil)
  }

  @Test("the last dozen bytes may be repeated with the white space before them")
  func repeatedDozen() {
    let text = "An old man went to the narrow road and"
    for asked in [JointFilter.Asked.completion, .instruction] {
      let joined = joined(text, due: " th", says: " road and then he rested there.", asked)
      #expect(joined == nil || joined == text + " then he rested there.")
    }
  }

  @Test("the longest repetition is waited for, not the first that fits")
  func longestRepetition() {
    #expect(
      joined("a = 1\nlet ten = tin(35)\nlet", due: " ", says: "let ten = tin(35)\nlet nine = 9")
        == "a = 1\nlet ten = tin(35)\nlet nine = 9")
  }

  @Test("an announcement is dropped, in English by its words, else by what is repeated behind it")
  func announcement() {
    #expect(
      joined("One two", due: " ", says: "Sure, here is the continuation:\n\nthree four.")
        == "One two three four.")
    #expect(
      joined(
        "The quick brown fox jumps", due: " ov",
        says: "Voici la suite :\n\nbrown fox jumps over it.")
        == "The quick brown fox jumps over it.")
  }

  @Test("an announcement that begins like the word that was due is refused")
  func announcementThatWasDue() {
    #expect(
      joined("It is done.", due: " Sur", says: "Sure, here is the continuation:\n\nSurely it is.")
        == nil)
  }

  @Test("a text that repeats itself is refused: the host may repeat it, too")
  func laughter() {
    let laughter = "He laughed: ha ha ha ha ha ha"
    let rest = " ha ha ha ha, and was gone."
    #expect(joined(laughter, due: " h", says: rest) == nil)
    #expect(joined(laughter, due: " h", says: rest, .instruction) == nil)
    #expect(joined(laughter, due: " h", says: String(rest.dropFirst())) == nil)
  }

  @Test("equal rows of a table are refused")
  func equalRows() {
    let row = "| open | 0 | nobody has looked at it yet |"
    let table = "| state | n | note |\n|---|---|---|\n" + row
    #expect(joined(table, due: "\n", says: "\n\(row)\n| shut |") == nil)
    #expect(joined(table, due: "\n", says: "\n\(row)\n| shut |", .instruction) == nil)
  }

  @Test("equal elements of JSON are refused: one too many makes another document")
  func equalElements() {
    let zeros = "[" + String(repeating: "0,", count: 40)
    #expect(joined(zeros, says: "0,0,0,1]") == nil)
    #expect(joined(zeros, says: "0,0,0,1]", .instruction) == nil)
    // This holds for elements of any length.
    let words = (0..<80).map { "word\($0)" }.joined(separator: " ")
    let element = "{\"text\": \"\(words)\"}"
    #expect(joined("[\(element),", says: "\(element),\(element)]") == nil)
    // The host restarts in the middle of a number.
    #expect(
      joined(
        #"{"list": [{"n": 1.5, "m": 2}, {"n":"#, due: " 5",
        says: #"5, "m": 2}, {"n": 5.5, "m": 6}]}"#) == nil)
  }

  @Test(
    "JSON that is begun again goes on where it was cut, whatever its white space",
    arguments: [
      JointFilter.Asked.completion, .instruction,
    ])
  func reindented(asked: JointFilter.Asked) {
    #expect(
      joined(#"{"size":"#, due: " 35", says: "{\n  \"size\": 353.5,\n  \"name\": null\n}", asked)
        == "{\"size\": 353.5,\n  \"name\": null\n}")
    #expect(
      joined(#"{"size":"#, says: "```json\n{\n  \"size\": 353.5,\n  \"name\": null\n}\n```", asked)
        == "{\"size\": 353.5,\n  \"name\": null\n}\n")
  }

  @Test(
    "what does not go on from the JSON is refused",
    arguments: [
      #"}{"#, "Here it is", #""b": 1}"#, "1 2",
    ])
  func brokenJSON(said: String) {
    #expect(joined(#"{"a":"#, due: " 1", says: said) == nil)
  }

  @Test("white space that is written as an escape is white space")
  func escapedSpace() {
    let text = #"{"text": "first \"né\" then second"#
    #expect(
      joined(text, due: #"\nna"#, says: #"\"né\" then second\nnames"}"#) == text + #"\nnames"}"#)
    #expect(joined(text, due: #"\nna"#, says: #"names"}"#) == text + #"\nnames"}"#)
  }

  @Test("a long token that the client has in part is said again, exactly, or refused")
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
    #expect(joined("春眠暁を", due: "覚", says: "覚えず、処々啼鳥を聞く。") == "春眠暁を覚えず、処々啼鳥を聞く。")
    #expect(joined("春眠暁を", due: "覚", says: "春眠暁を覚えず。") == "春眠暁を覚えず。")
  }

  @Test("a code fence that is opened again is dropped")
  func refenced() {
    #expect(
      joined("Code:\n\n```swift\nlet a = 1", due: "\nlet", says: "```swift\nlet b = 2\n```\n")
        == "Code:\n\n```swift\nlet a = 1\nlet b = 2\n```\n")
  }
}
