import ClusterModel

/// Generates documents that resemble model output, by seed.
struct RandomDocument {
  enum Kind: CaseIterable { case prose, markdown, list, json, mixed }

  private var rng: SplitMix64

  init(seed: UInt64) { rng = SplitMix64(seed: seed) }

  private static let words = [
    "the", "cluster", "answers", "a", "question", "with", "many", "models", "naïve", "日本語",
    "résumé", "0.25", "x_1", "`code`", "**bold**", "and", "[link](http://a.b/c)", "😀", "because",
    "latency", "</s>", "<b>", "is", "not", "everything",
  ]

  mutating func next(_ kind: Kind) -> String {
    switch kind {
    case .prose: return lines(4) { $0.sentences(8) }
    case .markdown: return lines(16) { $0.block() }
    case .list: return lines(24) { "- " + $0.sentences(2) }
    case .json: return json(4)
    case .mixed:
      return "<think>\n\(sentences(2))</think>\n" + lines(8) { $0.block() } + "\n" + json(2)
        + "<|im_end|>"
    }
  }

  mutating func number(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &rng) }

  private mutating func pick<Element>(_ list: [Element]) -> Element {
    list[number(0...list.count - 1)]
  }

  private mutating func lines(_ most: Int, _ make: (inout Self) -> String) -> String {
    var result = ""
    var last = ""
    for _ in 0..<number(1...most) {
      // Small models repeat themselves.
      if last.isEmpty || number(0...4) > 0 { last = make(&self) }
      result += last + pick(["\n", "\n\n", "\n\n\n\n", "  \r\n"])
    }
    return result
  }

  private mutating func sentence() -> String {
    let count = number(1...14)
    return (0..<count).map { _ in pick(Self.words) }.joined(separator: " ")
      + pick([".", "!", "?", ";", ":", "。", ""])
  }

  private mutating func sentences(_ most: Int) -> String {
    (0..<number(1...most)).map { _ in sentence() }.joined(separator: " ")
  }

  private mutating func block() -> String {
    switch number(0...7) {
    case 0, 1: return String(repeating: "#", count: number(1...4)) + " " + sentence()
    case 2:
      let fence = pick(["```", "~~~", "````"])
      let code = (0..<number(0...20)).map { _ in pick(["  let a = 1", "", "}", "</s>", "  "]) }
      let info = pick(["", "swift"])
      return ([fence + info] + code + [fence]).joined(separator: "\n")
    case 3: return "```json\n\(json(3))\n```"
    case 4: return "\(number(1...20)). " + sentences(3)
    case 5: return "> " + sentence()
    default: return sentences(6)
    }
  }

  mutating func json(_ depth: Int) -> String {
    switch number(0...(depth > 0 ? 5 : 2)) {
    case 0: return pick(["true", "null", "-1.5e3", "12345678901234567890", "0"])
    case 1, 2: return string()
    case 3:
      return "[" + (0..<number(0...12)).map { _ in json(depth - 1) }.joined(separator: ", ") + "]"
    default:
      let members = (0..<number(0...8)).map { "\"key\($0)\": " + json(depth - 1) }
      return "{\n  " + members.joined(separator: ",\n  ") + "\n}"
    }
  }

  private mutating func string() -> String {
    "\"" + sentences(3) + pick(["", #"\n\u00e9\ud83d\ude00\\"#, #"\"quoted\" \/"#]) + "\""
  }
}
