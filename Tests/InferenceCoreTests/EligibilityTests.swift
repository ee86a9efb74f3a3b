import ClusterModel
import InferenceCore
import Testing

private func host(_ id: String, _ state: HostState = .ready, tier: HostTier = .community) -> Host {
  Host(id: HostID(id), url: "http://\(id)", tier: tier, state: state, models: [.init(id: "m")])
}

private func view(_ hosts: [Host]) -> ClusterView {
  ClusterView(table: HostTable(epoch: 1, revision: 1, hosts: hosts))
}

@Suite("Hosts that may answer")
struct EligibilityTests {
  private func explain(
    _ hosts: [Host], model: ModelID? = "m", policy: DataPolicy = .any, require: HostID? = nil
  ) -> (candidates: [HostID], why: String) {
    let constraints = InferenceConstraints(dataPolicy: policy, require: require, seed: 1)
    let eligibility = Eligibility(
      model: model, constraints: constraints, view: view(hosts))
    return (eligibility.candidates.map(\.host.id), eligibility.explanation(model: model))
  }

  @Test("every host that is not eligible is named with its reason")
  func reasons() {
    var down = host("down", .unreachable)
    down.reason = "connection refused"
    var other = host("other")
    other.models = [.init(id: "n")]
    let (candidates, why) = explain(
      [host("new", .unknown), down, host("off", .suspended), other], policy: .any)
    #expect(candidates.isEmpty)
    for part in [
      "new has not been probed yet", "down is unreachable (connection refused)",
      "off is suspended", "other does not offer it",
    ] {
      #expect(why.contains(part), "\(why)")
    }
    #expect(explain([]).why.contains("no host is registered"))
  }

  @Test("hosts that offer the model are named before those that never could answer")
  func near() {
    let others = (1...30).map { number in
      var other = host("other-\(number)")
      other.models = [.init(id: "n")]
      return other
    }
    let why = explain(others + [host("off", .suspended)]).why
    #expect(why.contains("now: off is suspended; other-1 does not offer it"), "\(why)")
    #expect(why.hasSuffix("; and 11 more"), "\(why)")
  }

  @Test("without a model the first chat model of a host is asked, and hosts without one are not")
  func firstChatModel() {
    var mixed = host("mixed")
    mixed.models = [
      .init(id: "text-embedding-3-small"), .init(id: "dall-e-3"), .init(id: "gpt-4o-audio-preview"),
      .init(id: "gpt-4o"),
    ]
    var pictures = host("pictures")
    pictures.models = [.init(id: "gpt-image-1"), .init(id: "tts-1")]
    let hosts = view([mixed, pictures])
    let any = Eligibility(model: nil, constraints: InferenceConstraints(seed: 1), view: hosts)
    #expect(any.candidates.map(\.host.id) == ["mixed"])
    #expect(any.candidates.map(\.model) == ["gpt-4o"])
    #expect(any.explanation(model: nil).contains("pictures offers no chat model"))
  }

  @Test("a data policy admits hosts that are trusted at least as much")
  func policy() {
    var trusted = host("t")
    trusted.trust = .trusted
    var local = host("l")
    local.trust = .local
    let hosts = [host("a"), trusted, local]
    #expect(explain(hosts, policy: .any).candidates == ["a", "t", "l"])
    #expect(explain(hosts, policy: .trusted).candidates == ["t", "l"])
    #expect(explain(hosts, policy: .local).candidates == ["l"])
  }

  @Test("a required host is the only one; any chat model will do when none is named")
  func requireAndAny() {
    #expect(explain([host("a"), host("b")], require: "b").candidates == ["b"])
    var embedder = host("e")
    embedder.models = [.init(id: "nomic-embed-text")]
    #expect(explain([embedder, host("a")], model: nil).candidates == ["a"])
  }
}
