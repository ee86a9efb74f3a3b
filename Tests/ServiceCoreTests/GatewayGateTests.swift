import ClusterModel
import GatewayCore
import Testing
import Text

private let table = HostTable(
  epoch: 1, revision: 1,
  hosts: [
    Host(id: "a", url: "http://a", state: .ready, models: [ModelOffer(id: "llama-3.1-8b")])
  ])

private func request(
  _ model: String, _ question: String = "hi", _ more: String = ""
) throws -> ClientRequest {
  let json =
    #"{"model":"\#(model)","messages":[{"role":"user","content":"\#(question)"}]\#(more)}"#
  return try ClientRequest(parsing: Array(json.utf8), endpoint: .chatCompletions)
}

@Suite("Which requests get a plan")
struct GatewayGateTests {
  private let long = String(
    repeating: "Compare the two proposals, list the risks of each, and write a summary. ", count: 9)

  @Test("tutti/auto answers what is short directly, with the reason, and asks for a plan otherwise")
  func gate() throws {
    guard case .gated(nil, let reason) = try route(request("tutti/auto", "What is 2+2?")) else {
      Issue.record("a short question was not answered directly")
      return
    }
    #expect(!reason.isEmpty)
    #expect(try route(request("tutti/auto", long)) == .plan("tutti/auto"))
    let named = try request(
      "tutti/auto", "What is 2+2?", #","tutti":{"members":["llama-3.1-8b"]}"#)
    guard case .gated("llama-3.1-8b", _) = try route(named) else {
      Issue.record("the model that the client named was not taken")
      return
    }
  }

  @Test("with documents tutti/auto always asks for a plan")
  func documents() throws {
    let asked = try request(
      "tutti/auto", "What is 2+2?",
      #","max_tokens":9,"tutti":{"documents":[{"name":"n","text":"four"}]}"#)
    #expect(try route(asked) == .plan("tutti/auto"))
    #expect(asked.options.documents == [Document(name: "n", text: "four")])
  }

  @Test("a short question stays one call, whatever its budget: its answer is limited")
  func budget() throws {
    for more in [
      #","tutti":{"budget":{"tokens":500}}"#,
      #","max_tokens":490,"tutti":{"budget":{"tokens":500}}"#,
    ] {
      let asked = try request("tutti/auto", "What is 2+2?", more)
      guard case .gated = try route(asked) else {
        Issue.record("it was not answered directly")
        continue
      }
      // The conversation has 42 bytes, which are 11 tokens, and its chat template 32 tokens.
      let body = String(
        decoding: try asked.body(within: TokenBudget.of(asked, table: table)), as: UTF8.self)
      #expect(body.contains(#""max_tokens":457"#), "\(body)")
    }
  }

  @Test("every pattern has a plan of its own name", arguments: GatewayRouting.patterns.dropFirst())
  func patterns(name: String) throws {
    #expect(try route(request(name)) == .plan(name))
  }

  private func route(_ request: ClientRequest) throws -> GatewayRoute {
    try GatewayRouting.route(request, table: table)
  }

  @Test("JSON and tools make an answer structured; plain text and no tools do not")
  func structured() throws {
    for more in [
      #","response_format":{"type":"json_object"}"#, #","response_format":{"type":"json_schema"}"#,
      #","tools":[{"type":"function"}]"#,
    ] {
      #expect(try request("m", "hi", more).isStructured, "\(more)")
    }
    for more in [
      "", #","response_format":{"type":"text"}"#, #","tools":[]"#, #","tools":null"#,
      #","response_format":null"#,
    ] {
      #expect(try !request("m", "hi", more).isStructured, "\(more)")
    }
  }

  @Test("a planner gets the hosts, documents, the conversation's size and the client's options")
  func facts() throws {
    let host = HostFacts(
      id: "a", models: ["m"], freeSlots: 2, rateMilli: 5, firstTokenMilliseconds: 7)
    let asked = try request(
      "tutti/maestro", String(repeating: "word", count: 100),
      #","max_tokens":9,"tools":[{}],"tutti":{"seed":3,"budget":{"tokens":50},"#
        + #""documents":[{"name":"n","text":"éé"}],"data_policy":"local"}"#)
    let facts = PlanRequest(
      asked, pattern: "tutti/maestro", budget: TokenBudget.of(asked, table: table), seed: 3,
      available: ["m"], hosts: [host])
    #expect(facts.hosts == [host] && facts.available == ["m"] && facts.seed == 3)
    #expect(facts.documents == [DocumentFacts(name: "n", bytes: 4)])
    // 400 bytes of text and the JSON around it.
    #expect((100...115).contains(facts.conversationTokens))
    #expect(facts.isStructured && facts.budgetTokens == 50 && facts.maxTokens == 9)
    #expect(facts.dataPolicy == .local)
  }

  @Test(
    "documents that are no text, or that a task could not name, are refused, naming the option",
    arguments: [
      #"{"name":"n","text":"a\u0000b"}"#, #"{"name":"","text":"a"}"#, #"{"name":"*","text":"a"}"#,
      #"{"name":"\#(String(repeating: "n", count: 129))","text":"a"}"#,
      #"{"name":"n","text":"a"},{"name":"n","text":"b"}"#,
      #"{"name":"n","text":"\#(String(repeating: "\\u0001\\ufffd", count: 20))"}"#,
      #"{"name":"n","text":7}"#,
    ])
  func badDocuments(_ documents: String) throws {
    let problem = #expect(throws: Failure.self) {
      try request("tutti/maestro", "hi", #","tutti":{"documents":[\#(documents)]}"#)
    }
    #expect(problem?.param == "tutti.documents" && problem?.code == .invalidRequest)
  }

  @Test("a text with an odd character in it is still a text")
  func oddText() throws {
    let odd = String(repeating: "word ", count: 40) + "\\u0001\\f\\u001b[1m"
    let asked = try request(
      "tutti/maestro", "hi", #","tutti":{"documents":[{"name":"n","text":"\#(odd)"}]}"#)
    #expect(asked.options.documents.count == 1)
  }

  @Test("a program on this machine is identified by its key, and has an empty tag without one")
  func clientTag() {
    func tag(_ authorization: String?) -> String {
      ClientTag.tag(authorization: authorization, address: nil)
    }
    #expect(tag("Bearer sk-1") == tag("Bearer sk-1"))
    #expect(tag("Bearer sk-1") != tag("Bearer sk-2"))
    #expect(tag("Bearer sk-1").count == 16 && !tag("Bearer sk-1").contains("sk"))
    #expect(tag(nil).isEmpty)
    #expect(tag(" ").isEmpty)
  }

  @Test("a client from elsewhere is its address, whatever keys it sends")
  func clientTagOfAddress() {
    let tag = ClientTag.tag(authorization: "Bearer sk-1", address: "ipv4(1)")
    #expect(tag == ClientTag.tag(authorization: "Bearer sk-2", address: "ipv4(1)"))
    #expect(tag != ClientTag.tag(authorization: "Bearer sk-1", address: "ipv4(2)"))
  }
}
