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

  private func rights(_ models: Set<ModelID>) throws -> KeyRights {
    let id = try #require(KeyID("abcdefghijkl"))
    let hash = try #require(KeyHash([UInt8](repeating: 1, count: 32)))
    let account = try #require(AccountPath("acme"))
    return KeyRights(
      KeyRecord(
        id: id, name: "k", account: account, hash: hash, scopes: [.chat],
        permissions: KeyPermissions(models: models)))
  }

  private func route(
    _ body: String, _ endpoint: InferenceEndpoint, _ models: Set<ModelID>
  ) throws -> GatewayRoute {
    try GatewayRouting.route(
      try ClientRequest(parsing: Array(body.utf8), endpoint: endpoint), table: Self.table,
      rights: try rights(models))
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

  @Test("an embeddings request without a model uses the only one that the key allows")
  func onlyEmbedder() throws {
    let body = #"{"input":"hi"}"#
    #expect(
      try route(body, .embeddings, ["nomic-embed-text"]) == .direct("nomic-embed-text"))
    #expect(throws: Failure.self) { try route(body, .embeddings, []) }
  }
}
