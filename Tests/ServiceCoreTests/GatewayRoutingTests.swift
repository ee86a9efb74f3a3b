import ClusterModel
import GatewayCore
import HostModel
import Testing
import Text

@Suite("Which way a request goes")
struct GatewayRoutingTests {
  private func route(_ json: String, _ endpoint: InferenceEndpoint = .chatCompletions)
    throws -> GatewayRoute
  {
    try GatewayRouting.route(try parse(json, endpoint), table: gatewayTable)
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
    // A model of a host that is away is known, so a later error names the host's state.
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

  @Test("a request that a plan or an endpoint cannot serve is 400")
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

  @Test(
    "an option without an effect is 400 and names the patterns that use it",
    arguments: [
      (#""members":2"#, "members", ["tutti/auto", "tutti/ensemble", "tutti/debate"]),
      (#""members":["llama-3.1-8b"]"#, "members", GatewayRouting.patterns),
      (#""rounds":2"#, "rounds", ["tutti/auto", "tutti/debate"]),
      (#""quorum":1"#, "quorum", ["tutti/auto", "tutti/ensemble", "tutti/debate"]),
      (#""documents":[{"name":"n","text":"t"}]"#, "documents", GatewayRouting.patterns),
    ])
  func uselessOption(option: String, name: String, users: [String]) throws {
    for model in GatewayRouting.ownModels + ["llama-3.1-8b"] {
      let failure = refusal(#"{"model":"\#(model)",\#(hello),"tutti":{\#(option)}}"#)
      guard !users.contains(model) else {
        #expect(failure == nil, "\(model)")
        continue
      }
      let refusal = try #require(failure, "\(model)")
      #expect(refusal.code == .invalidRequest && refusal.param == "tutti.\(name)")
      #expect(refusal.message.contains("no effect") && refusal.message.contains(model))
      #expect(refusal.message.contains(users.joined(separator: ", ")))
    }
  }

  @Test("options that all routes use are accepted with a real model, tutti/fast and all patterns")
  func commonOptions() {
    let options =
      #""budget":{"tokens":100000},"seed":1,"race":"single","deadlines_ms":{"total":1000},"#
      + #""data_policy":"any","trace":true,"members":null,"rounds":null,"documents":[]"#
    for model in GatewayRouting.ownModels + ["llama-3.1-8b"] {
      #expect(refusal(#"{"model":"\#(model)",\#(hello),"tutti":{\#(options)}}"#) == nil)
    }
  }

  @Test("several options without an effect are named together, and an unknown model comes first")
  func uselessOptions() {
    let options = #""tutti":{"members":2,"rounds":2}"#
    let refused = refusal(#"{"model":"tutti/fast",\#(hello),\#(options)}"#)
    #expect(refused?.message.contains("members") == true)
    #expect(refused?.message.contains("rounds") == true)
    #expect(
      refusal(#"{"model":"tutti/ensembl",\#(hello),\#(options)}"#)?.code == .modelNotFound)
  }

  @Test("hidden models are answered, but neither listed nor suggested")
  func hidden() throws {
    var table = gatewayTable
    table.hosts[0].models.append(ModelOffer(id: "secret-8b", isHidden: true))
    #expect(!text(ModelList.list(table).encoded).contains("secret"))
    #expect(text(try ModelList.model("secret-8b", table).encoded).contains("secret-8b"))
    let request = try ClientRequest(
      parsing: Array(#"{"model":"secret-8b","messages":[{"role":"user","content":"x"}]}"#.utf8),
      endpoint: .chatCompletions)
    #expect(try GatewayRouting.route(request, table: table) == .direct("secret-8b"))
    let failure = #expect(throws: Failure.self) { try ModelList.model("secret-7b", table) }
    #expect(failure?.message.contains("secret-8b") == false)
    let unknown = try ClientRequest(
      parsing: Array(#"{"model":"secret-9b","messages":[{"role":"user","content":"x"}]}"#.utf8),
      endpoint: .chatCompletions)
    let refusal = #expect(throws: Failure.self) {
      try GatewayRouting.route(unknown, table: table)
    }
    #expect(refusal?.message.contains("secret-8b") == false)
  }

  @Test("the list of models has those of ready hosts and our own")
  func models() throws {
    let list = text(ModelList.list(gatewayTable).encoded)
    #expect(list.contains(#""id":"llama-3.1-8b","object":"model","created":0,"owned_by":"a""#))
    #expect(list.contains("tutti/ensemble") && list.contains("tutti/fast"))
    #expect(!list.contains("qwen"))
    #expect(text(try ModelList.model("tutti/fast", gatewayTable).encoded).contains("tutti/fast"))
    #expect(throws: Failure.self) { try ModelList.model("qwen2.5-7b", gatewayTable) }
    #expect(HostView(gatewayTable).chatModels(policy: .any) == ["llama-3.1-8b"])
    #expect(HostView(gatewayTable).chatModels(policy: .local).isEmpty)
  }
}
