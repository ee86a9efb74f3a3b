import Access
import ClusterModel
import GatewayCore
import Testing
import Text

@Suite("A key with data policies at the gateway")
struct GatewayPolicyTests {
  private static let table = HostTable(
    epoch: 1, revision: 1,
    hosts: [
      host("near", ["llama-3.1-8b", "all-minilm"], .local),
      host("friend", ["llama-3.1-8b", "mistral-7b"], .trusted),
      host("far", ["llama-3.1-8b", "qwen2.5-7b", "nomic-embed-text"], .any),
    ])

  private static func host(_ id: HostID, _ models: [ModelID], _ trust: DataPolicy) -> Host {
    Host(
      id: id, url: "http://\(id)", trust: trust, state: .ready,
      models: models.map { ModelOffer(id: $0) })
  }

  private func rights(_ policies: Set<DataPolicy>) throws -> KeyRights {
    KeyRights(
      KeyRecord(
        id: try #require(KeyID("abcdefghij23")), name: "test",
        account: try #require(AccountPath("acme")),
        hash: KeyHash(
          of: try #require(APIKey(random: Array(repeating: 1, count: APIKey.randomByteCount))),
          pepper: try #require(KeyPepper(0..<32))),
        scopes: [.chat, .embeddings, .plans],
        permissions: KeyPermissions(dataPolicies: policies)))
  }

  private func list(_ rights: KeyRights) -> String {
    text(ModelList.list(Self.table, rights).encoded)
  }

  @Test("the list of models has only those of hosts that the key can reach")
  func models() throws {
    let trusted = list(try rights([.local, .trusted]))
    #expect(trusted.contains("mistral-7b") && trusted.contains("tutti/ensemble"))
    #expect(!trusted.contains("qwen2.5-7b"))
    let local = list(try rights([.local]))
    #expect(local.contains("llama-3.1-8b") && !local.contains("mistral-7b"))
    #expect(list(try rights([])) == list(KeyRights()))
    let refusal = #expect(throws: Failure.self) {
      try ModelList.model("mistral-7b", Self.table, try rights([.local]))
    }
    #expect(refusal?.code == .modelNotFound)
  }

  @Test("an unknown name is answered with models that the key can reach only")
  func suggestions() throws {
    let request = try parse(#"{"model":"qwen2.5-7",\#(hello)}"#)
    func message(_ policies: Set<DataPolicy>) throws -> String {
      let failure = #expect(throws: Failure.self) {
        try GatewayRouting.route(request, table: Self.table, rights: try rights(policies))
      }
      return failure?.message ?? ""
    }
    #expect(try message([]).contains("`qwen2.5-7b`"))
    #expect(try !message([.trusted]).contains("qwen2.5-7b"))
  }

  @Test("an embeddings request without a model gets the only one that the key can reach")
  func embedder() throws {
    let request = try parse(#"{"input":"x"}"#, .embeddings)
    #expect(throws: Failure.self) { try GatewayRouting.route(request, table: Self.table) }
    #expect(
      try GatewayRouting.route(request, table: Self.table, rights: try rights([.local]))
        == .direct("all-minilm"))
  }
}
