import Access
import Bus
import ClusterModel
import GatewayCore
import HostModel
import Testing

@testable import GatewayService

@Suite("Plans of keys with host pools")
struct PlanPoolTests {
  private func rights(
    _ pools: Set<String>, models: Set<ModelID> = []
  ) throws -> KeyRights {
    KeyRights(
      KeyRecord(
        id: try #require(KeyID("abcdefghij23")), name: "test",
        account: try #require(AccountPath("acme")),
        hash: KeyHash(
          of: try #require(APIKey(random: Array(repeating: 1, count: APIKey.randomByteCount))),
          pepper: try #require(KeyPepper(0..<32))),
        scopes: [.plans], permissions: KeyPermissions(models: models, hostPools: pools)))
  }

  @Test("each dispatcher gets the pools of the client's key with the plan")
  func orders() async throws {
    let cluster = try PlanCluster(scripts: [
      PlanCluster.Script { _, _, _ throws(Failure) in
        throw Failure(.shuttingDown, "the dispatcher shuts down")
      },
      PlanCluster.Script { _, writer, _ throws(Failure) in
        try writer.send(PlanCluster.delta("Hello"))
        try writer.send(PlanCluster.finished)
      },
    ])
    let rights = try rights(["gpu", "eu"])
    try await cluster.run { cluster in
      _ = try await cluster.ask(rights: rights)
      let pools = HostPools(["eu", "gpu"])
      #expect(cluster.orders.map(\.pools) == [pools, pools])
    }
  }

  @Test("if the pools exclude all hosts, no planner is asked and the error gives the reason")
  func excluded() async throws {
    let cluster = try PlanCluster(scripts: [])
    let rights = try rights(["us"])
    try await cluster.run { cluster in
      let failure = await #expect(throws: Failure.self) {
        try await cluster.ask(rights: rights)
      }
      #expect(failure?.code == .noEligibleHost)
      #expect(failure?.message.contains("in none of the key's host pools (us)") == true)
      #expect(cluster.planRequests == 0 && cluster.orders.isEmpty)
    }
  }

  @Test("if all hosts are too old, the error names their versions")
  func oldHosts() async throws {
    let cluster = try PlanCluster(
      scripts: [], rules: EligibilityRules(minimumVersions: ["vLLM": "0.7"]))
    let rights = try rights([])
    try await cluster.run { cluster in
      let failure = await #expect(throws: Failure.self) {
        try await cluster.ask(rights: rights)
      }
      #expect(failure?.code == .noEligibleHost)
      #expect(failure?.message.contains("a runs vLLM 0.6.2, older than 0.7") == true)
    }
  }

  @Test("if no host serves a model that the key allows, the error says so")
  func otherModels() async throws {
    let cluster = try PlanCluster(scripts: [])
    let rights = try rights(["gpu"], models: ["qwen"])
    try await cluster.run { cluster in
      let failure = await #expect(throws: Failure.self) {
        try await cluster.ask(rights: rights)
      }
      #expect(failure?.code == .permissionDenied)
      #expect(
        failure?.message.contains(
          "No host in the key's host pools (gpu) serves a chat model that the key allows") == true)
      #expect(cluster.planRequests == 0 && cluster.orders.isEmpty)
    }
  }
}
