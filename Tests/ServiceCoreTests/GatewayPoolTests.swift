import Access
import ClusterModel
import GatewayCore
import Testing
import Text

@Suite("A key with host pools at the gateway")
struct GatewayPoolTests {
  private static let table = HostTable(
    epoch: 1, revision: 1,
    hosts: [
      host("gpu", ["llama-3.1-8b", "all-minilm"], price: 1_000, tags: ["gpu"]),
      host("plain", ["llama-3.1-8b", "qwen2.5-7b", "nomic-embed-text"], price: 50_000),
    ])

  private static func host(
    _ id: HostID, _ models: [ModelID], price: Int, tags: [String] = []
  ) -> Host {
    Host(
      id: id, url: "http://\(id)", state: .ready, models: models.map { ModelOffer(id: $0) },
      price: HostPrice(input: Int64(price) * 1_000_000, output: Int64(price) * 1_000_000),
      tags: tags)
  }

  private func rights(
    _ pools: Set<String>, patterns: Set<PatternName> = []
  ) throws -> KeyRights {
    KeyRights(
      KeyRecord(
        id: try #require(KeyID("abcdefghij23")), name: "test",
        account: try #require(AccountPath("acme")),
        hash: KeyHash(
          of: try #require(APIKey(random: Array(repeating: 1, count: APIKey.randomByteCount))),
          pepper: try #require(KeyPepper(0..<32))),
        scopes: [.chat, .embeddings, .plans],
        permissions: KeyPermissions(patterns: patterns, hostPools: pools)))
  }

  private func list(_ rights: KeyRights) -> String {
    text(ModelList.list(Self.table, rights).encoded)
  }

  @Test("the list of models has only those of the pools' hosts")
  func models() throws {
    let own = list(try rights(["gpu"]))
    #expect(own.contains("llama-3.1-8b") && own.contains("tutti/ensemble"))
    #expect(!own.contains("qwen2.5-7b") && !own.contains(#""owned_by":"plain""#))
    let all = list(try rights([]))
    #expect(all.contains("qwen2.5-7b") && all == list(KeyRights()))
    let refusal = #expect(throws: Failure.self) {
      try ModelList.model("qwen2.5-7b", Self.table, try rights(["gpu"]))
    }
    #expect(refusal?.code == .modelNotFound)
    #expect(refusal?.message.contains("qwen2.5-7b`;") == true)
  }

  /// The message of the error for an unknown model.
  private func message(_ json: String, _ rights: KeyRights) throws -> String {
    let failure = #expect(throws: Failure.self) {
      try GatewayRouting.route(try parse(json), table: Self.table, rights: rights)
    }
    #expect(failure?.code == .modelNotFound)
    return failure?.message ?? ""
  }

  @Test("an unknown name is answered with models of the pools' hosts only")
  func suggestions() throws {
    for json in [
      #"{"model":"qwen2.5-7",\#(hello)}"#,
      #"{"model":"tutti/ensemble",\#(hello),"tutti":{"members":["qwen2.5-7"]}}"#,
    ] {
      #expect(try message(json, try rights([])).contains("`qwen2.5-7b`"))
      #expect(try !message(json, try rights(["gpu"])).contains("qwen2.5-7b"))
    }
    let near = try message(#"{"model":"llama-3.1-8",\#(hello)}"#, try rights(["gpu"]))
    #expect(near.contains("`llama-3.1-8b`"))
  }

  @Test("an unknown name is answered with patterns that the key allows only")
  func patterns() throws {
    let some = try rights([], patterns: [.ensemble])
    let unknown = #"{"model":"tutti/swarm",\#(hello)}"#
    #expect(try message(unknown, some).hasSuffix("available: `tutti/fast`, `tutti/ensemble`"))
    let part = #"{"model":"debate",\#(hello)}"#
    #expect(try message(part, try rights([])).contains("`tutti/debate`"))
    #expect(try !message(part, some).contains("tutti/debate"))
    let refusal = #expect(throws: Failure.self) {
      try ModelList.model("debate", Self.table, some)
    }
    #expect(refusal?.message.contains("tutti/debate") == false)
  }

  @Test("an embeddings request without a model gets the only one of the pools' hosts")
  func embedder() throws {
    let request = try parse(#"{"input":"x"}"#, .embeddings)
    #expect(throws: Failure.self) { try GatewayRouting.route(request, table: Self.table) }
    #expect(
      try GatewayRouting.route(request, table: Self.table, rights: try rights(["gpu"]))
        == .direct("all-minilm"))
  }

  @Test("a hidden embedding model is neither chosen nor suggested")
  func hiddenEmbedder() throws {
    var table = Self.table
    table.hosts[0].models.append(ModelOffer(id: "secret-embed", isHidden: true))
    let request = try parse(#"{"input":"x"}"#, .embeddings)
    #expect(
      try GatewayRouting.route(request, table: table, rights: try rights(["gpu"]))
        == .direct("all-minilm"))
    let failure = #expect(throws: Failure.self) {
      try GatewayRouting.route(request, table: table)
    }
    #expect(failure?.message.contains("`all-minilm`, `nomic-embed-text`") == true)
  }

  @Test("credits are converted at the dearest host of the pools")
  func budget() throws {
    let request = try parse(
      #"{"model":"tutti/ensemble",\#(hello),"tutti":{"budget":{"credits":2}}}"#)
    #expect(TokenBudget.of(request, table: Self.table)?.bought?.host == "plain")
    let own = TokenBudget.of(request, table: Self.table, pools: try rights(["gpu"]).pools)
    #expect(own?.bought?.host == "gpu" && own?.tokens == 2_000)
  }

  @Test("a client cannot name host pools")
  func option() {
    let refusal = refused(#"{"model":"m",\#(hello),"tutti":{"host_pools":["gpu"]}}"#)
    #expect(refusal?.code == .invalidRequest)
  }
}
