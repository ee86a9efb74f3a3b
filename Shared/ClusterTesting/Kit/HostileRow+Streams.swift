private typealias Chunks = HostileChunks

extension HostileRow {
  /// Rows with two hosts: the first breaks off, and the second resumes.
  static let hops: [HostileRow] = [
    hop("tool-index-overflow", "a tool call with the largest index, then two more calls") {
      [
        .bytes(Chunks.opening),
        .bytes(
          Chunks.call("\(Int.max)", name: "f", arguments: #"{\"x\":\""# + Chunks.letters(200))),
      ]
    } then: {
      Chunks.answer(
        .bytes(Chunks.call("0", name: "f", arguments: #"{\"x\":\""# + Chunks.letters(200))),
        .bytes(Chunks.call("0", arguments: #"\"}"#)),
        .bytes(Chunks.call("1", name: "g", arguments: "{}")), .bytes(Chunks.callsEnding))
    },
    hop("tool-arguments-differ", "200 letters of an argument, then a call of 1,100 members") {
      [
        .bytes(Chunks.opening),
        .bytes(Chunks.call("0", name: "f", arguments: #"{\"x\":\""# + Chunks.letters(200))),
      ]
    } then: {
      Chunks.answer(
        .bytes(Chunks.call("0", name: "f", arguments: "{")),
        .each(1_100) { number in
          let comma = number == 0 ? "" : ","
          return Chunks.call("0", arguments: #"\#(comma)\"m\#(number)\":\#(number)"#)
        },
        .bytes(Chunks.call("0", arguments: "}")), .bytes(Chunks.callsEnding))
    },
    hop("identity-large", "an id, model and fingerprint of 300 KB, then many chunks of another") {
      let long = Chunks.letters(300_000)
      return [
        .bytes(
          Chunks.event(
            #"{"id":"\#(long)","object":"chat.completion.chunk","created":1,"model":"\#(long)","#
              + #""system_fingerprint":"\#(long)","choices":[{"index":0,"#
              + #""delta":{"content":"The first words of it "},"finish_reason":null}]}"#))
      ]
    } then: {
      Chunks.answer(.each(2_000) { Chunks.text("word\($0) ") })
    },
    hop("joint-periodic", "60 KB of one word, then the same with small changes") {
      [.bytes(Chunks.opening), .times(2_000, Chunks.text(String(repeating: "ab ", count: 10)))]
    } then: {
      Chunks.answer(
        .each(4_000) { number in
          Chunks.text(String(repeating: "ab ", count: 9) + (number % 97 == 96 ? "ac " : "ab "))
        })
    },
    hop("tool-names-differ", "5,000 calls, then calls of other names in reverse") {
      [
        .bytes(Chunks.opening),
        .each(5_000) { Chunks.call("\($0)", name: "f\($0)", arguments: "{}") },
      ]
    } then: {
      Chunks.answer(.each(5_000) { Chunks.call("\(4_999 - $0)", name: "f", arguments: "{}") })
    },
  ]

  /// Rows with answers of many items, of many bytes, or in many small writes.
  static let floods: [HostileRow] = [
    stream("honest", "nothing: 20,000 words, to compare with") {
      Chunks.answer(.each(20_000) { Chunks.text("word\($0) ") })
    },
    stream("blanks", "a letter, 3 MB of blanks, then chunks of one blank") {
      Chunks.answer(
        .bytes(Chunks.text("a")), .times(6, Chunks.text(Chunks.letters(500_000, " "))),
        .times(20_000, Chunks.text(" ")))
    },
    assembled("tool-calls", "20,000 tool calls") {
      Chunks.answer(.each(20_000) { Chunks.call("\($0)", name: "f", arguments: "{}") })
    },
    stream("tool-calls-streamed", "20,000 tool calls to a client that streams") {
      Chunks.answer(.each(20_000) { Chunks.call("\($0)", name: "f", arguments: "{}") })
    },
    assembled("members", "60,000 chunks that each add a member to the message") {
      Chunks.answer(.each(60_000) { Chunks.chunk(#"{"m\#($0)":"x"}"#) })
    },
    assembled("members-at-once", "one event with 60,000 members") {
      let members = (0..<60_000).map { #""m\#($0)":1"# }.joined(separator: ",")
      return Chunks.answer(.bytes(Chunks.chunk("{\(members)}")))
    },
    stream("empty-events", "a letter, then 1,500,000 empty events") {
      Chunks.answer(.bytes(Chunks.text("a")), .times(1_500_000, Chunks.event("{}")))
    },
    unread("large-then-empty", "one large event, then empty ones", clients: 3) {
      Chunks.answer(
        .bytes(Chunks.text(Chunks.letters(900_000))), .times(1_000_000, Chunks.event("{}")))
    },
    unread("endless", "an answer without an end", clients: 20) {
      Chunks.answer(.times(300_000, Chunks.text("word word word ")))
    },
    stream("long-line", "a line of 33 MB") { [.times(33, Array(Chunks.letters(1 << 20).utf8))] },
    stream("data-lines", "one event of a million data lines") {
      [.times(1_000_000, Array("data:\n".utf8)), .bytes(Chunks.ending)]
    },
    stream("comments", "16 MB of comments") {
      [.times(1 << 22, Array(": x\n".utf8)), .bytes(Chunks.ending)]
    },
    stream("carriage-returns", "8 MB of carriage returns") {
      [.times(8, Array(Chunks.letters(1 << 20, "\r").utf8)), .bytes(Chunks.ending)]
    },
    script("byte-by-byte", "an answer in writes of one byte") {
      var script = HostileScript(Chunks.answer(.each(100) { Chunks.text("word\($0) ") }))
      script.batch = 1
      return script
    },
    stream("roles", "100,000 chunks with a role and no text") {
      Chunks.answer(.times(100_000, Chunks.opening))
    },
    stream("finishes", "50,000 chunks that end the answer") {
      [
        .bytes(Chunks.opening + Chunks.text("a")),
        .times(50_000, Chunks.chunk("{}", finish: "stop")), .bytes(Chunks.done),
      ]
    },
    stream("after-done", "8 MB after the end") {
      Chunks.answer(.bytes(Chunks.text("a"))) + [.times(50_000, Chunks.text("more words"))]
    },
    assembled("choices", "20,000 choices where one was asked for") {
      Chunks.answer(.each(20_000) { Chunks.chunk(#"{"content":"a"}"#, index: "\($0)") })
    },
    stream("reasoning", "16 MB of reasoning and no word of an answer") {
      Chunks.answer(.times(80_000, Chunks.chunk(#"{"reasoning_content":"thought "}"#)))
    },
    assembled("logprobs", "20 chunks of 900 KB of probabilities") {
      let entries = Array(
        repeating: #"{"token":"a","logprob":-1,"top_logprobs":[]}"#, count: 20_000)
      let list = entries.joined(separator: ",")
      return Chunks.answer(
        .times(
          20,
          Chunks.event(
            #"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":["#
              + #"{"index":0,"delta":{"content":"a"},"logprobs":{"content":[\#(list)]},"#
              + #""finish_reason":null}]}"#)))
    },
    stream("slow-bytes", "50 bytes, one each 100 ms") {
      [.bytes(Chunks.opening)]
        + (0..<50).flatMap { _ in
          [HostileScript.Part.bytes(Array(":".utf8)), .pause(milliseconds: 100)]
        } + [.bytes([0x0A] + Chunks.text("a") + Chunks.ending)]
    },
  ]

  static func unread(
    _ name: String, _ harm: String, clients: Int,
    _ first: @escaping @Sendable () -> [HostileScript.Part]
  ) -> HostileRow {
    var row = stream(name, harm, first)
    row.client.clients = clients
    row.client.reads = false
    return row
  }
}
