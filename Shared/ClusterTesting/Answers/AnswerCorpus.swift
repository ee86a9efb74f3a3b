import ClusterModel

/// One answer of a host: reasoning, content and tool calls.
public struct CorpusAnswer: Sendable {
  public struct Call: Sendable {
    public var id: String
    public var name: String
    public var arguments: String
  }

  public var name: String
  public var reasoning = ""
  public var content = ""
  public var calls: [Call] = []
  /// Whether the text repeats itself on purpose.
  var repeatsItself = false

  public init(
    name: String, reasoning: String = "", content: String = "", calls: [Call] = [],
    repeatsItself: Bool = false
  ) {
    self.name = name
    self.reasoning = reasoning
    self.content = content
    self.calls = calls
    self.repeatsItself = repeatsItself
  }

  /// Whether the content begins with a JSON object or array.
  public var isJSON: Bool { content.first == "{" || content.first == "[" }
  public var finishReason: String { calls.isEmpty ? "stop" : "tool_calls" }

  /// Total bytes of all texts: reasoning, content and arguments.
  public var textBytes: Int {
    reasoning.utf8.count + content.utf8.count + calls.reduce(0) { $0 + $1.arguments.utf8.count }
  }
}

/// The form of a host's stream. Ids, model, fingerprint and token boundaries differ between hosts.
struct CorpusHost: Sendable {
  var id: String
  var model: String
  var fingerprint: String
  /// Seed of the token boundaries.
  var seed: UInt64
  /// Number of characters at the start of each text that are sent in small tokens.
  var fine: Int

  init(_ number: Int, seed: UInt64, fine: Int = 1_200) {
    self.fine = fine
    id = "chatcmpl-\(number)"
    model = "model-\(number)"
    fingerprint = "fp-\(number)"
    self.seed = seed
  }

  /// The `data` of each event, without `[DONE]`.
  func events(_ answer: CorpusAnswer) -> [[UInt8]] {
    var rng = SplitMix64(seed: seed)
    var events = [event(#"{"role":"assistant","content":""}"#)]
    for token in Self.tokens(answer.reasoning, fine: fine, using: &rng) {
      events.append(event(#"{"reasoning_content":\#(quoted(token))}"#))
    }
    for token in Self.tokens(answer.content, fine: fine, using: &rng) {
      events.append(content(token))
    }
    for (index, call) in answer.calls.enumerated() {
      events.append(
        event(
          #"{"tool_calls":[{"index":\#(index),"id":"\#(id)-\#(call.id)","type":"function","#
            + #""function":{"name":"\#(call.name)","arguments":""}}]}"#))
      for token in Self.tokens(call.arguments, fine: fine, using: &rng) {
        events.append(
          event(
            #"{"tool_calls":[{"index":\#(index),"function":{"arguments":"#
              + #"\#(quoted(token))}}]}"#))
      }
    }
    events.append(end(answer.finishReason))
    return events
  }

  /// A chunk of content.
  func content(_ text: String) -> [UInt8] {
    event(#"{"content":\#(quoted(text))}"#)
  }

  func end(_ finishReason: String) -> [UInt8] { event("{}", finish: #""\#(finishReason)""#) }

  private func event(_ delta: String, finish: String = "null") -> [UInt8] {
    Array(
      (#"{"id":"\#(id)","object":"chat.completion.chunk","created":\#(1_700_000_000 + id.count),"#
        + #""model":"\#(model)","system_fingerprint":"\#(fingerprint)","choices":[{"index":0,"#
        + #""delta":\#(delta),"finish_reason":\#(finish)}]}"#).utf8)
  }

  /// Splits a text into tokens.
  ///
  /// The first `fine` characters become tokens of 1 to 12 characters. The rest becomes tokens of up
  /// to 2,000 characters, so that long answers stay cheap.
  static func tokens(
    _ text: String, fine: Int, using rng: inout SplitMix64
  ) -> [String] {
    let bytes = Array(text.utf8)
    var tokens: [String] = []
    var delivered = 0
    var start = 0
    while start < bytes.count {
      let count = Int.random(in: 1...(delivered < fine ? 12 : 2_000), using: &rng)
      var end = start
      for _ in 0..<count where end < bytes.count {
        end += 1
        while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
      }
      tokens.append(String(decoding: bytes[start..<end], as: UTF8.self))
      start = end
      delivered += count
    }
    return tokens
  }
}

/// Answers of every kind that a client can receive, the same in every run.
public enum AnswerCorpus {
  public static let answers: [CorpusAnswer] =
    prose + markdown + fenced + json + escaped + unspaced + tokens + calls + thoughts

  /// Answers that legitimately repeat themselves, so that the texts before and after a cut can be
  /// equal.
  public static let repetitive: [CorpusAnswer] = {
    let refrain =
      "Row on, row on, the river is long,\nand home is beyond the bend;\n"
      + "sing low, sing low, an old, old song,\nthe river will have an end.\n\n"
    let verse = "The first oar broke at the miller's weir,\nthe second one at the sea.\n\n"
    let row = "| open | 0 | nobody has looked at it yet, and it waits |\n"
    let equal = #"{"name": "probe", "state": "unknown", "retries": 0, "note": "not asked yet"}"#
    let line = "春眠暁を覚えず、処々啼鳥を聞く。"
    return [
      CorpusAnswer(name: "laughter", content: String(repeating: "ha ", count: 60) + "and no more."),
      CorpusAnswer(name: "zeros", content: "[" + String(repeating: "0,", count: 150) + "0]"),
      CorpusAnswer(
        name: "zeros spaced", content: "[" + String(repeating: "0, ", count: 150) + "1]"),
      CorpusAnswer(
        name: "equal lines",
        content: "Lines:\n\n" + String(repeating: "- I must not talk in class.\n", count: 12)
          + "Done."),
      CorpusAnswer(
        name: "equal rows",
        content: "| state | n | note |\n|---|---|---|\n" + row + row
          + "| shut | 1 | done |\n" + row + row + row + "\nThat is all."),
      CorpusAnswer(name: "refrain", content: refrain + verse + refrain + refrain + verse + "End."),
      CorpusAnswer(
        name: "equal objects",
        content: "[" + [equal, equal, #"{"name": "last"}"#, equal, equal].joined(separator: ", ")
          + "]"),
      CorpusAnswer(name: "refrain without spaces", content: line + line + "夜来風雨の声。" + line),
      CorpusAnswer(
        name: "documents",
        content: (0..<6).map { "{\"n\": \($0), \"state\": \"ready\"}" }
          .joined(separator: "\n")),
    ].map {
      var answer = $0
      answer.repeatsItself = true
      return answer
    }
  }()

  private static let prose = (0..<8).map { number in
    CorpusAnswer(name: "prose \(number)", content: paragraphs(seed: UInt64(number), count: 2))
  }

  private static let markdown = (0..<6).map { number in
    let seed = 100 + UInt64(number)
    var rng = SplitMix64(seed: seed)
    let list = (1...5).map { "\($0). **\(word(&rng))**: \(sentence(&rng))" }.joined(separator: "\n")
    let table = (0..<4).map { _ in
      "| \(word(&rng)) | \(word(&rng)) | \(Int.random(in: 0..<999, using: &rng)) |"
    }
    .joined(separator: "\n")
    return CorpusAnswer(
      name: "markdown \(number)",
      content: "# \(sentence(&rng))\n\n\(list)\n\n| a | b | c |\n|---|---|---|\n\(table)\n\n> "
        + paragraphs(seed: seed, count: 1))
  }

  private static let fenced = (0..<6).map { number in
    var rng = SplitMix64(seed: 200 + UInt64(number))
    let lines = (0..<8).map { line in
      String(repeating: "  ", count: line % 3)
        + "let \(word(&rng))\(line) = \(word(&rng))(\(line * 7))"
    }.joined(separator: "\n")
    return CorpusAnswer(
      name: "code fence \(number)",
      content:
        "\(sentence(&rng))\n\n```swift\n\(lines)\n```\n\n\(sentence(&rng)) \(sentence(&rng))\n\n"
        + "```json\n{\n  \"\(word(&rng))\": [1, 2]\n}\n```\n\(sentence(&rng))")
  }

  private static let json = (0..<8).map { number in
    var rng = SplitMix64(seed: 300 + UInt64(number))
    return CorpusAnswer(
      name: "JSON \(number)",
      content: value(&rng, depth: 4, indent: number % 2 == 0 ? 0 : nil))
  }

  private static let escaped = (0..<4).map { number in
    var rng = SplitMix64(seed: 400 + UInt64(number))
    let pieces = [
      #"say \"\#(word(&rng))\"\n"#, #"a\\b\tc "#, #"\u00e9\u65e5\u672c "#, #"\ud83d\ude00 ok "#,
      "né 日本語 😀 ", #"line\r\nnext "#, #"\/path\/\#(word(&rng)) "#,
    ]
    let text = (0..<24).map { _ in
      "\(word(&rng)) \(pieces[Int.random(in: 0..<pieces.count, using: &rng)])"
    }.joined()
    return CorpusAnswer(
      name: "escapes \(number)", content: #"{"text": "\#(text)", "n": -1.5e+3, "ok": true}"#)
  }

  private static let unspaced = (0..<3).map { number in
    var rng = SplitMix64(seed: 500 + UInt64(number))
    let signs = Array("天地玄黄宇宙洪荒日月盈昃辰宿列張寒来暑往秋収冬蔵のはをがにですます東京、。")
    let text = String((0..<220).map { _ in signs[Int.random(in: 0..<signs.count, using: &rng)] })
    return CorpusAnswer(name: "without spaces \(number)", content: text)
  }

  private static let tokens = (0..<3).map { number in
    var rng = SplitMix64(seed: 600 + UInt64(number))
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
    let long = String((0..<420).map { _ in alphabet[Int.random(in: 0..<64, using: &rng)] }) + "=="
    return switch number {
    case 0:
      CorpusAnswer(name: "base64 in prose", content: "\(sentence(&rng)) \(long) \(sentence(&rng))")
    case 1: CorpusAnswer(name: "base64 in JSON", content: #"{"data": "\#(long)", "n": 1}"#)
    default: CorpusAnswer(name: "base64 alone", content: long)
    }
  }

  private static let calls = (0..<6).map { number in
    var rng = SplitMix64(seed: 700 + UInt64(number))
    let count = number < 3 ? 1 : number - 1
    let calls = (0..<count).map { index in
      CorpusAnswer.Call(
        id: "call_\(index)", name: "tool_\(word(&rng))",
        arguments: number == 0
          ? #"{"text": "\#(paragraphs(seed: 7, count: 40).replacing("\n", with: #"\n"#))"}"#
          : value(&rng, depth: 3, indent: nil))
    }
    return CorpusAnswer(
      name: "tool calls \(number)", content: number % 2 == 0 ? "" : sentence(&rng), calls: calls)
  }

  private static let thoughts = (0..<2).map { number in
    CorpusAnswer(
      name: "reasoning \(number)", reasoning: paragraphs(seed: 800 + UInt64(number), count: 1),
      content: paragraphs(seed: 900 + UInt64(number), count: 1))
  }

  // MARK: - Generated words

  private static let syllables = [
    "ka", "lo", "mi", "ren", "ta", "vos", "el", "dri", "an", "to", "sur", "pe", "qui", "nar", "bel",
    "éo",
  ]

  private static func word(_ rng: inout SplitMix64) -> String {
    (0..<Int.random(in: 1...3, using: &rng)).map { _ in
      syllables[Int.random(in: 0..<syllables.count, using: &rng)]
    }.joined()
  }

  private static func sentence(_ rng: inout SplitMix64) -> String {
    let words = (0..<Int.random(in: 5...12, using: &rng)).map { _ in word(&rng) }
    return words.joined(separator: " ").prefix(1).uppercased()
      + words.joined(separator: " ").dropFirst()
      + "."
  }

  private static func paragraphs(seed: UInt64, count: Int) -> String {
    var rng = SplitMix64(seed: seed)
    return (0..<count).map { _ in
      (0..<4).map { _ in sentence(&rng) }.joined(separator: " ")
    }.joined(separator: "\n\n")
  }

  private static func value(_ rng: inout SplitMix64, depth: Int, indent: Int?) -> String {
    let lead = indent.map { "\n" + String(repeating: " ", count: 2 * $0 + 2) } ?? ""
    let end = indent.map { "\n" + String(repeating: " ", count: 2 * $0) } ?? ""
    let inner = indent.map { $0 + 1 }
    let kind = depth == 4 ? 0 : depth == 0 ? 9 : Int.random(in: 0..<10, using: &rng)
    switch kind {
    case 0, 1, 2:
      let members = (0..<(depth == 4 ? 5 : 3)).map { index in
        "\(lead)\"\(word(&rng))\(index)\": \(value(&rng, depth: depth - 1, indent: inner))"
      }
      return "{" + members.joined(separator: ",") + end + "}"
    case 3, 4:
      let elements = (0..<3).map { _ in lead + value(&rng, depth: depth - 1, indent: inner) }
      return "[" + elements.joined(separator: ",") + end + "]"
    case 5: return "\(Int.random(in: -500..<500, using: &rng)).25"
    case 6: return ["true", "false", "null"][Int.random(in: 0..<3, using: &rng)]
    default: return "\"\(sentence(&rng))\""
    }
  }
}
