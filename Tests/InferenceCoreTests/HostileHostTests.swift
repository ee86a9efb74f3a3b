import ClusterModel
import InferenceCore
import Limits
import Testing

private typealias Stream = HostileStream

/// One kind of stream, and how to generate it at a given size.
struct Growth: Sendable, CustomTestStringConvertible {
  let name: String
  let reading: UpstreamReading
  let size: Int
  let stream: @Sendable (Int) -> [UInt8]

  var testDescription: String { name }

  init(
    _ name: String, _ reading: UpstreamReading, _ size: Int,
    _ stream: @escaping @Sendable (Int) -> [UInt8]
  ) {
    self.name = name
    self.reading = reading
    self.size = size
    self.stream = stream
  }
}

@Suite("Work that a hostile host can cause")
struct HostileHostTests {
  static let growths: [Growth] = [
    Growth("tokens", Stream.reading(), 2_000) {
      Stream.events((0..<$0).map { _ in Stream.delta(#"{"content":"word "}"#) })
    },
    Growth("tool calls in chunks of their own", Stream.reading(), 512) {
      Stream.events((0..<$0).map { Stream.delta(#"{"tool_calls":[\#(Stream.call($0))]}"#) })
    },
    Growth("tool calls in one event", Stream.reading(), 512) {
      Stream.events([Stream.delta(#"{"tool_calls":\#(Stream.list($0) { Stream.call($0) })}"#)])
    },
    Growth("members of a delta", Stream.reading(), 512) {
      Stream.events([Stream.delta("{\(Stream.members($0))}")])
    },
    Growth("elements of an unknown array", Stream.reading(), 50_000) {
      Stream.events([Stream.delta(#"{"refs":\#(Stream.list($0) { "\($0)" })}"#)])
    },
    Growth("choices in one event", Stream.reading(choices: 2_048), 1_024) {
      Stream.events([
        #"{"choices":\#(Stream.list($0) { #"{"index":\#($0),"delta":{"content":"a"}}"# })}"#
      ])
    },
    Growth("escapes", Stream.reading(), 20_000) {
      Stream.events([
        Stream.delta(#"{"content":"\#(String(repeating: #"\n\ud83d\ude00"#, count: $0))"}"#)
      ])
    },
    Growth("data lines in one event", Stream.reading(), 50_000) {
      Array(
        ("data: {\n" + String(repeating: "data:\n", count: $0)
          + "data: \"choices\":[]}\n\n").utf8)
    },
    Growth("lines that end in CR only", Stream.reading(), 2_000) {
      Array((0..<$0).map { _ in "data: \(Stream.delta(#"{"content":"a"}"#))\r\r" }.joined().utf8)
    },
    Growth("comments", Stream.reading(), 20_000) {
      Array(String(repeating: ": ping\n\n", count: $0).utf8)
    },
    Growth("blank lines", Stream.reading(), 50_000) { Array(repeating: 0x0A, count: $0) },
    Growth("Anthropic's text", Stream.reading(.anthropic), 1_000) {
      Stream.events(
        (0..<$0).map { _ in
          #"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}"#
        })
    },
    Growth("Anthropic's tools", Stream.reading(.anthropic), 512) {
      Stream.events(
        (0..<$0).reversed().map {
          #"{"type":"content_block_start","index":\#($0),"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#
        })
    },
    Growth("Ollama's text", Stream.reading(.ollama), 1_000) {
      Stream.lines((0..<$0).map { _ in #"{"model":"l","message":{"content":"a"},"done":false}"# })
    },
    Growth("Ollama's tools in one line", Stream.reading(.ollama), 512) {
      Stream.lines([
        #"{"message":{"tool_calls":\#(Stream.list($0) { _ in #"{"function":{"name":"f","arguments":{}}}"# })}}"#
      ])
    },
    Growth("members of a line", Stream.reading(.ollama), 10_000) {
      Stream.lines(["{\(Stream.members($0))}"])
    },
    Growth("embeddings", Stream.reading(endpoint: .embeddings), 10_000) {
      Array(#"{"data":\#(Stream.list($0) { _ in #"{"embedding":[1]}"# })}"#.utf8)
    },
    Growth("Ollama's embeddings", Stream.reading(.ollama, endpoint: .embeddings), 1_024) {
      Array(#"{"embeddings":\#(Stream.list($0) { _ in "[1,2]" })}"#.utf8)
    },
    Growth("one long embedding", Stream.reading(.ollama, endpoint: .embeddings), 30_000) {
      Array(#"{"embeddings":[\#(Stream.list($0) { "\($0)" })]}"#.utf8)
    },
  ]

  @Test("work is linear in the size, whatever grows", arguments: growths)
  func linear(_ growth: Growth) {
    let (half, whole) = (
      HostileReading(growth.stream(growth.size), growth.reading),
      HostileReading(growth.stream(2 * growth.size), growth.reading)
    )
    #expect(half.failure == nil, "\(half.failure?.message ?? "")")
    #expect(whole.failure == nil, "\(whole.failure?.message ?? "")")
    #expect(Double(whole.work) <= 2.2 * Double(half.work), "\(half.work) → \(whole.work)")
  }

  @Test("one byte at a time costs as much as whole slices, within a constant")
  func tinyPieces() {
    let stream = Stream.events((0..<50).map { _ in Stream.delta(#"{"content":"word "}"#) })
    let slow = HostileReading(stream, Stream.reading(), slice: 1)
    let fast = HostileReading(stream, Stream.reading())
    #expect(slow.items == fast.items)
    #expect(slow.work <= 2 * fast.work)
  }

  static let garbage: [(String, UpstreamReading)] = [
    (Stream.delta("[]"), Stream.reading()),
    (#"{"choices":{"0":{}}}"#, Stream.reading()),
    (#"{"choices":[[]]}"#, Stream.reading()),
    (#"{"choices":[7]}"#, Stream.reading()),
    (#"{"choices":[{"index":-1,"delta":{"content":"a"}}]}"#, Stream.reading()),
    (#"{"choices":[{"index":2,"delta":{"content":"a"}}]}"#, Stream.reading(choices: 2)),
    (#"{"choices":[{"index":1e3,"delta":{"content":"a"}}]}"#, Stream.reading(choices: 2)),
    (#"{"choices":[{"index":"0","delta":{"content":"a"}}]}"#, Stream.reading()),
    (#"{"choices":[{"index":9223372036854775807}]}"#, Stream.reading()),
    (#"{"choices":[{"index":1e400}]}"#, Stream.reading()),
    (#"{"choices":[{},{}]}"#, Stream.reading()),
    (#"{"choices":\#(Stream.list(100_000) { _ in "{}" })}"#, Stream.reading(choices: 2)),
    (#"{"choices":[{"finish_reason":{}}]}"#, Stream.reading()),
    (Stream.delta(#"{"tool_calls":{}}"#), Stream.reading()),
    (Stream.delta(#"{"tool_calls":[null]}"#), Stream.reading()),
    (Stream.delta(#"{"tool_calls":[{"function":[]}]}"#), Stream.reading()),
    (Stream.delta(#"{"tool_calls":[{"index":-1}]}"#), Stream.reading()),
    (Stream.delta(#"{"tool_calls":[{"index":1024}]}"#), Stream.reading()),
    (Stream.delta(#"{"tool_calls":[{"index":9223372036854775807}]}"#), Stream.reading()),
    (
      Stream.delta(#"{"tool_calls":\#(Stream.list(5_000) { Stream.call($0) })}"#), Stream.reading()
    ),
    (Stream.delta("{\(Stream.members(60_000))}"), Stream.reading()),
    (#"{"choices":[{\#(Stream.members(60_000))}]}"#, Stream.reading()),
    ("{\(Stream.members(60_000))}", Stream.reading()),
    (Stream.delta(#"{"tool_calls":[{\#(Stream.members(2_000))}]}"#), Stream.reading()),
    (
      Stream.delta(#"{"tool_calls":[{"function":{\#(Stream.members(2_000))}}]}"#),
      Stream.reading()
    ),
    ("{\"choices\":[{\"delta\":{\"content\":\"\u{0}\"}}]}", Stream.reading()),
    (String(repeating: "[", count: 100_000), Stream.reading()),
    (#"{"type":"content_block_start","index":-1}"#, Stream.reading(.anthropic)),
    (#"{"type":"content_block_start","index":"0"}"#, Stream.reading(.anthropic)),
    (#"{"message":{"tool_calls":{}}}"#, Stream.reading(.ollama)),
    (
      #"{"message":{"tool_calls":\#(Stream.list(5_000) { _ in "{}" })}}"#, Stream.reading(.ollama)
    ),
  ]

  @Test("JSON that the dialect does not allow fails the attempt", arguments: garbage.indices)
  func isGarbage(_ index: Int) {
    let (json, reading) = Self.garbage[index]
    let read = HostileReading(
      reading.dialect == .ollama ? Stream.lines([json]) : Stream.events([json]), reading)
    #expect(read.failure?.kind == .garbage, "\(json.prefix(80)): \(told(read.items))")
    #expect(read.chunks.isEmpty)
  }

  @Test("long names fail the attempt with the limit that they exceed")
  func names() {
    let long = String(repeating: "n", count: 1 << 18)
    let given: [(String, UpstreamReading)] = [
      (#"{"id":"\#(long)","choices":[]}"#, Stream.reading()),
      (#"{"model":"\#(long)","choices":[]}"#, Stream.reading()),
      (#"{"system_fingerprint":"\#(long)","choices":[]}"#, Stream.reading()),
      (Stream.delta(#"{"role":"\#(long)"}"#), Stream.reading()),
      (#"{"choices":[{"finish_reason":"\#(long)"}]}"#, Stream.reading()),
      (
        Stream.delta(#"{"tool_calls":[{"function":{"name":"\#(long)"}}]}"#), Stream.reading()
      ),
      (Stream.delta(#"{"tool_calls":[{"id":"\#(long)"}]}"#), Stream.reading()),
      (#"{"model":"\#(long)","message":{"content":"a"}}"#, Stream.reading(.ollama)),
      (
        #"{"message":{"tool_calls":[{"function":{"name":"\#(long)"}}]}}"#, Stream.reading(.ollama)
      ),
      (#"{"type":"message_start","message":{"id":"\#(long)"}}"#, Stream.reading(.anthropic)),
      (#"{"type":"message_start","message":{"model":"\#(long)"}}"#, Stream.reading(.anthropic)),
    ]
    for (json, reading) in given {
      let read = HostileReading(
        reading.dialect == .ollama ? Stream.lines([json]) : Stream.events([json]), reading)
      #expect(read.failure?.kind == .tooLarge, "\(json.prefix(60))")
      #expect(read.failure?.message.contains("limit answer.") == true)
    }
    let fits = String(repeating: "n", count: 256)
    let read = HostileReading(
      Stream.lines(Array(repeating: #"{"model":"\#(fits)","message":{"content":"a"}}"#, count: 9)),
      Stream.reading(.ollama))
    #expect(read.failure == nil && read.chunks.count == 9)
  }

  @Test("a model name that changes with each line is taken once")
  func namesChange() {
    let read = HostileReading(
      Stream.lines((0..<3).map { #"{"model":"m\#($0)","message":{"content":"a"}}"# }),
      Stream.reading(.ollama))
    #expect(
      read.chunks.allSatisfy {
        String(decoding: $0.data, as: UTF8.self).contains(#""model":"m0""#)
      })
  }

  @Test("empty chunks without end are neither kept nor passed on, and then fail the attempt")
  func emptyChunks() {
    let letter = Stream.delta(#"{"content":"a"}"#)
    let tiny = HostileReading(
      Stream.events([letter] + Array(repeating: "{}", count: 10_000)), Stream.reading())
    #expect(tiny.failure?.message.contains(Limits.workPerByte.name) == true)
    #expect(tiny.chunks.count < 200)
    let empty = Stream.delta(#"{"content":""}"#)
    let large = HostileReading(
      Stream.events([letter] + Array(repeating: empty, count: 10_000)), Stream.reading())
    #expect(large.failure == nil)
    let most = 1 + 65 + 10_000 / Limits.emptyChunksInRow.value
    #expect(large.chunks.count <= most)
    let endless = HostileReading(
      Stream.events(Array(repeating: empty, count: Limits.emptyChunks.value + 1)),
      Stream.reading())
    #expect(endless.failure?.message.contains(Limits.emptyChunks.name) == true)
  }

  @Test("a pause in an answer passes on whole")
  func pause() {
    let letter = Stream.delta(#"{"content":"a"}"#)
    let read = HostileReading(
      Stream.events(
        [letter] + Array(repeating: Stream.delta("{}"), count: 60) + [letter]
          + Array(repeating: Stream.delta("{}"), count: 60) + [letter]), Stream.reading())
    #expect(read.chunks.count == 123)
  }

  @Test("an event owns a buffer of its size, also after a large one")
  func buffers() {
    let large = Stream.delta(#"{"content":"\#(String(repeating: "a", count: 900_000))"}"#)
    let read = HostileReading(
      Stream.events([large] + Array(repeating: Stream.delta(#"{"content":"b"}"#), count: 100)),
      Stream.reading())
    #expect(read.chunks.count == 101)
    // The allocator rounds large allocations up to a page.
    for chunk in read.chunks { #expect(chunk.data.capacity <= chunk.data.count + 4_160) }
    #expect(read.mostKept < 4 << 20)
  }

  @Test("there are as many embeddings as inputs, each with numbers")
  func embeddings() {
    let asked = Stream.reading(.ollama, endpoint: .embeddings, vectors: 2)
    let openai = Stream.reading(endpoint: .embeddings, vectors: 2)
    let bad: [(String, UpstreamReading)] = [
      (#"{"embeddings":\#(Stream.list(1 << 20) { _ in "[]" })}"#, asked),
      (#"{"embeddings":[[1]]}"#, asked), (#"{"embeddings":[[1],[2],[3]]}"#, asked),
      (#"{"embeddings":[[1],[]]}"#, asked), (#"{"embeddings":[[1],["a"]]}"#, asked),
      (#"{"embeddings":[1,2]}"#, asked), (#"{"embeddings":{}}"#, asked),
      (#"{"embeddings":[[1],\#(Stream.list(70_000) { _ in "1" })]}"#, asked),
      (#"{"data":[{}]}"#, openai), (#"{"data":[{},{},{}]}"#, openai), (#"{"data":{}}"#, openai),
      (#"{"data":[1,2]}"#, openai), ("{}", openai),
    ]
    for (body, reading) in bad {
      let read = HostileReading(Array(body.utf8), reading)
      #expect(read.failure?.kind == .garbage, "\(body.prefix(60))")
    }
    let good = HostileReading(Array(#"{"embeddings":[[1],[1e999]]}"#.utf8), asked)
    #expect(good.failure == nil)
    #expect(HostileReading(Array(#"{"data":[{},{}]}"#.utf8), openai).failure == nil)
  }

  @Test("counts, surrogates and numbers that no answer has end no process")
  func odd() {
    let odd = [
      #"{"choices":[],"usage":{"prompt_tokens":9223372036854775807,"completion_tokens":9223372036854775807}}"#,
      #"{"choices":[],"usage":[]}"#, #"{"choices":null}"#,
      Stream.delta(#"{"content":"\ud800"}"#), Stream.delta(#"{"content":"\udc00\ud800x"}"#),
      Stream.delta(#"{"content":"\u0000"}"#), Stream.delta(#"{"\ud800":1}"#),
      Stream.delta(#"{"x":\#(String(repeating: "9", count: 500_000))}"#),
      Stream.delta(#"{"x":1e999999999}"#),
      #"{"choices":[{"index":null,"delta":{"content":"a"}}]}"#,
    ]
    let read = HostileReading(Stream.events(odd), Stream.reading())
    #expect(read.failure == nil, "\(read.failure?.message ?? "")")
    var assembler = BodyAssembler(endpoint: .chatCompletions)
    for chunk in read.chunks { #expect(throws: Never.self) { try assembler.take(chunk) } }
    #expect(throws: Never.self) { try ChunkFacts(parsing: assembler.body()) }
  }

  @Test("an error message has at most 500 bytes, whatever its characters")
  func errorWords() {
    let marks = "e" + String(repeating: "\u{301}", count: 20_000)
    let read = HostileReading(
      Array(#"{"error":{"message":"\#(marks)"}}"#.utf8), Stream.reading(), status: 500)
    #expect((read.failure?.message.utf8.count ?? .max) < 600)
  }

  @Test("nothing is read after the end of the answer")
  func afterDone() {
    let stream = Stream.events(
      [Stream.delta(#"{"content":"a"}"#), "[DONE]"] + Array(repeating: "{}", count: 100_000))
    let read = HostileReading(stream, Stream.reading())
    #expect(read.items.suffix(2) == [.done, .end] && read.work < 200_000)
  }

  @Test("an honest stream of a million tokens stays within its allowance")
  func honest() {
    let token = Stream.delta(#"{"content":" token"}"#)
    let read = HostileReading(
      Stream.events(Array(repeating: token, count: 5_000)), Stream.reading())
    #expect(read.failure == nil && read.chunks.count == 5_000)
    // The work is at most half of the work that the stream's bytes allow.
    #expect(read.work < 5_000 * token.utf8.count * Limits.workPerByte.value / 2)
    #expect(1_000_000 * 300 <= Limits.streamBytes.value)
  }

  @Test("bytes that will be parsed at once are reported before they are")
  func pending() {
    var reader = UpstreamReader(Stream.reading(), status: 200)
    #expect(reader.pendingBytes == 0)
    _ = reader.append(Array("data: \(String(repeating: "x", count: 1_000))".utf8))
    #expect(reader.pendingBytes == 1_006)
    var body = UpstreamReader(Stream.reading(endpoint: .embeddings), status: 200)
    _ = body.append(Array(repeating: 0x20, count: 5_000))
    #expect(body.pendingBytes == 5_000)
  }
}
