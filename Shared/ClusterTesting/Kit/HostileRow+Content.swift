private typealias Chunks = HostileChunks

extension HostileRow {
  /// Rows in which chunks have unusual JSON.
  static let shapes: [HostileRow] = [
    stream("choice-index-overflow", "choices with the largest and smallest indices") {
      Chunks.answer(
        .bytes(Chunks.chunk(#"{"content":"a"}"#, index: "\(Int.max)")),
        .bytes(Chunks.chunk(#"{"content":"a"}"#, index: "\(Int.min)")),
        .bytes(Chunks.chunk(#"{"content":"a"}"#, index: "-1")))
    },
    assembled("choice-index-assembled", "the same, assembled") {
      Chunks.answer(
        .bytes(Chunks.chunk(#"{"content":"a"}"#, index: "\(Int.max)")),
        .bytes(Chunks.chunk(#"{"content":"a"}"#, index: "\(Int.min)")))
    },
    assembled("tool-index-assembled", "tool calls with the largest and smallest indices") {
      Chunks.answer(
        .bytes(Chunks.call("\(Int.max)", name: "f", arguments: "{}")),
        .bytes(Chunks.call("\(Int.min)", name: "g", arguments: "{}")))
    },
    stream("numbers", "token counts that no integer holds") {
      Chunks.answer(
        .bytes(Chunks.text("a")),
        .each(100) { number in
          let count = ["1e999", "99999999999999999999", "-1", "0.5", "-0"][number % 5]
          return Chunks.chunk(
            "{}",
            more:
              #","usage":{"prompt_tokens":\#(count),"completion_tokens":\#(count),"total_tokens":1}"#
          )
        })
    },
    stream("usage-maximum", "1,000 chunks that each count the largest number of tokens") {
      Chunks.answer(
        .bytes(Chunks.text("a")),
        .times(
          1_000,
          Chunks.chunk(
            "{}",
            more: #","usage":{"prompt_tokens":\#(Int.max),"completion_tokens":\#(Int.max)}"#)))
    },
    stream("duplicate-members", "a chunk with its text 60,000 times") {
      let members = Array(repeating: #""content":"a""#, count: 60_000).joined(separator: ",")
      return Chunks.answer(.bytes(Chunks.chunk("{\(members)}")))
    },
    stream("nested", "a chunk nested 400,000 deep") {
      Chunks.answer(.bytes(Chunks.event(Chunks.letters(400_000, "["))))
    },
    stream("wide", "a chunk of 300,000 empty choices") {
      let choices = Array(repeating: "{}", count: 300_000).joined(separator: ",")
      return Chunks.answer(.bytes(Chunks.event(#"{"choices":[\#(choices)]}"#)))
    },
    stream("tool-arguments-deep", "arguments nested 200,000 deep") {
      Chunks.answer(
        .bytes(Chunks.call("0", name: "f", arguments: "")),
        .times(2_000, Chunks.call("0", arguments: Chunks.letters(100, "["))))
    },
    stream("tool-name-growing", "a tool's name in 30,000 pieces") {
      Chunks.answer(.times(30_000, Chunks.call("0", name: "ab", arguments: "")))
    },
    stream("error-event", "an error of 1 MB in lines") {
      let words = String(repeating: #"e\n"#, count: 300_000)
      return [
        .bytes(Chunks.opening + Chunks.event(#"{"error":{"message":"\#(words)"}}"#))
      ]
    },
    stream("null-everywhere", "chunks whose members are null or of the wrong kind") {
      Chunks.answer(
        .bytes(Chunks.event(#"{"choices":null}"#)),
        .bytes(Chunks.event(#"{"choices":[null,1,"a",[],{"index":"x","delta":[1]}]}"#)),
        .bytes(Chunks.event(#"{"choices":{"0":{}},"usage":[],"id":{},"model":7}"#)),
        .bytes(Chunks.chunk(#"{"tool_calls":[null,{"index":null,"function":null},{}]}"#)))
    },
  ]

  /// Rows with texts in which words or characters are expensive to find, and with control
  /// characters.
  static let texts: [HostileRow] = [
    stream("one-word", "a word of 4 MB") {
      Chunks.answer(.times(1 << 18, Chunks.text(Chunks.letters(16))))
    },
    stream("json-string", "a JSON answer that is one string of 2 MB") {
      Chunks.answer(
        .bytes(Chunks.text(#"{\"s\":\""#)), .times(1 << 18, Chunks.text(#"ab\\u00e9"#)))
    },
    stream("combining-marks", "a letter with a million combining marks") {
      Chunks.answer(
        .bytes(Chunks.text("a")),
        .times(10_000, Chunks.text(String(repeating: #"\u0301"#, count: 100))))
    },
    stream("lone-surrogates", "halves of characters as escapes") {
      Chunks.answer(.times(10, Chunks.text(String(repeating: #"\ud83d"#, count: 100_000))))
    },
    stream("half-characters", "text that is no UTF-8") {
      let halves = [UInt8](repeating: 0xF0, count: 100)
      let whole = Chunks.text("X")
      let place = whole.lastIndex(of: UInt8(ascii: "X")) ?? 0
      return Chunks.answer(
        .times(10_000, Array(whole[..<place]) + halves + Array(whole[(place + 1)...])))
    },
    stream("nul-bytes", "NUL characters, escaped and bare") {
      Chunks.answer(
        .times(1_000, Chunks.text(#"a\u0000b"#)), .bytes([UInt8](repeating: 0, count: 100_000)))
    },
    stream("terminal-escapes", "sequences that a terminal would obey") {
      Chunks.answer(.times(1_000, Chunks.text(#"\u001b]0;title\u0007\u001b[2J\u009b31m "#)))
    },
    stream("code-fences", "200,000 lines of code fences") {
      Chunks.answer(.times(200_000, Chunks.text("```\\n")))
    },
    stream("brackets", "an answer of 1 MB of opening brackets") {
      Chunks.answer(.times(10_000, Chunks.text(Chunks.letters(100, "["))))
    },
  ]

  /// Rows with unstreamed answers.
  static let bodies: [HostileRow] = [
    body("body-members", "a body of a million members") {
      [
        .bytes(Array("{".utf8)), .each(1_000_000) { Array(#""m\#($0)":1,"#.utf8) },
        .bytes(
          Array(
            (#""choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}]}"#).utf8)),
      ]
    },
    body("body-nested", "a body nested 8,000,000 deep") {
      [.times(8, Array(Chunks.letters(1 << 20, "[").utf8))]
    },
    body("body-blank", "31 MB of blanks") {
      [.times(31, Array(Chunks.letters(1 << 20, " ").utf8)), .bytes(Array("{}".utf8))]
    },
    body("body-choices", "500,000 choices") {
      [
        .bytes(
          Array(
            #"{"id":"c","choices":[{"index":0,"message":{"content":"a"},"finish_reason":"stop"}"#
              .utf8)),
        .each(500_000) {
          Array(#",{"index":\#($0),"message":{"content":"a"},"finish_reason":"stop"}"#.utf8)
        }, .bytes(Array("]}".utf8)),
      ]
    },
    embeddings("embedding-count", "2,000,000 empty vectors for one input") {
      [
        .bytes(Array(#"{"object":"list","model":"m","data":[{}"#.utf8)),
        .times(2_000_000, Array(",{}".utf8)), .bytes(Array("]}".utf8)),
      ]
    },
  ]

  static func embeddings(
    _ name: String, _ harm: String, _ first: @escaping @Sendable () -> [HostileScript.Part]
  ) -> HostileRow {
    var row = body(name, harm, first)
    row.client.path = "/v1/embeddings"
    return row
  }

  /// Rows with unusual statuses, headers and ends.
  static let heads: [HostileRow] = [
    refusing,
    script("error-body", "an error of 32 MB") {
      .body(
        [
          .bytes(Array(#"{"error":{"message":""#.utf8)),
          .times(32, Array(Chunks.letters(1 << 20).utf8)),
        ],
        status: 500)
    },
    script("retry-after", "a time to wait that no integer holds") {
      var script = HostileScript.body(
        [.bytes(Array(#"{"error":{"message":"busy"}}"#.utf8))], status: 503)
      script.headers = [("retry-after", "99999999999999999999")]
      return script
    },
    script("redirect", "a redirect to itself") {
      var script = HostileScript.body([], status: 302)
      script.headers = [("location", "/v1/chat/completions")]
      return script
    },
    script("headers", "1,000 header lines") {
      var script = HostileScript(Chunks.answer(.bytes(Chunks.text("a"))))
      script.headers = (0..<1_000).map { ("x-\($0)", Chunks.letters(60)) }
      return script
    },
    script("header-large", "a header line of 1 MB") {
      var script = HostileScript(Chunks.answer(.bytes(Chunks.text("a"))))
      script.headers = [("server", Chunks.letters(1 << 20))]
      return script
    },
    script("length-lie", "a content length that never comes") {
      var script = HostileScript(Chunks.answer(.bytes(Chunks.text("a"))), ending: .cut)
      script.length = Int.max
      return script
    },
    script("no-gzip", "a body that is called compressed and is not") {
      var script = HostileScript(Chunks.answer(.times(1_000, Chunks.text("word "))))
      script.headers = [("content-encoding", "gzip")]
      return script
    },
    silent,
  ]

  /// A row in which a good host offers the model too.
  private static var refusing: HostileRow {
    var row = script("refuses-all", "status 400 for everything") {
      .body([.bytes(Array(#"{"error":{"message":"bad request"}}"#.utf8))], status: 400)
    }
    row.client.isShared = true
    row.client.times = 12
    return row
  }

  private static var silent: HostileRow {
    var row = script("silent", "a head and nothing after it") {
      HostileScript([.bytes([])], ending: .open)
    }
    row.client.firstTokenMilliseconds = 1_000
    return row
  }
}
