import Access
import Bus
import BusCore
import ClusterModel
import GatewayCore
import HummingbirdCore
import Money
import ServiceKit
import Testing

@testable import GatewayService

@Suite("Models of plans of keys")
struct PlanModelsTests {
  private static let models: [ModelID] = [
    "llama-3.1-8b", "mistral-7b", "all-minilm", "nomic-embed-text",
  ]

  private func rights(models: Set<ModelID> = []) throws -> KeyRights {
    KeyRights(
      KeyRecord(
        id: try #require(KeyID("abcdefghij23")), name: "test",
        account: try #require(AccountPath("acme")),
        hash: KeyHash(
          of: try #require(APIKey(random: Array(repeating: 1, count: APIKey.randomByteCount))),
          pepper: try #require(KeyPepper(0..<32))),
        scopes: [.plans], permissions: KeyPermissions(models: models)))
  }

  /// Prices of a tariff that has only some of the models.
  private func price(of priced: [ModelID], _ unknown: UnknownPrice = .refuse) throws -> RequestPrice
  {
    let price = try TokenPrice(
      input: MicroCredits(1), cachedInput: MicroCredits(1), output: MicroCredits(1))
    return try RequestPrice(
      of: ["llama-3.1-8b", "mistral-7b"], embedders: ["all-minilm", "nomic-embed-text"],
      in: PriceTable(
        epoch: 1, revision: 1, unknown: unknown,
        rows: priced.map { PriceRow(model: $0, effectiveFrom: 0, price: price) }),
      at: 1)
  }

  /// The messages to the planner and the dispatcher.
  private func asked(
    _ rights: KeyRights, _ price: RequestPrice?, plans: String? = nil
  ) async throws -> (request: PlanRequest, order: PlanOrder) {
    let cluster = try PlanCluster(
      scripts: [
        PlanCluster.Script { _, writer, _ throws(Failure) in
          try writer.send(PlanCluster.delta("Hello"))
          try writer.send(PlanCluster.finished)
        }
      ], models: Self.models)
    if let plans {
      let overrides = RuntimeOverrides(texts: [(id: "gateway.plan_models", value: plans)])
      _ = cluster.resources.context.settings.apply(
        .settingsTable(RuntimeSettingsTable(epoch: 1, revision: 1, overrides: overrides)))
    }
    try await cluster.run { cluster in
      let response = try await cluster.answer(rights: rights, price: price).response()
      try await response.body.write(FakeClient(received: FakeClient.Received()))
    }
    return (try #require(cluster.requests.first), try #require(cluster.orders.first))
  }

  @Test("models without a price are neither planned with nor left to the choice of agents")
  func unpriced() async throws {
    let (request, order) = try await asked(
      rights(), price(of: ["llama-3.1-8b", "nomic-embed-text"]))
    #expect(request.available == ["llama-3.1-8b"])
    #expect(request.hosts.map(\.models) == [["llama-3.1-8b"]])
    #expect(order.models == AllowedModels(["llama-3.1-8b", "nomic-embed-text"]))
    #expect(order.request?.hosts == request.hosts)
  }

  @Test("if unknown prices are free, agents choose among all models of the admission")
  func free() async throws {
    let (_, order) = try await asked(rights(), price(of: [], .free))
    #expect(order.models == AllowedModels(Self.models))
  }

  @Test("models that the key does not allow are not used inside a plan, also not for embeddings")
  func permissions() async throws {
    let price = try self.price(of: Self.models)
    let (_, chat) = try await asked(rights(models: ["llama-3.1-8b"]), price)
    #expect(chat.models == AllowedModels(["llama-3.1-8b"]))
    let (_, both) = try await asked(rights(models: ["llama-3.1-8b", "all-minilm"]), price)
    #expect(both.models == AllowedModels(["llama-3.1-8b", "all-minilm"]))
  }

  @Test("a plan names the operator's models, and agents choose among no others")
  func chosen() async throws {
    let (request, order) = try await asked(KeyRights(), nil, plans: "mistral-7b")
    #expect(request.available == ["mistral-7b"])
    #expect(Set(request.models) == ["mistral-7b"])
    #expect(request.hosts.map(\.models) == [["mistral-7b"]])
    #expect(order.models == AllowedModels(["mistral-7b", "all-minilm", "nomic-embed-text"]))
    // A key that does not allow the operator's models uses its own.
    let (own, _) = try await asked(rights(models: ["llama-3.1-8b"]), nil, plans: "mistral-7b")
    #expect(own.available == ["llama-3.1-8b"])
  }

  @Test("without keys, agents choose among all models of the hosts")
  func open() async throws {
    let (request, order) = try await asked(KeyRights(), nil)
    #expect(order.models == .all)
    #expect(request.hosts.map(\.models) == [["llama-3.1-8b", "mistral-7b"]])
  }

  @Test("a preview asks for the plan that the key's money pays, without a payment")
  func preview() async throws {
    let cluster = try PlanCluster(scripts: [], models: Self.models)
    let (rights, price) = (try self.rights(), try self.price(of: ["llama-3.1-8b"]))
    try await cluster.run { cluster in
      _ = try await cluster.answer(rights: rights, price: price, planTokens: 77).make()
    }
    let request = try #require(cluster.requests.first)
    #expect(request.budgetTokens == 77 && request.available == ["llama-3.1-8b"])
    #expect(cluster.orders.isEmpty)
  }
}
