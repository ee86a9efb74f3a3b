import ClusterModel
import GatewayCore
import Testing
import Text

@Suite("Token budget of a request")
struct GatewayBudgetTests {
  private static func host(
    _ id: String, _ models: [ModelID], price: Int, trust: DataPolicy = .any,
    state: HostState = .ready, tier: HostTier = .community
  ) -> Host {
    Host(
      id: HostID(id), url: "http://\(id)", tier: tier, trust: trust, state: state,
      models: models.map { ModelOffer(id: $0) }, price: Self.price(price))
  }

  /// The same price for prompts and answers.
  /// - Parameter credits: whole credits per million tokens.
  private static func price(_ credits: Int) -> HostPrice {
    let millionths = Int64(credits) * 1_000_000
    return HostPrice(input: millionths, output: millionths)
  }

  /// Hosts with prices in credits per million tokens.
  private static let table = HostTable(
    epoch: 1, revision: 1,
    hosts: [
      host("free", ["small"], price: 0, trust: .local), host("cheap", ["small"], price: 1_000),
      host("dear", ["large"], price: 20_000, tier: .fallback),
      host("away", ["rare"], price: 40_000, state: .unreachable),
      host("closed", ["small"], price: 70_000, state: .suspended),
      host("vectors", ["nomic-embed-text"], price: 90_000),
    ])

  private static func request(
    _ model: String, _ members: String, _ endpoint: InferenceEndpoint = .chatCompletions
  ) throws -> ClientRequest {
    let input =
      switch endpoint {
      // Each value has 32 bytes, which are 8 tokens.
      case .chatCompletions: #""messages":[{"role":"user","content":"hi"}]"#
      case .completions: #""prompt":"\#(String(repeating: "x", count: 30))""#
      case .embeddings: #""input":"\#(String(repeating: "x", count: 30))""#
      }
    return try ClientRequest(
      parsing: Array(#"{"model":"\#(model)",\#(input)\#(members)}"#.utf8), endpoint: endpoint)
  }

  private static func budget(_ model: String, _ tutti: String) throws -> TokenBudget? {
    TokenBudget.of(try request(model, #","tutti":{\#(tutti)}"#), table: table)
  }

  // MARK: - Credits

  @Test(
    "credits are the tokens that they buy at the dearest host that may be asked",
    arguments: [
      // Any chat model may answer, so the most expensive host counts. It is away and may come back.
      ("tutti/ensemble", #""budget":{"credits":2}"#, 50, "away"),
      ("tutti/auto", #""budget":{"credits":2}"#, 50, "away"),
      ("tutti/fast", #""budget":{"credits":2}"#, 50, "away"),
      // Only the hosts of named models count, and suspended hosts do not.
      ("tutti/debate", #""budget":{"credits":2},"members":["small"]"#, 2_000, "cheap"),
      ("tutti/debate", #""budget":{"credits":2},"members":["small","large"]"#, 100, "dear"),
      ("small", #""budget":{"credits":2}"#, 2_000, "cheap"),
      ("large", #""budget":{"credits":2}"#, 100, "dear"),
      ("nomic-embed-text", #""budget":{"credits":9}"#, 100, "vectors"),
      // The stricter of the two limits applies.
      ("small", #""budget":{"credits":2,"tokens":5000}"#, 2_000, "cheap"),
      ("small", #""budget":{"credits":2,"tokens":100}"#, 100, nil),
    ] as [(String, String, Int, HostID?)])
  func credits(_ model: String, _ tutti: String, _ tokens: Int, _ host: HostID?) throws {
    let budget = try #require(try Self.budget(model, tutti))
    #expect(budget.tokens == tokens)
    #expect(budget.bought?.host == host)
    #expect(budget.param == (host == nil ? "tutti.budget.tokens" : "tutti.budget.credits"))
  }

  @Test("where every host that may be asked is free, credits limit nothing")
  func free() throws {
    #expect(try Self.budget("small", #""budget":{"credits":2},"data_policy":"local""#) == nil)
    #expect(
      try Self.budget("tutti/ensemble", #""budget":{"credits":2},"data_policy":"local""#) == nil)
    #expect(
      try Self.budget("small", #""budget":{"credits":2,"tokens":7},"data_policy":"local""#)?.tokens
        == 7)
    #expect(try Self.budget("small", "") == nil)
  }

  @Test("the tokens of a budget cost no more than its credits", arguments: 1..<200)
  func holds(credits: Int) throws {
    for price in [1, 3, 700, 999_983, 1_000_000_000] {
      let table = HostTable(
        epoch: 1, revision: 1, hosts: [Self.host("h", ["small"], price: price)])
      let asked = try Self.request("small", #","tutti":{"budget":{"credits":\#(credits)}}"#)
      let tokens = try #require(TokenBudget.of(asked, table: table)).tokens
      #expect(tokens * price <= credits * 1_000_000)
      #expect((tokens + 1) * price > credits * 1_000_000, "no token less than it buys")
    }
  }

  @Test("credits count at the higher of a host's two prices")
  func twoPrices() throws {
    for price in [HostPrice(input: 500_000, output: 3), HostPrice(input: 3, output: 500_000)] {
      var host = Self.host("h", ["small"], price: 0)
      host.price = price
      let table = HostTable(epoch: 1, revision: 1, hosts: [host])
      let asked = try Self.request("small", #","tutti":{"budget":{"credits":2}}"#)
      #expect(TokenBudget.of(asked, table: table)?.tokens == 4_000_000)
    }
  }

  @Test("credits are refused if the request may reach a host without a stated price")
  func notStated() throws {
    var paid = Self.host("paid", ["small"], price: 0)
    paid.price = nil
    paid.credential = "env:TUTTI_CREDENTIAL_A"
    func message(_ hosts: [Host], _ budget: String, affordable: Int? = nil) throws -> String? {
      let table = HostTable(epoch: 1, revision: 1, hosts: hosts)
      let asked = try Self.request("small", #","tutti":{"budget":{\#(budget)}}"#)
      let limit = TokenBudget.of(asked, table: table, affordable: affordable)
      do throws(Failure) {
        _ = try asked.body(within: limit)
        return nil
      } catch {
        return error.message
      }
    }
    let cheap = Self.host("cheap", ["small"], price: 1_000)
    for affordable in [nil, 10] {
      let refusal = try #require(
        try message([cheap, paid], #""credits":2"#, affordable: affordable))
      #expect(refusal.contains("tutti hosts set paid --price"), "\(refusal)")
    }
    #expect(try message([cheap, paid], #""tokens":2000"#) == nil)
    paid.credential = nil
    #expect(try message([cheap, paid], #""credits":2"#) == nil, "it needs no credential: free")
    paid.credential = "env:TUTTI_CREDENTIAL_A"
    paid.price = .free
    #expect(try message([cheap, paid], #""credits":2"#) == nil)
  }

  @Test("credits that buy nothing are refused by name, before anybody is asked")
  func nothing() throws {
    let table = HostTable(
      epoch: 1, revision: 1, hosts: [Self.host("gold", ["small"], price: 1_000_000_000)])
    let asked = try Self.request("tutti/ensemble", #","tutti":{"budget":{"credits":9}}"#)
    do throws(Failure) {
      _ = try GatewayRouting.route(asked, table: table)
      Issue.record("it was routed")
    } catch {
      #expect(error.code == .invalidRequest && error.param == "tutti.budget.credits")
      #expect(error.message.contains("gold"))
    }
  }

  @Test("errors of planner and dispatcher about tokens name the option that the client used")
  func explained() throws {
    let refusal = Failure(.invalidRequest, "3 members need 246.", param: "tutti.budget.tokens")
    let other = Failure(.invalidRequest, "no.", param: "tutti.quorum")
    let tokens = try #require(try Self.budget("small", #""budget":{"tokens":5}"#))
    #expect(tokens.explained(refusal) == refusal)
    let credits = try #require(try Self.budget("small", #""budget":{"credits":2}"#))
    #expect(credits.explained(other) == other)
    let told = credits.explained(refusal)
    #expect(told.code == .invalidRequest && told.param == "tutti.budget.credits")
    #expect(
      told.message.contains("2000 tokens at cheap") && told.message.hasSuffix(refusal.message))
  }

  // MARK: - One model

  private static func limited(
    _ members: String, _ endpoint: InferenceEndpoint = .chatCompletions
  ) throws -> JSONObjectScanner {
    let asked = try request("small", members, endpoint)
    return try JSONObjectScanner(try asked.body(within: TokenBudget.of(asked, table: table)))
  }

  @Test(
    "one model's answer is limited to what the prompt leaves of the budget",
    arguments: [
      // The prompt has 8 tokens, and its chat template is assumed to have 32.
      (#","tutti":{"budget":{"tokens":100}}"#, "max_tokens", 60),
      (#","max_tokens":500,"tutti":{"budget":{"tokens":100}}"#, "max_tokens", 60),
      (#","max_tokens":20,"tutti":{"budget":{"tokens":100}}"#, "max_tokens", 20),
      (#","max_tokens":null,"tutti":{"budget":{"tokens":100}}"#, "max_tokens", 60),
      (
        #","max_completion_tokens":500,"tutti":{"budget":{"tokens":100}}"#, "max_completion_tokens",
        60
      ),
      (#","n_predict":-1,"tutti":{"budget":{"tokens":100}}"#, "n_predict", 60),
      // Two answers share the budget; tools count as input.
      (#","n":2,"tutti":{"budget":{"tokens":100}}"#, "max_tokens", 30),
      (#","tools":[{"a":"0123456789012345"}],"tutti":{"budget":{"tokens":100}}"#, "max_tokens", 53),
      (#","tutti":{"budget":{"credits":1}}"#, "max_tokens", 960),
    ])
  func oneModel(_ members: String, _ name: String, _ most: Int) throws {
    let body = try Self.limited(members)
    #expect(body[name].flatMap(body.document.integer) == most)
    #expect(name == "max_tokens" || body["max_tokens"] == nil)
    #expect(body.duplicates.isEmpty)
  }

  @Test("a picture has the tokens of a picture, not of its bytes")
  func media() throws {
    let picture = String(repeating: "A", count: 100_000)
    let asked = try ClientRequest(
      parsing: Array(
        (#"{"model":"small","messages":[{"role":"user","content":[{"type":"text","text":"hi"},"#
          + #"{"type":"image_url","image_url":{"url":"data:image/png;base64,\#(picture)"}}]}],"#
          + #""tutti":{"budget":{"tokens":2000}}}"#).utf8), endpoint: .chatCompletions)
    let body = try JSONObjectScanner(asked.body(within: TokenBudget.of(asked, table: Self.table)))
    // 1,600 for the picture, 32 for the template, 15 for the text and its JSON.
    #expect(body["max_tokens"].flatMap(body.document.integer) == 353)
  }

  @Test("several prompts of a completion share its budget")
  func prompts() throws {
    func most(_ prompt: String) throws -> Int? {
      let asked = try ClientRequest(
        parsing: Array(
          #"{"model":"small","prompt":\#(prompt),"best_of":2,"tutti":{"budget":{"tokens":104}}}"#
            .utf8
        ), endpoint: .completions)
      let body = try JSONObjectScanner(asked.body(within: TokenBudget.of(asked, table: Self.table)))
      return body["max_tokens"].flatMap(body.document.integer)
    }
    #expect(try most(#""0123456789abcd""#) == 50)
    #expect(try most(#"["01234","567"]"#) == 25)
    #expect(try most("[1,2,3,4,5,6,7]") == 50)
  }

  @Test("without a budget, and within a large one, every byte is as it came")
  func unchanged() throws {
    for members in [
      #", "logprobs" : true,"top_logprobs":2"#,
      #","max_tokens":5,"tutti":{"budget":{"tokens":100}}"#,
      #","tutti":{"budget":{"credits":5},"data_policy":"local"}"#,
    ] {
      let asked = try Self.request("small", members)
      #expect(try asked.body(within: TokenBudget.of(asked, table: Self.table)) == asked.body)
    }
    let vectors = try Self.request(
      "nomic-embed-text", #","tutti":{"budget":{"tokens":8}}"#, .embeddings)
    #expect(try vectors.body(within: TokenBudget.of(vectors, table: Self.table)) == vectors.body)
  }

  @Test(
    "a budget that the prompt uses up is refused by name",
    arguments: [
      (#","tutti":{"budget":{"tokens":40}}"#, InferenceEndpoint.chatCompletions, "tokens"),
      (#","n":2,"tutti":{"budget":{"tokens":41}}"#, .chatCompletions, "tokens"),
      (#","tutti":{"budget":{"tokens":7}}"#, .embeddings, "tokens"),
      (#","tutti":{"budget":{"tokens":8}}"#, .completions, "tokens"),
    ])
  func tooSmall(_ members: String, _ endpoint: InferenceEndpoint, _ option: String) throws {
    let asked = try Self.request("small", members, endpoint)
    do throws(Failure) {
      _ = try asked.body(within: TokenBudget.of(asked, table: Self.table))
      Issue.record("it was taken")
    } catch {
      #expect(error.code == .invalidRequest && error.param == "tutti.budget.\(option)")
    }
  }
}
