import ClusterModel
import HostModel
import InferenceCore
import Testing

@Suite("Hosts for a key with host pools")
struct HostPoolChoiceTests {
  private let view = ClusterView(
    table: HostTable(
      epoch: 1, revision: 1,
      hosts: [
        Self.host("gpu", tags: ["eu", "gpu"]), Self.host("plain"),
        Self.host("own", tier: .fallback), Self.host("down", .unreachable),
      ]))

  private static func host(
    _ id: HostID, _ state: HostState = .ready, tier: HostTier = .community, tags: [String] = []
  ) -> Host {
    Host(
      id: id, url: "http://\(id)", tier: tier, state: state,
      models: [ModelOffer(id: ModelID("m-\(id)")), ModelOffer(id: "m")], tags: tags)
  }

  private func eligible(_ pools: HostPools, model: ModelID? = "m") -> Eligibility {
    Eligibility(
      model: model, constraints: InferenceConstraints(pools: pools, seed: 1), view: view)
  }

  @Test("only hosts with a tag of the pools are asked, fallback hosts included")
  func eligibility() {
    #expect(eligible(.all).candidates.map(\.host.id) == ["gpu", "plain", "own"])
    #expect(eligible(HostPools(["gpu", "x"])).candidates.map(\.host.id) == ["gpu"])
    #expect(eligible(HostPools(["gpu"]), model: nil).candidates.map(\.host.id) == ["gpu"])
    #expect(eligible(HostPools(["x"])).isEmpty)
  }

  @Test("the error names the pools and counts the hosts outside them, but names none of these")
  func explanation() {
    #expect(
      eligible(HostPools(["x", "y"])).explanation(model: "m")
        == "no host can answer for model m now: 4 hosts are in none of the key's host pools (x, y)")
    #expect(
      eligible(HostPools(["eu"]), model: "n").explanation(model: "n")
        == "no host can answer for model n now: gpu does not offer it; "
        + "3 hosts are in none of the key's host pools (eu)")
    #expect(!eligible(.all, model: "n").explanation(model: "n").contains("pools"))
  }

  @Test("a host outside the pools is no host to wait for")
  func lasting() {
    let refusal = HostNeed.Refusal.outsidePools(HostPools(["x"]))
    #expect(!refusal.isPassing && !refusal.isOfModels)
    let need = HostNeed(pools: HostPools(["x"]), horizon: .later)
    #expect(view.hosts().firstAsked(for: need).isEmpty)
  }

  @Test("the planner sees only the hosts of the pools and their models")
  func facts() {
    let pools = HostPools(["gpu"])
    let hosts = view.hosts()
    #expect(hosts.facts(policy: .any, pools: pools).map(\.id) == ["gpu"])
    #expect(hosts.facts(policy: .any).map(\.id) == ["gpu", "plain"])
    #expect(hosts.chatModels(policy: .any, pools: pools, named: ["m-plain"]) == ["m", "m-gpu"])
    #expect(hosts.chatModels(policy: .any, pools: HostPools(["x"])).isEmpty)
  }
}
