import Access
import ClusterModel
import GatewayCore
import Testing

@Suite("Rights of keys")
struct KeyRightsTests {
  private static let table = HostTable(
    epoch: 1, revision: 1,
    hosts: [
      Host(
        id: "one", url: "http://127.0.0.1:1", state: .ready,
        models: ["llama-small", "llama-secret", "nomic-embed-text", "other-embed-text"].map {
          ModelOffer(id: $0)
        })
    ])

  private func rights(_ permissions: KeyPermissions) throws -> KeyRights {
    let id = try #require(KeyID("abcdefghijkl"))
    let hash = try #require(KeyHash([UInt8](repeating: 1, count: 32)))
    let account = try #require(AccountPath("acme"))
    return KeyRights(
      KeyRecord(
        id: id, name: "k", account: account, hash: hash, scopes: [.chat],
        permissions: permissions))
  }

  private func route(
    _ body: String, _ endpoint: InferenceEndpoint, _ models: Set<ModelID>
  ) throws -> GatewayRoute {
    try GatewayRouting.route(
      try ClientRequest(parsing: Array(body.utf8), endpoint: endpoint), table: Self.table,
      rights: try rights(KeyPermissions(models: models)))
  }

  @Test("the error for an unknown model suggests only models that the key allows")
  func suggestions() throws {
    let failure = #expect(throws: Failure.self) {
      try route(
        #"{"model":"llama-smal","messages":[{"role":"user","content":"hi"}]}"#, .chatCompletions,
        ["llama-small"])
    }
    #expect(failure?.message.contains("llama-small") == true)
    #expect(failure?.message.contains("llama-secret") == false)
  }

  @Test("a key's lists apply to direct requests, and a plan also needs its scope")
  func check() throws {
    let body = #"{"model":"llama-small","messages":[{"role":"user","content":"hi"}]}"#
    let request = try ClientRequest(parsing: Array(body.utf8), endpoint: .chatCompletions)
    let direct = GatewayRoute.direct("llama-small")
    for permissions in [
      .all, KeyPermissions(models: ["llama-small"]), KeyPermissions(patterns: [.ensemble]),
      KeyPermissions(dataPolicies: [.any]), KeyPermissions(hostPools: ["gpu"]),
    ] {
      try rights(permissions).check(request, direct)
    }
    #expect(throws: Failure.self) {
      try rights(KeyPermissions(models: ["llama-secret"])).check(request, direct)
    }
    #expect(throws: Failure.self) {
      try rights(.all).check(request, .plan(PatternName.ensemble.rawValue))
    }
  }

  @Test(
    "a request without a data policy has its key's, and may name only a stricter one",
    arguments: [[], [.trusted], [.local], [.local, .trusted]] as [Set<DataPolicy>])
  func dataPolicy(policies: Set<DataPolicy>) throws {
    let rights = try rights(KeyPermissions(dataPolicies: policies))
    func parsed(_ options: String) throws -> ClientRequest {
      let body = #"{"model":"llama-small","messages":[{"role":"user","content":"hi"}]\#(options)}"#
      return try ClientRequest(
        parsing: Array(body.utf8), endpoint: .chatCompletions, defaultPolicy: rights.weakestPolicy)
    }
    for options in ["", #","tutti":{}"#, #","tutti":{"data_policy":null}"#] {
      let request = try parsed(options)
      #expect(request.options.dataPolicy == policies.min() ?? .any)
      try rights.check(request, .direct("llama-small"))
    }
    for policy in DataPolicy.allCases {
      let request = try parsed(#","tutti":{"data_policy":"\#(policy.rawValue)"}"#)
      #expect(request.options.dataPolicy == policy)
      if policy >= rights.weakestPolicy {
        try rights.check(request, .direct("llama-small"))
      } else {
        let failure = #expect(throws: Failure.self) {
          try rights.check(request, .direct("llama-small"))
        }
        #expect(failure?.code == .permissionDenied && failure?.param == "tutti.data_policy")
      }
    }
  }

  @Test("with a key that may not use plans, tutti/auto answers every question directly")
  func autoWithoutPlans() throws {
    let question = String(
      repeating: "Compare the two proposals, list the risks of each, and write a summary. ",
      count: 9)
    func request(_ more: String = "") throws -> ClientRequest {
      let body =
        #"{"model":"tutti/auto","messages":[{"role":"user","content":"\#(question)"}]\#(more)}"#
      return try ClientRequest(parsing: Array(body.utf8), endpoint: .chatCompletions)
    }
    let asked = try request()
    #expect(try GatewayRouting.route(asked, table: Self.table) == .plan("tutti/auto"))
    let rights = try rights(.all)
    let route = try GatewayRouting.route(asked, table: Self.table, rights: rights)
    #expect(route == .gated(nil, reason: "the key does not permit plans"))
    try rights.check(asked, route)
    // The list of models has the name.
    _ = try ModelList.model("tutti/auto", Self.table, rights)
    #expect(throws: Failure.self) {
      _ = try ModelList.model("tutti/ensemble", Self.table, rights)
    }
    // Only a plan reads documents, so they are not ignored.
    let withDocument = try request(#","tutti":{"documents":[{"name":"a","text":"b"}]}"#)
    let planned = try GatewayRouting.route(withDocument, table: Self.table, rights: rights)
    #expect(throws: Failure.self) { try rights.check(withDocument, planned) }
    // The pattern can still be forbidden.
    #expect(throws: Failure.self) {
      try self.rights(KeyPermissions(patterns: [.ensemble])).check(asked, route)
    }
  }

  @Test("an embeddings request without a model uses the only one that the key allows")
  func onlyEmbedder() throws {
    let body = #"{"input":"hi"}"#
    #expect(
      try route(body, .embeddings, ["nomic-embed-text"]) == .direct("nomic-embed-text"))
    #expect(throws: Failure.self) { try route(body, .embeddings, []) }
  }
}
