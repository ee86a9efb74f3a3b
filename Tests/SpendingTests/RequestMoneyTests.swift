import ClusterModel
import Limits
import Money
import Testing
import Text

@testable import GatewayCore

enum Sample {
  static func price(_ input: Int64, _ output: Int64) -> TokenPrice {
    let price = try? TokenPrice(
      input: MicroCredits(input), cachedInput: MicroCredits(input), output: MicroCredits(output))
    return price ?? .free
  }

  static func table(
    _ unknown: UnknownPrice = .refuse, _ prices: [ModelID: TokenPrice] = [:]
  ) throws -> PriceTable {
    try PriceTable(
      epoch: 1, revision: 1, unknown: unknown,
      rows: prices.map { PriceRow(model: $0.key, effectiveFrom: 0, price: $0.value) })
  }

  static func requestPrice(_ prices: [ModelID: TokenPrice]) throws -> RequestPrice {
    try RequestPrice(of: Array(prices.keys), in: table(.refuse, prices), at: 5)
  }

  static func request(
    _ members: String, endpoint: InferenceEndpoint = .chatCompletions
  ) throws -> ClientRequest {
    let content =
      endpoint == .embeddings
      ? #""input":"some words""# : #""messages":[{"role":"user","content":"some words"}]"#
    return try ClientRequest(
      parsing: Array("{\"model\":\"m\",\(members)\(content)}".utf8), endpoint: endpoint)
  }

  static func hosts(context: Int?) -> HostTable {
    HostTable(
      epoch: 1, revision: 1,
      hosts: [
        Host(
          id: "h", url: "http://h", state: .ready,
          models: [ModelOffer(id: "m", contextTokens: context)])
      ])
  }
}

@Suite("The price of a request")
struct RequestPriceTests {
  @Test("the dearest model that may answer makes the hold, and the answer's own model the bill")
  func several() throws {
    let price = try Sample.requestPrice(["a": Sample.price(1, 9), "b": Sample.price(5, 2)])
    #expect(price.highest == Sample.price(5, 9))
    #expect(price.price(of: "a") == Sample.price(1, 9))
    #expect(price.price(of: "unexpected") == Sample.price(5, 9))
  }

  @Test("models without a price are left out, and refused if no other is left")
  func unpriced() throws {
    let table = try Sample.table(.refuse, ["a": Sample.price(1, 1)])
    let price = try RequestPrice(of: ["a", "b"], in: table, at: 5)
    #expect(price.has("a") && !price.has("b"))
    let failure = #expect(throws: Failure.self) {
      try RequestPrice(of: ["b"], in: table, at: 5)
    }
    #expect(failure?.code == .permissionDenied && failure?.message.contains("`b`") == true)
  }

  @Test("models that embed inside a plan have their own prices, but cannot answer alone")
  func embedders() throws {
    let table = try Sample.table(
      .refuse, ["a": Sample.price(1, 1), "embedder": Sample.price(3, 0)])
    let price = try RequestPrice(of: ["a"], embedders: ["embedder", "other"], in: table, at: 5)
    #expect(price.has("a") && price.has("embedder") && !price.has("other"))
    #expect(price.price(of: "embedder") == Sample.price(3, 0))
    #expect(price.highest == Sample.price(3, 1))
    let failure = #expect(throws: Failure.self) {
      try RequestPrice(of: ["b"], embedders: ["embedder"], in: table, at: 5)
    }
    #expect(failure?.code == .permissionDenied && failure?.message.contains("`b`") == true)
  }

  @Test("a plan of free models stays free, and embeds only with free models")
  func freePlan() throws {
    let table = try Sample.table(
      .refuse,
      ["a": Sample.price(0, 0), "embedder": Sample.price(3, 0), "free": Sample.price(0, 0)])
    let price = try RequestPrice(of: ["a"], embedders: ["embedder", "free"], in: table, at: 5)
    #expect(price.isFree)
    #expect(price.has("a") && price.has("free") && !price.has("embedder"))
  }

  @Test("a model without a price that the client names for a plan is refused for its price")
  func named() throws {
    let table = try Sample.table(.refuse, ["a": Sample.price(1, 1)])
    let price = try RequestPrice(of: ["a", "b"], in: table, at: 5)
    let failure = #expect(throws: Failure.self) {
      try price.check(named: ["a", "b"], of: ["a", "b"])
    }
    #expect(failure?.code == .permissionDenied && failure?.message.contains("`b`") == true)
    // A model that no host offers gets its error from the planner.
    try price.check(named: ["a", "unknown"], of: ["a", "b"])
  }

  @Test("models are free if the setting says so")
  func free() throws {
    #expect(try RequestPrice(of: ["b"], in: Sample.table(.free), at: 5).isFree)
  }
}

@Suite("The most that a request can cost")
struct RequestBoundsTests {
  private static let million: Int64 = 1_000_000

  @Test("the request's own limit counts for each of its answers")
  func ownLimit() throws {
    let bounds = try Sample.request(#""max_tokens":100,"n":3,"#).bounds(
      models: ["m"], table: Sample.hosts(context: 8_192))
    #expect(bounds.answer == 100 && bounds.answers == 3)
    let cost = bounds.cost(at: Sample.price(Self.million, 2 * Self.million))
    #expect(cost.worst.count == Int64(bounds.prompt) + 600)
    #expect(cost.minimum.count == Int64(bounds.prompt) + 6)
  }

  @Test("without an own limit the model's context bounds the answer, and a limit the context")
  func context() throws {
    let request = try Sample.request("")
    let short = request.bounds(models: ["m"], table: Sample.hosts(context: 1_000))
    #expect(short.answer == 1_000 - short.prompt)
    for context in [nil, 1_000_000] {
      let long = request.bounds(models: ["m"], table: Sample.hosts(context: context))
      #expect(long.answer == Limits.unstatedAnswerTokens.value)
    }
  }

  @Test("embeddings cost their input, and need no limit")
  func embeddings() throws {
    let bounds = try Sample.request("", endpoint: .embeddings).bounds(
      models: ["m"], table: Sample.hosts(context: 512))
    let cost = bounds.cost(at: Sample.price(Self.million, Self.million))
    #expect(cost.minimum == cost.worst && cost.worst.count == Int64(bounds.prompt))
    #expect(bounds.answerTokens(for: cost.worst, at: Sample.price(1, 1)) == nil)
  }

  @Test(
    "a hold pays the last affordable token and not one more",
    arguments: [(1, 1), (7, 333), (999_999, 1_000_001), (1_000_000, 15_000_000), (0, 3)])
  func affordable(input: Int64, output: Int64) throws {
    let price = Sample.price(input * 1_000, output * 1_000)
    let bounds = try Sample.request(#""max_tokens":5000,"n":2,"#).bounds(
      models: ["m"], table: Sample.hosts(context: nil))
    let cost = bounds.cost(at: price)
    for hold in Set([cost.minimum.count, cost.worst.count, cost.worst.count / 2])
    where hold >= cost.minimum.count {
      let each = try #require(bounds.answerTokens(for: MicroCredits(hold), at: price))
      let usage = try TokenUsage(prompt: Int64(bounds.prompt), completion: Int64(2 * each))
      #expect(try price.cost(of: usage).count <= hold)
      #expect(each >= 1 && each <= 5_000)
      if hold == cost.worst.count { #expect(each == 5_000) }
    }
  }

  @Test("an answer is cut at the last affordable token, and an own lower limit stays")
  func body() throws {
    let request = try Sample.request(#""max_tokens":100,"#)
    #expect(try request.body(within: nil, affordable: 100) == request.body)
    #expect(
      try String(decoding: request.body(within: nil, affordable: 7), as: UTF8.self)
        .contains(#""max_tokens":7"#))
    let open = try Sample.request("")
    #expect(
      try String(decoding: open.body(within: nil, affordable: 7), as: UTF8.self)
        .contains(#""max_tokens":7"#))
    #expect(try open.body(within: nil) == open.body)
  }

  @Test("a limit is inserted as an edit of the body would insert it, and all stated limits count")
  func statedLimits() throws {
    for members in ["", #""max_tokens":null,"#, #""n_predict":null,"max_tokens":null,"#] {
      let request = try Sample.request(members)
      let edited = try JSONObjectScanner(request.body)
        .edited(replacing: [(name: "max_tokens", json: Array("7".utf8))])
      #expect(try request.body(within: nil, affordable: 7) == edited)
    }
    for (members, isChanged) in [
      (#""max_tokens":7,"#, false), (#""max_tokens":0,"n_predict":7,"#, false),
      (#""max_tokens":7,"n_predict":8,"#, true), (#""max_tokens":7,"n_predict":-1,"#, true),
      (#""max_completion_tokens":8,"#, true), (#""n_predict":"x","#, true),
      (#""max_tokens":null,"n_predict":3,"#, false),
    ] {
      let request = try Sample.request(members)
      let body = try request.body(within: nil, affordable: 7)
      #expect((body != request.body) == isChanged, "\(members)")
      let scanner = try JSONObjectScanner(body)
      let limits = ["max_tokens", "max_completion_tokens", "n_predict"]
        .compactMap { scanner[$0].flatMap(scanner.document.integer) }
      #expect(!limits.isEmpty && limits.allSatisfy { (0...7).contains($0) }, "\(members)")
    }
  }

  @Test("a plan's tokens all cost the dearest kind, and its hold pays them")
  func plan() throws {
    let request = try Sample.request(#""tutti":{"budget":{"tokens":1000}},"#)
    let bounds = RequestBounds(plan: request)
    let price = Sample.price(Self.million, 3 * Self.million)
    let cost = bounds.planCost(at: price)
    #expect(cost.worst.count == 3_000)
    #expect(bounds.planTokens(for: cost.worst, at: price) == 1_000)
    #expect(bounds.planTokens(for: MicroCredits(301), at: price) == 100)
  }
}

@Suite("Refusals to pay for a request")
struct BudgetFailureTests {
  @Test("an error about a budget has the rest and the time of its reset")
  func budget() {
    let ceiling = Ceiling(
      id: CeilingID("team/acme/lab/day-calendar"), remaining: MicroCredits(1_500_000),
      resetsAt: 86_400_000)
    let failure = BudgetRefusal.exhausted(ceiling).failure(at: 86_340_000)
    #expect(failure.code == .budgetExhausted && failure.retryAfter == .seconds(60))
    #expect(failure.message.contains("team/acme/lab/day-calendar"))
    #expect(failure.message.contains("1.5 credits"))
  }

  @Test(
    "a request whose money other requests hold gets a wait of seconds",
    arguments: ["team/acme/lab/year-calendar", "balance/acme"])
  func temporary(id: String) throws {
    for resetsAt in [nil, 31_536_000_000, 86_400_000] as [Int64?] {
      let ceiling = Ceiling(
        id: CeilingID(id), remaining: MicroCredits(1_500_000), resetsAt: resetsAt)
      let failure = BudgetRefusal.outOfPatience(ceiling).failure(at: 86_397_000)
      #expect(failure.retryAfter == .seconds(resetsAt == 86_400_000 ? 3 : 5))
      #expect(failure.code == .budgetHeld)
      #expect(failure.message.contains(id.hasPrefix("balance") ? "organisation acme" : id))
      #expect(failure.message.contains("1.5 credits"))
      #expect(failure.message.contains("running requests hold"))
      #expect(failure.message.contains("Try again in a few seconds"))
      #expect(!failure.message.contains("resets at"))
    }
  }

  @Test("a balance has no time at which it resets")
  func balance() {
    let ceiling = Ceiling(id: CeilingID("balance/acme"), remaining: .zero)
    let failure = BudgetRefusal.exhausted(ceiling).failure(at: 0)
    #expect(failure.code == .insufficientBalance && failure.retryAfter == nil)
    #expect(failure.message.contains("organisation acme"))
  }

  @Test("a registry that is away is not called an empty budget")
  func away() {
    let failure = BudgetRefusal.registryAway.failure(at: 0)
    #expect(failure.code == .overloaded && failure.retryAfter == .seconds(1))
  }
}
