import AnswerTesting
import ClusterModel
import InferenceCore
import Limits
import Testing

/// Checks that reading an answer of twice the size takes at most about twice the steps. Nothing is
/// timed.
@Suite("Work to read an answer")
struct AnswerWorkTests {
  /// An answer that is read chunk by chunk.
  struct Reading {
    var stream: AnswerStream
    /// Work of hosts that were given up earlier.
    private var earlierWork = 0
    private(set) var released: [InferenceChunk] = []

    init(_ request: String = "{}") {
      stream = AnswerStream(shape: AnswerShape(body: Array(request.utf8)))
    }

    var work: Int { earlierWork + stream.work }

    mutating func take(_ delta: String, finish: String = "null") throws {
      let data = Array(
        #"{"id":"c","choices":[{"index":0,"delta":\#(delta),"finish_reason":\#(finish)}]}"#.utf8)
      released += try stream.take(
        InferenceChunk(data: data, facts: try ChunkFacts(parsing: data)))
    }

    mutating func content(_ text: String) throws {
      try take(#"{"content":\#(HopRun.quoted(text))}"#)
    }

    mutating func arguments(_ text: String, of call: Int = 0, name: String? = nil) throws {
      let name = name.map { #""name":"\#($0)","# } ?? ""
      try take(
        #"{"tool_calls":[{"index":\#(call),"function":{\#(name)"arguments":\#(HopRun.quoted(text))}}]}"#
      )
    }

    mutating func hop(_ way: ResumeWay = .trailingAssistant) throws {
      earlierWork += stream.work
      released += try stream.interrupt().release
      stream.resume(way)
    }
  }

  struct Input: Sendable, CustomTestStringConvertible {
    let name: String
    let size: Int
    var request = "{}"
    let read: @Sendable (inout Reading, Int) throws -> Void

    var testDescription: String { name }
  }

  private static let begun = #"{"role":"assistant","content":""}"#
  private static let stops =
    (0..<16).map { #""\#(String(repeating: "=", count: 255))\#($0 % 10)""# }.joined(separator: ",")

  static let inputs: [Input] = [
    Input(name: "words", size: 4_000) { reading, n in
      for _ in 0..<n { try reading.content("word ") }
    },
    Input(name: "one long word, a letter a chunk", size: 4_000) { reading, n in
      for _ in 0..<n { try reading.content("w") }
    },
    Input(name: "a chunk of one long word, then letters", size: 100_000) { reading, n in
      try reading.content(String(repeating: "w", count: n))
      for _ in 0..<(n / 100) { try reading.content("w") }
    },
    Input(name: "a letter, blanks, then a blank a chunk", size: 3_000) { reading, n in
      try reading.take(begun)
      try reading.content("a")
      try reading.content(String(repeating: " ", count: n * 100))
      for _ in 0..<n { try reading.content(" ") }
    },
    Input(name: "words, blanks, then a blank a chunk", size: 3_000) { reading, n in
      try reading.content("some words and more")
      for _ in 0..<n { try reading.content(String(repeating: " ", count: 100)) }
      for _ in 0..<n { try reading.content(" ") }
    },
    Input(name: "empty events after a letter", size: 2_000) { reading, n in
      try reading.content("a")
      for _ in 0..<n { try reading.take("{}") }
    },
    Input(name: "thoughts and words in turns", size: 4_000) { reading, n in
      for _ in 0..<n {
        try reading.take(#"{"reasoning_content":"so "}"#)
        try reading.content("word ")
      }
    },
    Input(name: "thoughts and words in one chunk", size: 4_000) { reading, n in
      for _ in 0..<n { try reading.take(#"{"reasoning_content":"so ","content":"word "}"#) }
    },
    Input(name: "members of an argument", size: 4_000) { reading, n in
      try reading.arguments("{", name: "f")
      for number in 0..<n { try reading.arguments(#""m\#(number)":\#(number),"#) }
    },
    Input(name: "nesting in an argument", size: 4_000) { reading, n in
      try reading.arguments(String(repeating: "[", count: n), name: "f")
      for _ in 0..<n { try reading.arguments("[") }
    },
    Input(name: "chunks in turns for 1,024 calls", size: 4_096) { reading, n in
      for number in 0..<n {
        try reading.arguments("1", of: number % 1_024, name: number < 1_024 ? "f" : nil)
      }
    },
    Input(name: "one chunk whose pieces are for 1,024 calls", size: 4_096) { reading, n in
      let pieces = (0..<n).map {
        #"{"index":\#($0 % 1_024),"function":{"arguments":"1"}}"#
      }
      // At most 1,024 pieces per chunk.
      for start in stride(from: 0, to: n, by: 1_024) {
        try reading.take(
          #"{"tool_calls":[\#(pieces[start..<min(start + 1_024, n)].joined(separator: ","))]}"#)
      }
    },
    Input(name: "a finish_reason in every chunk, after 500 calls", size: 2_000) { reading, n in
      for call in 0..<500 { try reading.arguments("{}", of: call, name: "f") }
      for _ in 0..<n { try reading.take("{}", finish: #""stop""#) }
    },
    Input(
      name: "beginnings of 16 long stop sequences", size: 4_000, request: #"{"stop":[\#(stops)]}"#
    ) { reading, n in
      try reading.content("some words ")
      for _ in 0..<n { try reading.content("=") }
    },
    Input(
      name: "stop sequences across a joint", size: 250, request: #"{"stop":[\#(stops)]}"#
    ) { reading, n in
      try reading.content("some words, ")
      for _ in 0..<n { try reading.content("====") }
      try reading.hop()
      for _ in 0..<n { try reading.content("=") }
    },
    Input(name: "a text that a second host repeats", size: 4_000) { reading, n in
      try reading.arguments("[", name: "f")
      for _ in 0..<n { try reading.arguments("1, ") }
      try reading.hop()
      try reading.arguments("[", name: "f")
      for _ in 0..<n { try reading.arguments("1, ") }
    },
    Input(name: "500 calls that a second host makes again", size: 2_000) { reading, n in
      for pass in 0..<2 {
        if pass == 1 { try reading.hop() }
        for number in 0..<n {
          try reading.arguments(
            number < 500 ? "[1, " : "2, ", of: number % 500, name: number < 500 ? "f" : nil)
        }
      }
    },
    Input(name: "a joint that is not understood", size: 1_000) { reading, n in
      for number in 0..<400 { try reading.content("word\(number) ") }
      try reading.hop(.instruct)
      for _ in 0..<n { try? reading.content("x") }
    },
    Input(name: "JSON that repeats itself at a joint", size: 1_000) { reading, n in
      try reading.content("[")
      for _ in 0..<1_000 { try reading.content("0,") }
      try reading.hop(.instruct)
      for _ in 0..<n { try? reading.content("0,") }
    },
  ]

  @Test("twice the input takes at most 2.2 times the steps", arguments: inputs)
  func linear(_ input: Input) throws {
    var once = Reading(input.request)
    try input.read(&once, input.size)
    var twice = Reading(input.request)
    try input.read(&twice, 2 * input.size)
    #expect(once.work > 0)
    #expect(Double(twice.work) <= 2.2 * Double(once.work), "\(once.work), \(twice.work)")
  }

  @Test("a look at a joint is bounded, however many chunks come")
  func jointIsBounded() throws {
    var reading = Reading()
    for number in 0..<400 { try reading.content("word\(number) ") }
    try reading.hop(.instruct)
    let before = reading.work
    for _ in 0..<3_000 { try? reading.content("x") }
    #expect(reading.work - before < Limits.answerFreeWork.value)
  }

  // MARK: - Memory

  @Test("chunks that wait take no more than their limit, and are charged with their buffers")
  func heldChunks() throws {
    var reading = Reading()
    try reading.content("a")
    var failure: AttemptFailure?
    var count = 0
    while failure == nil, count < 100_000 {
      do { try reading.take("{}") } catch { failure = error as? AttemptFailure }
      count += 1
    }
    #expect(failure?.kind == .garbage)
    #expect(failure?.message.contains(Limits.heldChunkBytes.name) == true)
    // Each chunk has about 60 bytes and is charged at least 150.
    #expect(count < Limits.heldChunkBytes.value / 150)
    #expect(reading.stream.memory < Limits.heldChunkBytes.value + (1 << 20))
  }

  @Test("a chunk in a buffer that held a large event is kept without that buffer")
  func largeBuffer() throws {
    var reading = Reading()
    for _ in 0..<100 {
      var data: [UInt8] = []
      data.reserveCapacity(1 << 20)
      data += #"{"choices":[{"index":0,"delta":{"content":"a"}}]}"#.utf8
      _ = try reading.stream.take(
        InferenceChunk(data: data, facts: try ChunkFacts(parsing: data)))
    }
    #expect(reading.stream.memory < 200_000)
  }

  @Test("text is charged with its buffer; beyond the limit it is passed on and not kept")
  func longText() throws {
    var reading = Reading()
    let text = String(repeating: "word ", count: 40_000)
    var most = 0
    var sent = 0
    for _ in 0..<30 {
      try reading.content(text)
      sent += text.utf8.count
      most = max(most, reading.stream.memory)
    }
    #expect(most >= 2 << 20)
    #expect(most <= Limits.answerMemory.value + Limits.heldChunkBytes.value)
    #expect(reading.stream.memory < 1 << 20)
    let released = reading.released.reduce(0) { $0 + $1.facts.text.utf8.count }
    #expect(released == sent)
    #expect(throws: Failure.self) { _ = try reading.stream.interrupt() }
  }

  @Test("the limit of kept text is over all calls together")
  func manyTexts() throws {
    var reading = Reading()
    let text = String(repeating: "1, ", count: 10_000)
    for call in 0..<200 { try reading.arguments("[" + text, of: call, name: "f") }
    #expect(reading.stream.memory < 1 << 20)
    #expect(throws: Failure.self) { _ = try reading.stream.interrupt() }
  }
}
