import ClusterModel
import HostModel
import InferenceCore
import Testing

@Suite("Facts about hosts for a planner")
struct HostFactsTests {
  private func host(
    _ id: HostID, models: [ModelID] = ["llama"], state: HostState = .ready,
    trust: DataPolicy = .any, tier: HostTier = .community, slots: Int? = 2
  ) -> Host {
    Host(
      id: id, url: "http://\(id)", tier: tier, trust: trust, state: state,
      models: models.map { ModelOffer(id: $0) }, slots: slots)
  }

  private func facts(
    _ hosts: [Host], _ standing: [HostID: HostStanding] = [:], policy: DataPolicy = .any,
    limit: Int = 64
  ) -> [HostFacts] {
    ClusterView(
      table: HostTable(epoch: 1, revision: 1, hosts: hosts), standing: standing,
      now: Instant(sinceStart: .seconds(10))
    ).hosts().facts(policy: policy, limit: limit)
  }

  @Test("its chat models, free slots, rate and first-token time, as far as they were measured")
  func measures() {
    let known = HostStanding(
      inFlight: 1, slots: 2, firstTokenP50: .milliseconds(120), firstTokenP95: .milliseconds(300),
      tokensPerSecond: 41.5, slowdown: 0.256)
    #expect(
      facts([host("b", models: ["qwen", "llama", "nomic-embed"]), host("a")], ["b": known])
        == [
          HostFacts(id: "a", models: ["llama"], freeSlots: 2),
          HostFacts(
            id: "b", models: ["llama", "qwen"], freeSlots: 1, rateMilli: 41_500,
            firstTokenMilliseconds: 120, slowdownPercent: 26),
        ])
  }

  @Test("contexts of the chat models whose host reports them")
  func contexts() {
    var host = host("a", models: ["llama", "qwen", "nomic-embed"])
    host.models[1].contextTokens = 8_192
    host.models[2].contextTokens = 512
    #expect(facts([host]).first?.contextTokens == ["qwen": 8_192])
  }

  @Test("times that are too old do not count")
  func stale() {
    let old = HostStanding(
      firstTokenP50: .milliseconds(120), firstTokenP95: .milliseconds(300),
      measuredUntil: Instant(sinceStart: .seconds(9)))
    #expect(facts([host("a")], ["a": old]).first?.firstTokenMilliseconds == 0)
  }

  @Test("only hosts that may serve are named; fallback hosts if there are no others")
  func leftOut() {
    let open = HostStanding(breaker: .open(until: Instant(sinceStart: .seconds(99))))
    let hosts = [
      host("away", state: .unreachable), host("embeds", models: ["bge-small"]), host("shut"),
      host("stranger"), host("own", trust: .trusted), host("last", trust: .local, tier: .fallback),
    ]
    #expect(facts(hosts, ["shut": open]).map(\.id) == ["own", "stranger"])
    #expect(facts(hosts, ["shut": open], policy: .trusted).map(\.id) == ["own"])
    #expect(facts(hosts, ["shut": open], policy: .local).map(\.id) == ["last"])
  }

  @Test("of too many hosts, those with free slots come first, then the fastest, in order of ids")
  func tooMany() {
    let standing: [HostID: HostStanding] = [
      "a": HostStanding(inFlight: 2, slots: 2, tokensPerSecond: 90),
      "b": HostStanding(slots: 2, tokensPerSecond: 10),
      "c": HostStanding(slots: 2, tokensPerSecond: 50), "d": HostStanding(slots: 2),
    ]
    let hosts = ["d", "c", "b", "a"].map { host(HostID($0)) }
    #expect(facts(hosts, standing, limit: 2).map(\.id) == ["b", "c"])
    #expect(facts(hosts, standing, limit: 3).map(\.id) == ["b", "c", "d"])
  }
}
