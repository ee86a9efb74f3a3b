import Access
import ClusterModel
import GatewayCore
import Testing
import Text

@Suite("Models that the operator chose for tutti/fast, tutti/auto and plans")
struct ModelChoicesTests {
  private static let table: HostTable = {
    var table = gatewayTable
    table.hosts[0].models += [
      ModelOffer(id: "best", upstream: "llama-3.1-8b", rank: 1), ModelOffer(id: "huge"),
    ]
    table.hosts[1].models.append(ModelOffer(id: "best", upstream: "huge-2", rank: 0))
    return table
  }()

  private static let available: [ModelID] = ["huge", "huge-2", "llama-3.1-8b"]

  private func rights(
    models: Set<ModelID> = [], pools: Set<String> = []
  ) throws -> KeyRights {
    KeyRights(
      KeyRecord(
        id: try #require(KeyID("abcdefghij23")), name: "test",
        account: try #require(AccountPath("acme")),
        hash: KeyHash(
          of: try #require(APIKey(random: Array(repeating: 1, count: APIKey.randomByteCount))),
          pepper: try #require(KeyPepper(0..<32))),
        scopes: [.chat, .plans], permissions: KeyPermissions(models: models, hostPools: pools)))
  }

  private func route(
    _ model: String, _ choices: ModelChoices, _ rights: KeyRights = KeyRights(),
    options: String = "{}"
  ) throws -> GatewayRoute {
    try GatewayRouting.route(
      try parse(#"{"model":"\#(model)",\#(hello),"tutti":\#(options)}"#), table: Self.table,
      rights: rights, choices: choices)
  }

  /// The model of a direct answer to a question that needs no plan.
  private func gatedModel(_ choices: ModelChoices, options: String = "{}") throws -> ModelID? {
    guard case .gated(let model, _) = try route("tutti/auto", choices, options: options) else {
      Issue.record("tutti/auto makes a plan")
      return nil
    }
    return model
  }

  @Test("tutti/fast and a direct answer of tutti/auto use the chosen model")
  func fast() throws {
    let choices = ModelChoices(fast: "best")
    #expect(try route("tutti/fast", choices) == .direct("best"))
    #expect(try route("tutti/fast", ModelChoices()) == .direct(nil))
    #expect(try gatedModel(choices) == "best")
    #expect(try gatedModel(ModelChoices()) == nil)
    // The client's own choice wins.
    #expect(try route("llama-3.1-8b", choices) == .direct("llama-3.1-8b"))
    #expect(try gatedModel(choices, options: #"{"members":["huge"]}"#) == "huge")
  }

  @Test("a key that does not allow the chosen model gets one of its own models")
  func ownModels() throws {
    let choices = ModelChoices(fast: "best")
    #expect(try route("tutti/fast", choices, rights(models: ["huge"])) == .direct(nil))
    #expect(try route("tutti/fast", choices, rights(models: ["best"])) == .direct("best"))
  }

  @Test("a key whose pools have no host with the chosen model gets a model of its pools")
  func pools() throws {
    var table = Self.table
    table.hosts[0].tags = ["eu"]
    table.hosts[1].tags = ["us"]
    let choices = ModelChoices(fast: "huge", plans: "huge")
    for (pool, model) in [("eu", "huge"), ("us", nil)] as [(String, ModelID?)] {
      let rights = try self.rights(pools: [pool])
      let request = try parse(#"{"model":"tutti/fast",\#(hello)}"#)
      #expect(
        try GatewayRouting.route(request, table: table, rights: rights, choices: choices)
          == .direct(model))
      let available: [ModelID] = pool == "eu" ? ["huge", "llama-3.1-8b"] : ["llama-3.1-8b"]
      #expect(
        try choices.planModels(from: available, in: table, rights) == model.map { [$0] })
    }
  }

  @Test("a chosen model that no host offers is 503 and named, with the command that changes it")
  func notOffered() throws {
    let failure = #expect(throws: Failure.self) {
      try route("tutti/fast", ModelChoices(fast: "gone"))
    }
    #expect(failure?.code == .noEligibleHost)
    #expect(failure?.message.contains("tutti/fast is set to `gone`") == true)
    #expect(failure?.message.contains("`tutti models default`") == true)
  }

  @Test("values that admins set win over the configuration; any means no choice")
  func overridden() {
    let configured = ModelChoices(requests: "a", fast: "b", plans: "c")
    #expect(configured.overridden(by: .none) == configured)
    let overrides = RuntimeOverrides(texts: [
      (id: "gateway.default_model", value: "x"), (id: "gateway.fast_model", value: "any"),
      (id: "gateway.plan_models", value: "y"),
    ])
    let choices = configured.overridden(by: overrides)
    #expect(choices.requests == "x" && choices.fast == nil && choices.plans == "y")
    #expect(ModelChoices().requests == "tutti/fast")
  }

  @Test("plans choose from the models of an alias, the best rank first")
  func plans() throws {
    func models(
      _ plans: String, _ available: [ModelID] = Self.available, _ rights: KeyRights = KeyRights()
    ) throws -> [ModelID]? {
      try ModelChoices(plans: plans).planModels(from: available, in: Self.table, rights)
    }
    #expect(try models("any") == nil)
    #expect(try models("best") == ["huge-2", "llama-3.1-8b"])
    #expect(try models("best", ["llama-3.1-8b"]) == ["llama-3.1-8b"])
    #expect(try models("huge") == ["huge"])
    #expect(
      try models("best", Self.available, rights(models: ["llama-3.1-8b"])) == ["llama-3.1-8b"])
    #expect(try models("best", Self.available, rights(models: ["huge"])) == nil)
    let failure = #expect(throws: Failure.self) { try models("best", ["huge"]) }
    #expect(failure?.code == .noEligibleHost)
    #expect(throws: Failure.self) { try models("gone") }
  }

  @Test("the entry of tutti/fast names the model that answers, if the key allows it")
  func entry() throws {
    func entry(_ name: String, _ rights: KeyRights = KeyRights()) throws -> String {
      text(
        try ModelList.model(name, Self.table, rights, choices: ModelChoices(fast: "best")).encoded)
    }
    #expect(try entry("tutti/fast").contains(#""answered_by":"best""#))
    #expect(try !entry("tutti/fast", rights(models: ["huge"])).contains("answered_by"))
    #expect(try !entry("tutti/auto").contains("answered_by"))
  }
}
