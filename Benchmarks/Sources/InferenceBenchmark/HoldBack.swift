import AnswerTesting
import ClusterModel
import InferenceCore
import Text

/// Measures the delay that holding back the last word adds for a client.
///
/// The answer's stream receives 50 tokens a second in virtual time, one token per chunk.
enum HoldBack {
  /// Time between two chunks.
  static let pause = Duration.milliseconds(20)
  /// Kinds of answers, by the prefix of their names in the corpus.
  static let kinds = [
    ("prose", "prose"), ("markdown", "markdown"), ("code", "code fence"), ("JSON", "JSON"),
    ("tool calls", "tool calls"),
  ]

  static func run() throws {
    print("Hold-back at 50 tokens/s in virtual time: held after a chunk, and a token's added delay")
    Table.line(
      "", ["tokens", "held p50/p95/max B", "delay p50/p95/max ms", "mean ms", "bytes/token"])
    for (title, name) in kinds {
      var seen = Seen()
      for answer in AnswerCorpus.answers where answer.name.hasPrefix(name) {
        try measure(answer, &seen)
      }
      let held = Latencies(seen.held)
      let delays = Latencies(seen.delays)
      Table.line(
        title,
        [
          "\(delays.count)", spread(held), spread(delays),
          Table.twoDecimals(seen.delays.reduce(0, +) / Double(max(delays.count, 1))),
          Table.twoDecimals(Double(seen.bytes) / Double(max(delays.count, 1))),
        ])
    }
  }

  private static func spread(_ values: Latencies) -> String {
    [0.5, 0.95, 1].map { Table.whole(values.quantile($0)) }.joined(separator: " / ")
  }

  private struct Seen {
    /// Bytes held back after each chunk.
    var held: [Double] = []
    /// Milliseconds from a token's arrival to the release of its last byte.
    var delays: [Double] = []
    var bytes = 0
  }

  private static func measure(_ answer: CorpusAnswer, _ seen: inout Seen) throws {
    var stream = AnswerStream(shape: AnswerShape())
    /// Tokens not yet completely released: arrival time and end offset in bytes.
    var waiting: [(arrival: Duration, end: Int)] = []
    var arrived = 0
    var released = 0
    for (number, data) in chunks(answer).enumerated() {
      let now = pause * number
      let bytes = try ClientChunk(data).textBytes
      if bytes > 0 {
        arrived += bytes
        waiting.append((now, arrived))
      }
      let chunk = InferenceChunk(data: data, facts: try ChunkFacts(parsing: data))
      for passed in try stream.take(chunk) { released += try ClientChunk(passed.data).textBytes }
      seen.held.append(Double(stream.heldTextBytes))
      while let first = waiting.first, first.end <= released {
        seen.delays.append(Table.milliseconds(now - first.arrival))
        waiting.removeFirst()
      }
    }
    precondition(waiting.isEmpty, "the end of \(answer.name) was not passed on")
    seen.bytes += arrived
  }

  // MARK: - A host that sends one token a chunk

  private static func chunks(_ answer: CorpusAnswer) -> [[UInt8]] {
    var deltas = [#"{"role":"assistant","content":""}"#]
    for token in tokens(answer.content) { deltas.append(#"{"content":\#(quoted(token))}"#) }
    for (index, call) in answer.calls.enumerated() {
      deltas.append(
        #"{"tool_calls":[{"index":\#(index),"id":"\#(call.id)","type":"function","function":"#
          + #"{"name":"\#(call.name)","arguments":""}}]}"#)
      for token in tokens(call.arguments) {
        deltas.append(
          #"{"tool_calls":[{"index":\#(index),"function":{"arguments":\#(quoted(token))}}]}"#)
      }
    }
    return (deltas.map { ($0, "null") } + [("{}", #""\#(answer.finishReason)""#)]).map {
      Array(
        (#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":["#
          + #"{"index":0,"delta":\#($0),"finish_reason":\#($1)}]}"#).utf8)
    }
  }

  private static func quoted(_ text: String) -> String {
    String(decoding: JSON.quoted(text), as: UTF8.self)
  }

  /// Splits text as model vocabularies do: a word with its preceding space, in pieces of at most
  /// six letters; digits in groups of three; other signs one by one; white space in runs.
  private static func tokens(_ text: String) -> [String] {
    enum Kind { case letter, digit, space, other }
    func kind(_ scalar: Unicode.Scalar) -> Kind {
      if scalar.properties.isAlphabetic { return .letter }
      if ("0"..."9").contains(scalar) { return .digit }
      return scalar.properties.isWhitespace ? .space : .other
    }
    let longest: [Kind: Int] = [.letter: 6, .digit: 3, .space: 16, .other: 1]
    var tokens: [String] = []
    var token = String.UnicodeScalarView()
    var last: Kind?
    var count = 0
    for scalar in text.unicodeScalars {
      let new = kind(scalar)
      // One space belongs to the word after it.
      let attaches = new == .letter && token.count == 1 && token.first == " "
      if !token.isEmpty, !attaches, new != last || count == longest[new] {
        tokens.append(String(token))
        token = String.UnicodeScalarView()
        count = 0
      }
      token.append(scalar)
      count = attaches ? 1 : count + 1
      last = new
    }
    return token.isEmpty ? tokens : tokens + [String(token)]
  }
}
