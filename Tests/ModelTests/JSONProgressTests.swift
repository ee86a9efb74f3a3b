import Testing
import Text

@Suite("JSON that is still coming")
struct JSONProgressTests {
  private static let document =
    #"{"é": [1, -2.5e+3, 0, true, null], "s": "a\n\ud83d\ude00 😀", "o": {"x": {}, "y": []}}"#

  @Test("every prefix of a document is valid, and only the whole is complete")
  func prefixes() {
    let bytes = Array(Self.document.utf8)
    var progress = JSONProgress()
    for (index, byte) in bytes.enumerated() {
      let isValid = progress.take(byte)
      #expect(isValid, "byte \(index)")
      #expect(progress.isComplete == (index == bytes.count - 1), "byte \(index)")
    }
    #expect(progress.depth == 0 && progress.tokenBoundary == bytes.count)
  }

  @Test(
    "bytes that no document can begin with are invalid, and stay so",
    arguments: [
      "}", "[1,]", "{1", #"{"a" 1"#, #"{"a": 1,}"#, "[1 2", "tru3", "nul,", "01", "-a", "1.e",
      "1e+]",
      #""\x"#, #""\u12g"#, "\"\n", "[}", "{]", "1 2", "{} {}",
    ])
  func broken(text: String) {
    var progress = JSONProgress()
    progress.take(Array(text.utf8))
    #expect(!progress.isValid)
    progress.take(UInt8(ascii: " "))
    #expect(!progress.isValid)
  }

  @Test("a number has ended when something else follows, and a literal with its last letter")
  func scalars() {
    var progress = JSONProgress()
    progress.take(Array("[12".utf8))
    #expect(progress.tokenBoundary == 1)
    progress.take(Array(".5".utf8))
    #expect(progress.tokenBoundary == 1)
    progress.take(Array(" ".utf8))
    #expect(progress.tokenBoundary == 5)
    progress.take(Array(", fals".utf8))
    #expect(progress.tokenBoundary == 7)
    progress.take(Array("e".utf8))
    #expect(progress.tokenBoundary == 13)
  }

  @Test("a number alone may end anywhere except after a sign, a point or an exponent")
  func numbers() {
    func isComplete(_ text: String) -> Bool {
      var progress = JSONProgress()
      return progress.take(Array(text.utf8)) && progress.isComplete
    }
    #expect(["0", "-0", "10", "1.5", "1e5", "1E-05"].allSatisfy(isComplete))
    #expect(!["-", "1.", "1e", "1e+"].contains(where: isComplete))
  }

  @Test("strings and escapes are known, those of two halves one after the other")
  func strings() {
    var progress = JSONProgress()
    progress.take(Array(#"["é"#.utf8))
    #expect(progress.isInString && !progress.isInEscape)
    for byte in #"\ud83d\ude0"#.utf8 {
      progress.take(byte)
      #expect(progress.isInString)
    }
    #expect(progress.isInEscape)
    progress.take(Array(#"0\""#.utf8))
    #expect(progress.isInString && !progress.isInEscape)
    progress.take(UInt8(ascii: "\""))
    #expect(!progress.isInString && progress.depth == 1)
  }

  @Test("it is broken deeper than allowed")
  func depth() {
    var progress = JSONProgress(maximumDepth: 3)
    progress.take(Array("[[{".utf8))
    #expect(progress.isValid && progress.depth == 3)
    progress.take(Array("\"a\":[".utf8))
    #expect(!progress.isValid)
  }
}
