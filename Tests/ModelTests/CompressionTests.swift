import ClusterModel
import Testing
import Text

@Suite("Compression of what models write")
struct CompressionTests {
  static let sentences = (1...40).map { "Sentence number \($0) says something of its own." }

  @Test("four bytes are a token, rounded up")
  func estimates() {
    #expect([0, 1, 4, 5, 8].map { TokenEstimate.tokens(bytes: $0) } == [0, 1, 1, 2, 2])
    #expect(TokenEstimate.tokens(of: "日本") == 2)
    #expect(TokenEstimate.tokens(bytes: .max) == Int.max / 4 + 1)
  }

  @Test("the shape of a text is known by its lines")
  func shapes() {
    #expect(Compression.shape(of: "One.\n\nTwo.") == .prose)
    #expect(Compression.shape(of: "# Title\n\nOne.") == .markdown)
    #expect(Compression.shape(of: "- one\n- two\n1. three") == .list)
    #expect(Compression.shape(of: #" {"a": [1]} "#) == .json)
    #expect(Compression.shape(of: #"{"a": [1]"#) == .prose)
  }

  @Test("a text that fits is only normalised, and repetitions are removed")
  func fits() {
    let text =
      "# A\nThe same line.\n\n\n\nThe same line.\n- The same line.\n- yes\n- yes\n# A\n</s>"
    #expect(
      Compression.compressed(text, toTokens: 100) == "# A\nThe same line.\n\n- yes\n- yes\n# A")
  }

  @Test("a repeated block of code is kept once, lines within a block are not touched")
  func repeatedFences() {
    let block = "```swift\nlet answer = 42\n\n\nlet answer = 42\n```"
    #expect(
      Compression.compressed("\(block)\n\ntext\n\n\(block)", toTokens: 100) == "\(block)\n\ntext")
  }

  @Test("prose keeps 60 % of its budget from the beginning and 40 % from the end, in sentences")
  func prose() {
    let text = Self.sentences.joined(separator: " ")
    let result = Compression.compressed(text, toTokens: 200)
    let parts = result.split(separator: " […] ")
    #expect(parts.count == 2)
    #expect(text.hasPrefix(parts[0]) && text.hasSuffix(parts[1]))
    #expect(parts[0].hasSuffix(".") && parts[1].hasPrefix("Sentence"))
    #expect((0.5...0.7).contains(Double(parts[0].utf8.count) / Double(result.utf8.count)))
    #expect(result.utf8.count > 600, "it uses its budget")
  }

  @Test("a list stays a list and is cut between its items")
  func list() {
    let text = Self.sentences.map { "- \($0)" }.joined(separator: "\n")
    let lines = Compression.compressed(text, toTokens: 200).split(separator: "\n")
    #expect(lines.filter { $0 == "- […]" }.count == 1)
    #expect(lines.allSatisfy { $0 == "- […]" || $0.hasSuffix("its own.") })
    #expect(lines.first == "- Sentence number 1 says something of its own.")
    #expect(lines.last == "- Sentence number 40 says something of its own.")
  }

  @Test("headings stay while what is below them goes")
  func headings() {
    let parts = (1...8).map { part in
      "## Part \(part)\n\n" + Self.sentences.map { "\($0) (\(part))" }.joined(separator: " ")
    }
    let text = parts.joined(separator: "\n\n")
    let result = Compression.compressed(text, toTokens: 400)
    for part in 1...8 { #expect(result.contains("## Part \(part)\n")) }
    #expect(result.utf8.count > 1_300 && result.utf8.count <= 1_600)
  }

  @Test("JSON keeps its keys and loses the middle of strings and arrays")
  func json() {
    let long = Self.sentences.joined(separator: " ")
    let numbers = (1...400).map(String.init)
    let text =
      #"{"title": "Short", "text": "\#(long)", "list": [\#(numbers.joined(separator: ", "))]}"#
    let keptText =
      Self.sentences[..<3].joined(separator: " ") + " […] "
      + Self.sentences[38...].joined(separator: " ")
    let keptList = (numbers[..<62] + ["\"[…]\""] + numbers[371...]).joined(separator: ",")
    #expect(
      Compression.compressed(text, toTokens: 150)
        == #"{"title":"Short","text":"\#(keptText)","list":[\#(keptList)]}"#)
  }

  @Test("an open block of code is closed")
  func openFence() {
    #expect(Compression.compressed("~~~~py\na = 1\n", toTokens: 100) == "~~~~py\na = 1\n~~~~")
  }

  @Test("a budget too small for anything gives the marker, none gives nothing")
  func tiny() {
    #expect(Compression.compressed("A sentence that is longer than that.", toTokens: 2) == "[…]")
    #expect(Compression.compressed("A sentence.", toTokens: 1) == "")
    #expect(Compression.compressed("A", toTokens: 0) == "")
    #expect(Compression.compressed(#"{"key": "a long value"}"#, toTokens: 1) == "{}")
    #expect(Compression.compressed("12345678901", toTokens: 1) == "null")
  }

  @Test("budget, fences, JSON, headings and idempotence hold for random documents")
  func randomDocuments() throws {
    var sizes: [TextShape: Int] = [:]
    for seed in 1...400 as ClosedRange<UInt64> {
      var document = RandomDocument(seed: seed)
      let kind = RandomDocument.Kind.allCases[Int(seed) % 5]
      let text = document.next(kind)
      let budget = document.number(1...max(TokenEstimate.tokens(of: text), 2))
      // This estimator differs from the standard one by more than a constant factor.
      let byWords: (String) -> Int = { $0.split(separator: " ").count + $0.utf8.count / 3 }
      let estimate = seed % 3 == 0 ? byWords : TokenEstimate.tokens(of:)
      let once = Compression.compressed(text, toTokens: budget, estimate: estimate)
      let note = Comment(rawValue: "seed \(seed), \(kind), budget \(budget)")
      // JSON cannot shrink below its smallest value.
      #expect(estimate(once) <= budget || once.utf8.count <= 4, note)
      let twice = Compression.compressed(once, toTokens: budget, estimate: estimate)
      #expect(Array(once.utf8) == Array(twice.utf8), note)
      #expect(UTF8Bytes.isValid(Array(once.utf8)), note)
      #expect(Self.openFences(once) == 0, note)
      #expect(!once.contains("\n\n\n") || once.contains("```") || once.contains("~~~"), note)
      if (try? JSONDocument(validating: Array(text.utf8))) != nil {
        #expect(throws: Never.self, note) { try JSONDocument(validating: Array(once.utf8)) }
      }
      sizes[Compression.shape(of: text), default: 0] += 1
    }
    #expect(sizes.count == 4, "\(sizes)")
  }

  @Test("the skeleton of a random document stays where it takes less than half")
  func skeletonOfRandomDocuments() {
    var checked = 0
    for seed in 1...200 as ClosedRange<UInt64> {
      var document = RandomDocument(seed: seed)
      let text = Normaliser.normalised(document.next(.markdown))
      let headings = Self.headings(text)
      let size = headings.reduce(0) { $0 + $1.utf8.count + 10 }
      let budget = size
      guard !headings.isEmpty, TokenEstimate.tokens(of: text) > budget else { continue }
      let result = Compression.compressed(text, toTokens: budget)
      #expect(Self.headings(result) == headings, "seed \(seed)")
      checked += 1
    }
    #expect(checked > 50)
  }

  private static func headings(_ text: String) -> [Substring] {
    var isCode = false
    return text.split(separator: "\n").filter { line in
      if line.hasPrefix("```") || line.hasPrefix("~~~") { isCode.toggle() }
      return !isCode && line.hasPrefix("#")
    }
  }

  /// Counts open fences independently of the implementation: by lines, following CommonMark.
  private static func openFences(_ text: String) -> Int {
    var open: (character: Character, length: Int)?
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      let line = line.drop { $0 == " " || $0 == "\t" }
      guard let first = line.first, first == "`" || first == "~" else { continue }
      let run = line.prefix { $0 == first }.count
      let rest = line.dropFirst(run)
      guard run >= 3 else { continue }
      if let started = open {
        if first == started.character, run >= started.length, rest.allSatisfy(\.isWhitespace) {
          open = nil
        }
      } else if first == "~" || !rest.contains("`") {
        open = (first, run)
      }
    }
    return open == nil ? 0 : 1
  }

  @Test("the same text gives the same bytes")
  func pinned() {
    // The expected hash was recorded. If it changes, compressed texts in prompts change.
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for seed in 1...100 as ClosedRange<UInt64> {
      var document = RandomDocument(seed: seed)
      let text = document.next(.mixed)
      for byte in Compression.compressed(text, toTokens: 120).utf8 {
        hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
      }
    }
    #expect(hash == 2_983_789_108_418_807_161)
  }
}
