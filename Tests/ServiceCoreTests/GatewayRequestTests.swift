import ClusterModel
import GatewayCore
import Testing
import Text

@Suite("Parsing of a client's request")
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

  @Test(
    "a tool_choice that no answer of a plan can meet is refused, and a host judges a direct one")
  func toolChoice() throws {
    let tools = #""tools":[{"type":"function","function":{"name":"f"}}]"#
    for (members, param) in [
      (#""tool_choice":"required""#, "tool_choice"),
      (#""tool_choice":"required","tools":[]"#, "tool_choice"),
      (#"\#(tools),"tool_choice":{"type":"function","function":{"name":"g"}}"#, "tool_choice"),
      (#""function_call":{"name":"g"},"functions":[{"name":"f"}]"#, "function_call"),
    ] {
      let problem = try #require(refused(#"{"model":"tutti/ensemble",\#(hello),\#(members)}"#))
      #expect(problem.code == .invalidRequest && problem.param == param, "\(members)")
      _ = try parse(#"{"model":"m",\#(hello),\#(members)}"#)
    }
    for choice in [#""required""#, #""auto""#, #"{"type":"function","function":{"name":"f"}}"#] {
      _ = try parse(
        #"{"model":"tutti/ensemble",\#(hello),\#(tools),"tool_choice":\#(choice)}"#)
    }
    let vendor = #""tools":[{"type":"web_search"}],"tool_choice":"required""#
    _ = try parse(#"{"model":"tutti/auto",\#(hello),\#(vendor)}"#)
    #expect(refused(#"{"model":"tutti/debate",\#(hello),\#(vendor)}"#) != nil)
    let older = #"{"model":"tutti/ensemble",\#(hello),"functions":[{"name":"f"}]}"#
    #expect(try parse(older).isStructured)
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
    "hosts get limits below 1 unchanged, and a plan takes -1 for no limit",
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
    #expect(try GatewayRouting.route(chat, table: gatewayTable) == .direct(nil))
    let text = try parse(#"{\#(member)"prompt":"a"}"#, .completions)
    #expect(try GatewayRouting.route(text, table: gatewayTable) == .direct(nil))
    let own = try ClientRequest(
      parsing: bytes("{\(member)\(hello)}"), endpoint: .chatCompletions,
      defaultModel: "llama-3.1-8b")
    #expect(try GatewayRouting.route(own, table: gatewayTable) == .direct("llama-3.1-8b"))
    // Embeddings use the only embedding model.
    let vectors = try parse(#"{\#(member)"input":"a"}"#, .embeddings)
    #expect(try GatewayRouting.route(vectors, table: gatewayTable) == .direct("nomic-embed-text"))
    var two = gatewayTable
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
      "x-forwarded-access-token", "helicone-auth", "token", "access_token", "api_key",
      "x-goog-iap-jwt-assertion", "x-amz-credential", "cf-access-client-secret", "x-tutti-hops",
      "content-length", "Host", "Anthropic-Version",
    ]
    #expect(try ForwardedHeaders(["idempotency-key"]).names.contains("idempotency-key"))
    for name in forbidden {
      #expect(throws: ForwardedHeaders.Forbidden(name: name.lowercased())) {
        try ForwardedHeaders([name])
      }
    }
  }

  @Test("a request is read, and members that tasks inherit are kept byte for byte")
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

  @Test("all mistakes are reported at once")
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
