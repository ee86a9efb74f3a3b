import ClusterModel
import InferenceCore
import Testing

private func sent(
  _ body: String, resume way: ResumeWay = .instruct, from prefix: String? = nil, spent: Int = 5,
  endpoint: InferenceEndpoint = .chatCompletions, stream: Bool = true, secret: String? = nil
) throws(AdapterRefusal) -> UpstreamRequest {
  try UpstreamRequest(
    InferenceRequest(
      endpoint: endpoint, model: "m", body: Array(body.utf8), stream: stream,
      trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3))),
    to: Candidate(host: Host(id: "h", url: "http://h", resume: way), model: "m"),
    from: prefix.map { ResumePoint(prefix: Array($0.utf8), spentTokens: spent) }, secret: secret)
}

@Suite("Requests to an OpenAI-compatible host")
struct OpenAIAdapterTests {
  @Test(
    "only model, tutti and the way of streaming change; every other byte stays",
    arguments: [
      (
        #"{ "model" : "tutti/fast","x":[1, 2.50],"tutti":{"seed":1} }"#,
        #"{"stream":true,"stream_options":{"include_usage":true}, "model" : "m","x":[1, 2.50] }"#
      ),
      (
        #"{"model":"m","stream":true , "stream_options" : {"include_usage" : true}, "new":{"a":[]}}"#,
        #"{"model":"m","stream":true , "stream_options" : {"include_usage" : true}, "new":{"a":[]}}"#
      ),
      (
        #"{"model":"m","stream":false,"stream_options":{"chunk_size" : 7}}"#,
        #"{"model":"m","stream":true,"stream_options":{"include_usage":true,"chunk_size" : 7}}"#
      ),
      (
        #"{"model":"m","stream":null,"stream_options":null,"messages":[{"content":"\u00e9 é"}]}"#,
        #"{"model":"m","stream":true,"stream_options":{"include_usage":true},"messages":[{"content":"\u00e9 é"}]}"#
      ),
      (
        #"{"model":"m","stream":true,"stream_options":{"include_usage":false}}"#,
        #"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#
      ),
      (
        #"{"model":"m","stream":true,"stream_options":7,"model":"x"}"#,
        #"{"model":"m","stream":true,"stream_options":7,"model":"m"}"#
      ),
    ])
  func edits(_ body: String, _ expected: String) throws {
    #expect(bodyText(try sent(body)) == expected)
    #expect(bodyText(try sent(body, endpoint: .completions)) == expected)
  }

  @Test("embeddings are not streamed")
  func embeddings() throws {
    let request = try sent(
      #"{"input":"x","model":"a","tutti":{}}"#, endpoint: .embeddings, stream: false)
    #expect(bodyText(request) == #"{"input":"x","model":"m"}"#)
    #expect(request.path == "/v1/embeddings")
    #expect(!request.reading.streams)
    #expect(request.headers.contains(.init("accept", "application/json")))
  }

  @Test("the secret is a bearer token, and without one there is no such header")
  func secret() throws {
    let named = try sent("{}", secret: "s3")
    #expect(named.headers.last == .init("authorization", "Bearer s3"))
    #expect(try sent("{}").headers.map(\.name) == ["content-type", "accept"])
  }

  @Test("usage is the client's when it asked for it, or for no stream")
  func usage() throws {
    #expect(try !sent(#"{"stream":true}"#).reading.wantsUsage)
    #expect(
      try sent(#"{"stream":true,"stream_options":{"include_usage":true}}"#).reading.wantsUsage)
    #expect(try sent("{}", stream: false).reading.wantsUsage)
  }

  @Test("a body that is no JSON object is the client's mistake", arguments: ["", "[]", "{"])
  func invalid(_ body: String) {
    #expect {
      try sent(body)
    } throws: { error in
      (error as? AdapterRefusal)?.kind == .invalid
    }
  }

  // MARK: - Resuming

  private static let ask = #"{"model":"m","stream":true,"stream_options":{"include_usage":true},"#

  @Test("vLLM is asked to continue the last message")
  func continueFinalMessage() throws {
    let request = try sent(
      Self.ask + #""max_tokens" : 20,"messages": [ {"role":"user","content":"q"} ] }"#,
      resume: .continueFinalMessage, from: "He said \"é\"\n")
    #expect(
      bodyText(request)
        == #"{"continue_final_message":true,"add_generation_prompt":false,"model":"m","stream":true,"stream_options":{"include_usage":true},"max_tokens" : 15,"messages": [ {"role":"user","content":"q"},{"role":"assistant","content":"He said \"é\"\n"} ] }"#
    )
    #expect(request.resumed == .continueFinalMessage)
  }

  @Test("llama.cpp takes a trailing assistant message as a prefix")
  func trailingAssistant() throws {
    let request = try sent(
      Self.ask + #""messages":[{"role":"user","content":"q"}],"max_completion_tokens":3}"#,
      resume: .trailingAssistant, from: "Once")
    #expect(
      bodyText(request)
        == Self.ask
        + #""messages":[{"role":"user","content":"q"},{"role":"assistant","content":"Once"}],"max_completion_tokens":1}"#
    )
    #expect(request.resumed == .trailingAssistant)
    #expect(request.reading.prefix == Array("Once".utf8))
  }

  @Test(
    "a prefix of the client's own is extended, not followed by a second assistant message",
    arguments: [
      (
        #""content":"Sure: ","name":"x""#, #""content":"Sure: Once","name":"x""#
      ),
      (
        #""content":[{"type":"text","text":"Sure: "} ]"#,
        #""content":[{"type":"text","text":"Sure: "},{"type":"text","text":"Once"} ]"#
      ),
    ])
  func ownPrefix(_ given: String, _ expected: String) throws {
    let messages = #""messages":[{"role":"assistant","#
    let request = try sent(
      Self.ask + messages + given + "}]}", resume: .trailingAssistant, from: "Once")
    #expect(bodyText(request) == Self.ask + messages + expected + "}]}")
  }

  @Test("any other model gets an instruction, with the tail as an anchor")
  func instruct() throws {
    let prefix =
      "It was a long and rainy night in the old town by the sea, and nobody was awake to see"
    let request = try sent(
      Self.ask + #""messages":[{"role":"user","content":"q"}]}"#, from: prefix)
    let body = bodyText(request)
    #expect(
      body.hasPrefix(
        Self.ask
          + #""messages":[{"role":"user","content":"q"},{"role":"assistant","content":"\#(prefix)"},{"role":"user","content":"#
      ))
    #expect(body.contains("<<<night in the old town by the sea, and nobody was awake to see>>>"))
    #expect(body.hasSuffix(#">>>"}]}"#))
    #expect(request.resumed == .instruct)
  }

  @Test("a prompt needs no instruction to continue, also as the only element of a list")
  func prompt() throws {
    let one = try sent(
      Self.ask + #""prompt":"a\n","min_tokens":9,"max_tokens":9}"#, from: "b\"",
      endpoint: .completions)
    #expect(bodyText(one) == Self.ask + #""prompt":"a\nb\"","min_tokens":4,"max_tokens":4}"#)
    let array = try sent(
      Self.ask + #""prompt":[ "a" ]}"#, from: "b", endpoint: .completions)
    #expect(bodyText(array) == Self.ask + #""prompt":[ "ab" ]}"#)
    let echo = try sent(
      Self.ask + #""prompt":"a","echo":true}"#, from: "ab", endpoint: .completions)
    #expect(bodyText(echo) == Self.ask + #""prompt":"ab","echo":false}"#)
  }

  @Test(
    "a request that cannot be continued is asked again, with all its tokens",
    arguments: [
      (InferenceEndpoint.completions, #""prompt":[1,2],"max_tokens":9}"#, "b"),
      (.completions, #""prompt":["a","b"],"max_tokens":9}"#, "b"),
      (.completions, #""prompt":"abc","echo":true,"max_tokens":9}"#, "ab"),
      (.chatCompletions, #""messages":[],"max_tokens":9}"#, "b"),
      (.chatCompletions, #""messages":[{"role":"user","content":"q"}],"max_tokens":9}"#, ""),
    ])
  func anew(_ endpoint: InferenceEndpoint, _ rest: String, _ prefix: String) throws {
    let request = try sent(Self.ask + rest, from: prefix, endpoint: endpoint)
    #expect(bodyText(request) == Self.ask + rest)
    #expect(request.resumed == nil)
    #expect(request.reading.prefix.isEmpty)
  }
}
