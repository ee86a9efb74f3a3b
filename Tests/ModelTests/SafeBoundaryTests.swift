import Testing
@testable import Text

@Suite("Places at which another host can resume a text")
struct SafeBoundaryTests {
  /// The text up to the last safe boundary.
  private func safe(_ text: String, _ format: AnswerFormat? = nil) -> String {
    var boundary = SafeBoundary(format)
    boundary.take(Array(text.utf8))
    #expect(boundary.offset == text.utf8.count)
    return String(decoding: Array(text.utf8.prefix(boundary.boundary)), as: UTF8.self)
  }

  @Test("prose can go on before the white space of a word that has begun")
  func prose() {
    #expect(safe("One two thr") == "One two")
    #expect(safe("One two ") == "One two")
    #expect(safe("One two.\n\n") == "One two.")
    #expect(safe("One") == "")
    #expect(safe("  ") == "")
  }

  @Test("text without spaces can go on between two characters, never before a mark of one")
  func unspaced() {
    #expect(safe("春眠暁") == "春眠")
    #expect(safe("か\u{3099}") == "")
    #expect(safe("春é") == "")
  }

  @Test("no boundary falls within a character, wherever the bytes end")
  func characters() {
    let text = "é 日本語 😀 ok 😀😀 end "
    var boundary = SafeBoundary()
    for byte in text.utf8 {
      boundary.take([byte])
      let prefix = Array(text.utf8.prefix(boundary.boundary))
      #expect(String(validating: prefix, as: UTF8.self) != nil)
    }
  }

  @Test("JSON can be resumed after a token, not within a number or a literal")
  func tokens() {
    #expect(safe(#"{"a": 12"#) == #"{"a":"#)
    #expect(safe(#"{"a": 12,"#) == #"{"a": 12,"#)
    #expect(safe(#"{"a": 12.5 "#) == #"{"a": 12.5"#)
    #expect(safe(#"[tru"#) == "[")
    #expect(safe(#"[true"#) == "[true")
    #expect(safe(#"{"a": {"b": [{"#) == #"{"a": {"b": [{"#)
    #expect(safe("{\"a\": 1\n}  ") == "{\"a\": 1\n}")
  }

  @Test("in a string of JSON it can go on before white space, also where that is an escape")
  func strings() {
    #expect(safe(#"{"a": "one two thr"#) == #"{"a": "one two"#)
    #expect(safe(#"{"a": "one\ntwo"#) == #"{"a": "one"#)
    #expect(safe(#"{"a": "one\u0020two"#) == #"{"a": "one"#)
    #expect(safe(#"{"a": "one \"two"#) == #"{"a": "one"#)
  }

  @Test("no boundary falls within an escape, nor between the halves of a character")
  func escapes() {
    let text = #"{"a": "x \ud83d\ude00 \u65e5\u672c\u8a9e \\ \n\t y", "b": 1}"#
    var boundary = SafeBoundary()
    for byte in text.utf8 {
      boundary.take([byte])
      var progress = JSONProgress()
      progress.take(Array(text.utf8.prefix(boundary.boundary)))
      #expect(!progress.isInEscape)
      let prefix = String(decoding: Array(text.utf8.prefix(boundary.boundary)), as: UTF8.self)
      #expect(!prefix.hasSuffix(#"\ud83d"#))
    }
  }

  @Test("text that only began like JSON is prose")
  func noJSON() {
    var boundary = SafeBoundary()
    boundary.take(Array("[1] The first".utf8))
    #expect(boundary.format == .prose)
    #expect(boundary.boundary == "[1] The".utf8.count)
  }

  @Test("a fence opens a block of code and closes it, and code may talk of fences")
  func fences() {
    func isInFence(_ text: String) -> Bool {
      var boundary = SafeBoundary()
      boundary.take(Array(text.utf8))
      return boundary.isInFence
    }
    #expect(isInFence("Code:\n\n```swift\nlet a"))
    #expect(isInFence("Code:\n\n  ```"))
    #expect(!isInFence("Code:\n\n```swift\nlet a\n```\n"))
    #expect(!isInFence("Code: ```swift"))
    #expect(isInFence("```\na\n``` not the end\nb"))
  }

  @Test("JSON documents may follow each other if the format is detected from the text")
  func sequence() {
    #expect(safe("{\"n\": 0}\n{\"n\": ") == "{\"n\": 0}\n{\"n\":")
    let documents = Array("{\"n\": 0}\n{\"n\": ".utf8)
    var sequence = SafeBoundary()
    sequence.take(documents)
    #expect(sequence.json?.isInString == false)
    var one = SafeBoundary(.json)
    one.take(documents)
    #expect(one.json == nil)
  }
}
