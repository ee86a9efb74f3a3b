import AnswerTesting
import ClusterModel
import InferenceCore
import Testing

/// Cuts an answer after its first words.
///
/// A repetition of so few words may be an accident. Still, a host that repeats the whole text and
/// then continues it must be accepted.
@Suite("An answer that breaks off behind its first words")
struct EarlyCutTests {
  private static let texts = [
    "The quick brown fox jumps over the lazy dog, and then it rests in the shade.",
    "I think that it is Paris, which lies on the river Seine.",
    "A river is a stream of water that ends in a lake or in the sea.",
    "Yes, it is, and it has been so for a long time, as far as anybody knows.",
    "Hello! How can I help you today? There is much that we could talk about.",
    "# Rivers\n\nA river is a stream of water.\n\n- It begins in hills.\n- It ends in a sea.",
    "1. Rise early and see the sun.\n2. Eat well.\n3. Walk by the river until the evening.",
    "- Rise early and see the sun.\n- Eat well.\n- Walk by the river until the evening.",
    "**Rivers** begin in hills, and they end in the sea or in a lake.",
    "```swift\nlet river = \"Seine\"\nprint(river, river.count)\n```\nIt prints the name.",
    "| river | length |\n| --- | --- |\n| Seine | 777 |\n| Loire | 1006 |\n",
    "Über Flüsse gibt es viel zu sagen, und manches davon ist wahr.",
    "春眠暁を覚えず、処々啼鳥を聞く。夜来風雨の声、花落つること知る多少。",
    #"{"river": "Seine", "length": 777, "cities": ["Troyes", "Paris", "Rouen"]}"#,
    #"[{"river": "Seine"}, {"river": "Loire"}, {"river": "Rhône"}]"#,
    "[777, 1006, 545, 812]",
    "\"Rivers\" is a word of six letters, five of which are different.",
  ]

  /// Splits into words with their preceding white space, as most hosts send them, or into pieces of
  /// `length` characters.
  static func tokens(_ text: Substring, of length: Int?) -> [String] {
    var tokens: [String] = []
    for scalar in text.unicodeScalars {
      let isSpace = scalar == " " || scalar == "\n"
      let begins =
        length.map { (tokens.last?.unicodeScalars.count ?? $0) >= $0 }
        ?? (isSpace && tokens.last?.allSatisfy { $0 == " " || $0 == "\n" } != true)
      if tokens.isEmpty || begins { tokens.append("") }
      tokens[tokens.count - 1].unicodeScalars.append(scalar)
    }
    return tokens
  }

  @Test(
    "a host that repeats all of it completes it, wherever it was cut",
    arguments: zip(
      [ResumeWay.trailingAssistant, .continueFinalMessage, .instruct], [nil, 3, 1]))
  func again(_ way: ResumeWay, _ length: Int?) {
    for text in Self.texts {
      let scalars = text.unicodeScalars
      for place in 1..<min(scalars.count, 48) {
        var hop = HopRun(way: way)
        let cut = scalars.index(scalars.startIndex, offsetBy: place)
        for token in Self.tokens(text[..<cut], of: length) { hop.say(token) }
        hop.breakOff()
        for token in Self.tokens(text[...], of: 5) { hop.say(token) }
        hop.say("", finish: "stop")
        hop.end()
        #expect(
          hop.received.content == text && hop.asked.count == 2,
          """
          behind \(text[..<cut].debugDescription): \(hop.received.content.debugDescription), \
          \(hop.run.attempts.compactMap { $0.failure?.message })
          """)
      }
    }
  }
}
