import ClusterModel
import GatewayCore
import HostModel
import Testing
import Text

private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }
private func text(_ bytes: some Sequence<UInt8>) -> String {
  String(decoding: Array(bytes), as: UTF8.self)
}

private let hello = #""messages":[{"role":"user","content":"hi"}]"#

private func parse(
  _ json: String, _ endpoint: InferenceEndpoint = .chatCompletions
) throws(Failure) -> ClientRequest {
  try ClientRequest(parsing: bytes(json), endpoint: endpoint)
}

private func refused(
  _ json: String, _ endpoint: InferenceEndpoint = .chatCompletions
) -> Failure? {
  do throws(Failure) {
    _ = try parse(json, endpoint)
    return nil
  } catch {
    return error
  }
}

private func host(_ id: String, _ models: [String], _ state: HostState = .ready) -> Host {
  Host(
    id: HostID(id), url: "http://\(id)", state: state,
    models: models.map { ModelOffer(id: ModelID($0)) })
}

private let table = HostTable(
  epoch: 1, revision: 1,
  hosts: [
    host("a", ["llama-3.1-8b", "nomic-embed-text"]), host("b", ["llama-3.1-8b"]),
    host("c", ["qwen2.5-7b"], .unreachable),
  ])

@Suite("What the gateway makes of a request")
struct GatewayRequestTests {
  @Test(
    "bad requests are refused, naming the member",
    arguments: [
      ("", nil), ("{", nil), ("[]", nil), ("nonsense", nil), ("\"x\"", nil),
      ("{}", "messages"), (#"{"model":1,\#(hello)}"#, "model"),
      (#"{"model":"m","model":"n",\#(hello)}"#, "model"),
      (#"{"model":"m"}"#, "messages"), (#"{"model":"m","messages":[]}"#, "messages"),
      (#"{"model":"m","messages":"hi"}"#, "messages"),
      (#"{"model":"m","messages":{}}"#, "messages"),
      (#"{"model":"m","messages":["hi"]}"#, "messages[0]"),
      (#"{"model":"m","messages":[{}]}"#, "messages[0].role"),
      (#"{"model":"m","messages":[{"role":7}]}"#, "messages[0].role"),
      (
        #"{"model":"m","messages":[{"role":"user"},{"role":"user","content":1}]}"#,
        "messages[1].content"
      ),
      (#"{"model":"m",\#(hello),"stream":"yes"}"#, "stream"),
      (#"{"model":"m",\#(hello),"n":0}"#, "n"), (#"{"model":"m",\#(hello),"n":"1"}"#, "n"),
      (#"{"model":"tutti/auto",\#(hello),"max_tokens":0}"#, "max_tokens"),
      (#"{"model":"tutti/auto",\#(hello),"max_completion_tokens":-2}"#, "max_completion_tokens"),
      (#"{"model":"m",\#(hello),"max_tokens":2147483648}"#, "max_tokens"),
      (#"{"model":"m",\#(hello),"max_tokens":1.5}"#, "max_tokens"),
      (#"{"model":"m",\#(hello),"temperature":"hot"}"#, "temperature"),
      (#"{"model":"m",\#(hello),"stop":1}"#, "stop"),
      (#"{"model":"m",\#(hello),"tools":{}}"#, "tools"),
      (#"{"model":"m",\#(hello),"response_format":"json"}"#, "response_format"),
      (#"{"model":"m",\#(hello),"stream_options":true}"#, "stream_options"),
      (
        #"{"model":"m",\#(hello),"stream_options":{"include_usage":"true"}}"#,
        "stream_options.include_usage"
      ),
      (
        #"{"model":"tutti/auto",\#(hello),"stream_options":{"include_usage":1}}"#,
        "stream_options.include_usage"
      ),
      (#"{"model":"m",\#(hello),"tutti":[]}"#, "tutti"),
    ] as [(String, String?)])
  func badRequests(_ json: String, _ param: String?) throws {
    let problem = try #require(refused(json))
    #expect(problem.code == .invalidRequest)
    #expect(problem.param == param)
    #expect(!problem.message.isEmpty)
  }

  @Test("other endpoints need their own member")
  func otherEndpoints() throws {
    #expect(refused(#"{"model":"m"}"#, .completions)?.param == "prompt")
    #expect(refused(#"{"model":"m","prompt":{}}"#, .completions)?.param == "prompt")
    #expect(refused(#"{"model":"m"}"#, .embeddings)?.param == "input")
    #expect(refused(#"{"model":"m","input":"x","stream":true}"#, .embeddings)?.param == "stream")
    _ = try parse(#"{"model":"m","prompt":["a","b"]}"#, .completions)
    _ = try parse(#"{"model":"m","input":[[1,2]]}"#, .embeddings)
  }

  @Test("too many messages are 400, too many bytes of them 413")
  func messageLimits() {
    let many = Array(repeating: #"{"role":"user","content":"x"}"#, count: 10_001)
      .joined(separator: ",")
    #expect(refused(#"{"model":"m","messages":[\#(many)]}"#)?.code == .invalidRequest)
    let long = String(repeating: "x", count: RequestLimits.messagesBytes)
    let problem = refused(#"{"model":"m","messages":[{"role":"user","content":"\#(long)"}]}"#)
    #expect(problem?.code == .requestTooLarge)
    #expect(problem?.param == "messages")
  }

  @Test("a photo is no text: only the limit on the whole body holds for it")
  func photo() throws {
    let data = String(repeating: "A", count: 5_000_000 * 4 / 3)
    let photo =
      #"{"type":"image_url","image_url":{"url":"data:image/jpeg;base64,\#(data)"}}"#
    let request = try parse(
      #"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"What?"},"#
        + "\(photo)]}]}")
    #expect(request.query == "What?")
    let plan = PlanRequest(
      request, pattern: "tutti/ensemble", budget: nil, seed: 1, available: ["m"], hosts: [])
    #expect((1_600...1_700).contains(plan.conversationTokens))
    let long = String(repeating: "x", count: RequestLimits.messagesBytes)
    let both = refused(
      #"{"model":"m","messages":[{"role":"user","content":[\#(photo),"#
        + #"{"type":"text","text":"\#(long)"}]}]}"#)
    #expect(both?.code == .requestTooLarge)
  }

  @Test(
    "hosts mean what they mean by limits below 1, and a plan takes -1 for none",
    arguments: [
      ("m", "-1", nil), ("m", "0", nil), ("m", "-2", nil), ("tutti/fast", "-1", nil),
      ("tutti/auto", "-1", nil), ("m", "7", 7), ("tutti/auto", "7", 7), ("m", "null", nil),
    ] as [(String, String, Int?)])
  func tokenLimits(_ model: String, _ limit: String, _ read: Int?) throws {
    for name in ["max_tokens", "max_completion_tokens"] {
      let json = #"{"model":"\#(model)",\#(hello),"\#(name)":\#(limit)}"#
      let request = try parse(json)
      #expect(request.maxTokens == read)
      #expect(try request.body(within: nil) == bytes(json))
    }
  }

  @Test(
    "a request without a model takes the default one",
    arguments: ["", #""model":null,"#, #""model":"","#])
  func defaultModel(_ member: String) throws {
    let chat = try parse("{\(member)\(hello)}")
    #expect(chat.model.name == "tutti/fast")
    #expect(try GatewayRouting.route(chat, table: table) == .direct(nil))
    let text = try parse(#"{\#(member)"prompt":"a"}"#, .completions)
    #expect(try GatewayRouting.route(text, table: table) == .direct(nil))
    let own = try ClientRequest(
      parsing: bytes("{\(member)\(hello)}"), endpoint: .chatCompletions,
      defaultModel: "llama-3.1-8b")
    #expect(try GatewayRouting.route(own, table: table) == .direct("llama-3.1-8b"))
    // Embeddings use the only embedding model.
    let vectors = try parse(#"{\#(member)"input":"a"}"#, .embeddings)
    #expect(try GatewayRouting.route(vectors, table: table) == .direct("nomic-embed-text"))
    var two = table
    two.hosts[1].models.append(ModelOffer(id: "bge-m3"))
    #expect {
      try GatewayRouting.route(vectors, table: two)
    } throws: { error in
      (error as? Failure)?.param == "model"
        && (error as? Failure)?.message.contains("`bge-m3`") == true
    }
  }

  @Test("headers of accounts go to hosts, secrets and those of one connection never do")
  func headers() throws {
    let sent = [
      "openai-organization": "org", "openai-project": "p", "user-agent": "x/1", "x-team": "t",
      "authorization": "Bearer k", "x-long": String(repeating: "x", count: 5_000), "x-odd": "a\nb",
    ]
    let standard = try ForwardedHeaders()
    #expect(
      standard.select { sent[$0] }.map(\.name)
        == Array(
          sent.keys.sorted().filter {
            ["openai-organization", "openai-project", "user-agent"].contains($0)
          }))
    let more = try ForwardedHeaders(["X-Team", "x-long", "x-odd", "user-agent"])
    #expect(more.select { sent[$0] }.map(\.value) == ["org", "p", "x/1", "t"])
    let forbidden = [
      "Authorization", "Proxy-Authorization", "cookie", "Set-Cookie", "api-key", "x-api-key",
      "X-Auth-Token", "x-goog-api-key", "X-Amz-Security-Token", "Ocp-Apim-Subscription-Key",
      "x-forwarded-access-token", "helicone-auth", "cf-access-client-secret", "x-tutti-hops",
      "content-length", "Host",
    ]
    #expect(try ForwardedHeaders(["idempotency-key"]).names.contains("idempotency-key"))
    for name in forbidden {
      #expect(throws: ForwardedHeaders.Forbidden(name: name.lowercased())) {
        try ForwardedHeaders([name])
      }
    }
  }

  @Test("what a request says is read, and what the tasks inherit is kept byte for byte")
  func reads() throws {
    let request = try parse(
      #"{"model":"tutti/ensemble","stream":true,"stream_options":{"include_usage":true},"#
        + #""messages": [{"role":"user","content":"one"},{"role":"assistant","content":null},"#
        + #"{"role":"user","content":[{"type":"text","text":"two\u0000"},{"type":"image_url"}]}],"#
        + #""max_tokens":9,"max_completion_tokens":7,"stop": [ "a" ],"n":1,"new":{"x" :1},"#
        + #""tutti":{"trace":true}}"#)
    #expect(request.stream && request.includeUsage && request.options.trace)
    #expect(request.query == "two\0")
    #expect(request.maxTokens == 7)
    #expect(text(request.conversation.messagesJSON).hasPrefix(#"[{"role":"user""#))
    #expect(
      request.conversation.parameters.map { $0.name + text($0.json) } == [
        "max_tokens9", "max_completion_tokens7", #"stop[ "a" ]"#, #"new{"x" :1}"#,
      ])
  }

  @Test(
    "a usage chunk is sent only if the client asks for it; null and unknown members ask for none",
    arguments: [
      (#"{"include_usage":true}"#, true), (#"{"include_usage":false}"#, false),
      (#"{"include_usage":null}"#, false), (#"{"chunk_size":7}"#, false), ("null", false),
    ])
  func usageChunk(_ options: String, _ wanted: Bool) throws {
    let request = try parse(
      #"{"model":"m",\#(hello),"stream":true,"stream_options":\#(options)}"#)
    #expect(request.includeUsage == wanted)
  }

  @Test("every turn of a conversation prefers the same host, another conversation another one")
  func affinity() throws {
    func key(_ messages: [(String, String)]) throws -> [UInt8] {
      let list = messages.map { #"{"role":"\#($0.0)","content":"\#($0.1)"}"# }
      let request = try parse(#"{"model":"m","messages":[\#(list.joined(separator: ","))]}"#)
      return try #require(request.affinity)
    }
    let first = [("system", "Be brief."), ("user", "What is a river?")]
    let second = first + [("assistant", "Water."), ("user", "And a lake?")]
    let third = second + [("assistant", "Water, too."), ("user", "And a sea?")]
    #expect(try key(first) == key(second) && key(second) == key(third))
    #expect(try key(first) != key([("system", "Be brief."), ("user", "What is a hill?")]))
    #expect(try key([("user", "a")]) != key([("user", "ab")]))
    // Long instructions alone determine the key.
    let long = String(repeating: "Be brief. ", count: 200)
    #expect(try key([("system", long), ("user", "a")]) == key([("system", long), ("user", "b")]))
    #expect(try key([("system", long), ("user", "a")]).count == RequestLimits.affinityBytes)
    #expect(try parse(#"{"model":"m","prompt":"x"}"#, .completions).affinity == nil)
  }

  @Test("a long question is cut at a character")
  func cutsQuery() throws {
    let long = String(repeating: "é", count: RequestLimits.queryBytes)
    let request = try parse(#"{"model":"m","messages":[{"role":"user","content":"x\#(long)"}]}"#)
    #expect(request.query.utf8.count == RequestLimits.queryBytes - 1)
    #expect(!request.query.contains("\u{FFFD}"))
  }

  @Test(
    "the trace is absent, short or with the outputs of tasks",
    arguments: [
      ("true", true, false), (#""full""#, true, true), ("false", false, false),
      ("null", false, false),
    ])
  func traceDetail(_ value: String, _ trace: Bool, _ outputs: Bool) throws {
    let options = try parse(#"{"model":"m",\#(hello),"tutti":{"trace":\#(value)}}"#).options
    #expect(options.trace == trace && options.tracesOutputs == outputs)
  }

  @Test("options within their ranges are taken")
  func goodOptions() throws {
    let request = try parse(
      #"{"model":"m",\#(hello),"tutti":{"members":["a","b"],"rounds":8,"quorum":2,"#
        + #""budget":{"tokens":5,"credits":6},"data_policy":"local","race":"hedged","#
        + #""deadlines_ms":{"first_token":1,"inter_token":2,"total":3600000},"#
        + #""documents":[{"name":"n","text":"t"}],"seed":-1,"trace":true}}"#)
    let options = request.options
    #expect(options.models == ["a", "b"] && options.rounds == 8 && options.quorum == 2)
    #expect(options.budgetTokens == 5 && options.budgetCredits == 6)
    #expect(options.dataPolicy == .local && options.race == .hedged)
    #expect(options.seed == .max && options.trace && options.documents.count == 1)
    #expect(
      options.deadlines(over: .standard)
        == Deadlines(
          firstToken: .milliseconds(1), interToken: .milliseconds(2), total: .seconds(600)))
    #expect(try parse(#"{"model":"m",\#(hello),"tutti":null}"#).options == TuttiOptions())
    #expect(
      try parse(#"{"model":"m",\#(hello),"tutti":{"rounds":null}}"#).options == TuttiOptions())
  }

  @Test("a client's deadlines lower the gateway's and never raise them")
  func deadlinesOnlyLower() throws {
    let own = Deadlines(firstToken: .seconds(5), interToken: nil, total: .seconds(60))
    var options = TuttiOptions()
    options.firstToken = .seconds(9)
    options.interToken = .seconds(9)
    options.total = .seconds(3_600)
    #expect(
      options.deadlines(over: own)
        == Deadlines(firstToken: .seconds(5), interToken: .seconds(9), total: .seconds(60)))
    options.firstToken = .seconds(1)
    options.total = .seconds(2)
    #expect(
      options.deadlines(over: own)
        == Deadlines(firstToken: .seconds(1), interToken: .seconds(9), total: .seconds(2)))
  }

  @Test(
    "options that are unknown or out of range are refused, naming the option",
    arguments: [
      (#""unknown":1"#, "unknown"), (#""members":0"#, "members"), (#""members":17"#, "members"),
      (#""members":[]"#, "members"), (#""members":["a",1]"#, "members"),
      (#""members":"a""#, "members"), (#""rounds":0"#, "rounds"), (#""rounds":9"#, "rounds"),
      (#""rounds":"2""#, "rounds"), (#""quorum":0"#, "quorum"), (#""quorum":4"#, "quorum"),
      (#""members":2,"quorum":3"#, "quorum"), (#""budget":5"#, "budget"),
      (#""budget":{"tokens":0}"#, "budget.tokens"), (#""budget":{"euros":1}"#, "budget.euros"),
      (#""data_policy":"public""#, "data_policy"), (#""race":"triple""#, "race"),
      (#""deadlines_ms":{"total":0}"#, "deadlines_ms.total"),
      (#""deadlines_ms":{"total":3600001}"#, "deadlines_ms.total"),
      (#""deadlines_ms":{"first":1}"#, "deadlines_ms.first"), (#""documents":{}"#, "documents"),
      (#""documents":[{"name":"x"}]"#, "documents"), (#""seed":"1""#, "seed"),
      (#""seed":1.5"#, "seed"), (#""trace":1"#, "trace"),
      (#""trace":"all""#, "trace"), (#""trace":true,"trace":true"#, "trace"),
    ])
  func badOptions(_ options: String, _ name: String) throws {
    let problem = try #require(refused(#"{"model":"m",\#(hello),"tutti":{\#(options)}}"#))
    #expect(problem.code == .invalidRequest)
    #expect(problem.param == "tutti.\(name)")
  }

  @Test("every mistake is told at once")
  func allAtOnce() throws {
    let problem = try #require(
      refused(#"{"model":"m",\#(hello),"n":0,"tutti":{"rounds":0,"sed":1,"race":2}}"#))
    for name in ["`n`", "`tutti.rounds`", "`tutti.sed`", "`tutti.race`"] {
      #expect(problem.message.contains(name))
    }
  }

  @Test("documents are bounded in number and size")
  func documents() throws {
    let one = #"{"name":"n","text":"t"}"#
    let many = Array(repeating: one, count: 101).joined(separator: ",")
    #expect(
      refused(#"{"model":"m",\#(hello),"tutti":{"documents":[\#(many)]}}"#)?.param
        == "tutti.documents")
    let large = String(repeating: "x", count: 10_000_001)
    #expect(
      refused(
        #"{"model":"m",\#(hello),"tutti":{"documents":[{"name":"n","text":"\#(large)"}]}}"#)?.param
        == "tutti.documents")
  }

  @Test("random damage to a request never crashes the parser")
  func fuzz() {
    let whole = bytes(
      #"{"model":"m","stream":true,\#(hello),"tutti":{"members":["a"],"budget":{"tokens":1}}}"#)
    for seed in 0..<3_000 as Range<UInt64> {
      var rng = SplitMix64(seed: seed)
      var damaged = whole
      for _ in 0..<Int.random(in: 1..<4, using: &rng) {
        let at = Int.random(in: 0..<damaged.count, using: &rng)
        if Bool.random(using: &rng) {
          damaged[at] = UInt8.random(in: 0...255, using: &rng)
        } else {
          damaged.remove(at: at)
        }
      }
      if let request = try? ClientRequest(parsing: damaged, endpoint: .chatCompletions) {
        #expect(!request.model.name.isEmpty, "seed \(seed)")
      }
    }
  }
}

@Suite("Which way a request goes")
struct GatewayRoutingTests {
  private func route(_ json: String, _ endpoint: InferenceEndpoint = .chatCompletions)
    throws -> GatewayRoute
  {
    try GatewayRouting.route(try parse(json, endpoint), table: table)
  }

  private func refusal(_ json: String, _ endpoint: InferenceEndpoint = .chatCompletions)
    -> Failure?
  {
    do {
      _ = try route(json, endpoint)
      return nil
    } catch { return error as? Failure }
  }

  @Test("real models and tutti/fast are answered directly, patterns by a plan")
  func routes() throws {
    #expect(try route(#"{"model":"llama-3.1-8b",\#(hello)}"#) == .direct("llama-3.1-8b"))
    #expect(try route(#"{"model":"tutti/fast",\#(hello)}"#) == .direct(nil))
    #expect(try route(#"{"model":"tutti/ensemble",\#(hello)}"#) == .plan("tutti/ensemble"))
    // A model of a host that is away is known; the host's state then explains the error.
    #expect(try route(#"{"model":"qwen2.5-7b",\#(hello)}"#) == .direct("qwen2.5-7b"))
  }

  @Test("an unknown model is 404 with near names")
  func unknown() throws {
    let near = try #require(refusal(#"{"model":"Llama-3.1-8B-Instruct",\#(hello)}"#))
    #expect(near.code == .modelNotFound && near.param == "model")
    #expect(near.message.contains("`llama-3.1-8b`"))
    #expect(
      refusal(#"{"model":"tutti/ensembl",\#(hello)}"#)?.message.contains("tutti/ensemble")
        == true)
    #expect(refusal(#"{"model":"zzz",\#(hello)}"#)?.message.contains("/v1/models") == true)
    let member = refusal(
      #"{"model":"tutti/ensemble",\#(hello),"tutti":{"members":["llama-3.1-8b","gpt"]}}"#)
    #expect(member?.code == .modelNotFound && member?.param == "tutti.members[1]")
  }

  @Test("what a plan or an endpoint cannot do is 400")
  func misfits() {
    #expect(refusal(#"{"model":"tutti/ensemble",\#(hello),"n":2}"#)?.param == "n")
    for (members, param) in [
      (#""logprobs":true"#, "logprobs"), (#""logprobs":true,"top_logprobs":2"#, "logprobs"),
      (#""top_logprobs":2"#, "top_logprobs"), (#""logprobs":"yes""#, "logprobs"),
    ] {
      for model in GatewayRouting.patterns {
        #expect(refusal(#"{"model":"\#(model)",\#(hello),\#(members)}"#)?.param == param)
      }
      #expect(refusal(#"{"model":"tutti/fast",\#(hello),\#(members)}"#) == nil)
      #expect(refusal(#"{"model":"llama-3.1-8b",\#(hello),\#(members)}"#) == nil)
    }
    for members in [#""logprobs":false"#, #""logprobs":null"#, #""top_logprobs":0"#] {
      #expect(refusal(#"{"model":"tutti/ensemble",\#(hello),\#(members)}"#) == nil)
    }
    #expect(refusal(#"{"model":"tutti/ensemble","prompt":"x"}"#, .completions)?.param == "model")
    #expect(refusal(#"{"model":"tutti/fast","input":"x"}"#, .embeddings)?.param == "model")
    #expect(
      refusal(#"{"model":"tutti/fast",\#(hello),"tutti":{"documents":[{"name":"n","text":"t"}]}}"#)?
        .param == "tutti.documents")
  }

  @Test("the list of models has those of ready hosts and our own")
  func models() throws {
    let list = text(ModelList.list(table).encoded)
    #expect(list.contains(#""id":"llama-3.1-8b","object":"model","created":0,"owned_by":"a""#))
    #expect(list.contains("tutti/ensemble") && list.contains("tutti/fast"))
    #expect(!list.contains("qwen"))
    #expect(text(try ModelList.model("tutti/fast", table).encoded).contains("tutti/fast"))
    #expect(throws: Failure.self) { try ModelList.model("qwen2.5-7b", table) }
    #expect(HostView(table).chatModels(policy: .any) == ["llama-3.1-8b"])
    #expect(HostView(table).chatModels(policy: .local).isEmpty)
  }
}

@Suite("What the gateway sends")
struct GatewayAnswerTests {
  private let composer = ChatComposer(id: "chatcmpl-1", model: "tutti/ensemble", created: 5)
  private let head =
    #""id":"chatcmpl-1","object":"chat.completion.chunk","created":5,"#
    + #""model":"tutti/ensemble","choices":"#

  @Test("chunks of one answer share id, model and date")
  func chunks() {
    #expect(
      text(composer.opening())
        == "{\(head)"
        + #"[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#)
    #expect(
      text(composer.delta(TaskDelta(text: "a\"b")))
        == "{\(head)" + #"[{"index":0,"delta":{"content":"a\"b"},"finish_reason":null}]}"#)
    #expect(
      text(composer.delta(TaskDelta(text: "", deltaJSON: bytes(#"{"tool_calls":[ ]}"#))))
        == "{\(head)" + #"[{"index":0,"delta":{"tool_calls":[ ]},"finish_reason":null}]}"#)
    #expect(
      text(composer.closing(finish: "stop", adding: [("tutti", [:])]))
        == "{\(head)" + #"[{"index":0,"delta":{},"finish_reason":"stop"}],"tutti":{}}"#)
    #expect(
      ChatComposer(following: composer.opening()) == composer,
      "an added chunk belongs to its stream")
    #expect(text(SSE.data(bytes("{}"))) == "data: {}\n\n")
  }

  @Test(
    "an event is one line, however its JSON is laid out",
    arguments: [
      "{\n  \"a\": 1\n}", "\r\n{\r\n\"a\":\r1}\n\n", "  {}  ", "\n", "{\"a\":\"\\n\"}",
    ])
  func oneLine(_ json: String) {
    let event = SSE.data(bytes(json))
    #expect(event.starts(with: bytes("data: ")) && event.suffix(2) == [0x0A, 0x0A])
    #expect(!event.dropLast(2).contains { $0 == 0x0A || $0 == 0x0D })
    #expect(
      event.dropFirst(6).filter { $0 > 0x20 } == bytes(json).filter { $0 > 0x20 })
    for length in [1, 3, 1_000] {
      #expect(SSE.pieces(ofData: bytes(json), atMost: length).flatMap { $0 } == event)
    }
  }

  @Test("a refusal stands in place of a text")
  func refusal() {
    var assembler = MessageAssembler()
    assembler.add(TaskDelta(text: "", deltaJSON: bytes(#"{"refusal":"No."}"#)))
    #expect(
      text(assembler.message.encoded) == #"{"role":"assistant","content":null,"refusal":"No."}"#)
  }

  @Test("deltas become the message a client without a stream gets, tool calls put together")
  func message() {
    var assembler = MessageAssembler()
    assembler.add(TaskDelta(text: "Hel"))
    assembler.add(TaskDelta(text: "lo"))
    #expect(text(assembler.message.encoded) == #"{"role":"assistant","content":"Hello"}"#)

    var calls = MessageAssembler()
    for delta in [
      #"{"tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"g"}}]}"#,
      #"{"tool_calls":[{"index":0,"id":"c1","type":"function","#
        + #""function":{"name":"f","arguments":""}}]}"#,
      #"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}"#,
      #"{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}"#,
    ] { calls.add(TaskDelta(text: "", deltaJSON: bytes(delta))) }
    #expect(
      text(calls.message.encoded)
        == #"{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","#
        + #""function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"c2","type":"function","#
        + #""function":{"name":"g","arguments":""}}]}"#)
  }
}
