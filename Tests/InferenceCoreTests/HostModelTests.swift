import ClusterModel
import HostModel
import InferenceCore
import Limits
import Testing

private func host(
  _ id: HostID, _ state: HostState = .ready, tier: HostTier = .community,
  trust: DataPolicy = .any, models: [ModelID] = ["m"], version: String? = nil,
  tags: [String] = []
) -> Host {
  Host(
    id: id, url: "http://\(id)", tier: tier, trust: trust, state: state,
    models: models.map { ModelOffer(id: $0) }, version: version, tags: tags)
}

private func view(_ hosts: [Host], _ loads: [HostLoad] = [], age: Duration = .zero) -> HostView {
  HostView(
    HostTable(epoch: 1, revision: 1, hosts: hosts),
    load: LoadTable(epoch: 1, revision: 1, hosts: loads, merged: []), age: age)
}

extension HostView {
  fileprivate func ids(_ need: HostNeed = HostNeed()) -> [HostID] { serving(need).map(\.host.id) }

  fileprivate func refusals(_ need: HostNeed = HostNeed()) -> [HostNeed.Refusal?] {
    entries.map { refusal(of: $0, for: need) }
  }
}

@Suite("Which hosts may serve")
struct HostNeedTests {
  @Test("a refusal names its reason, the lasting ones before the passing ones")
  func reasons() {
    var down = host("down", .unreachable)
    down.reason = "connection refused"
    let hosts = [
      host("ready"), host("new", .unknown, models: []), down, host("off", .suspended),
      host("other", .suspended, models: ["n"]), host("embeds", models: ["bge-small"]),
      host("shut"), host("silent"),
    ]
    let loads = [
      HostLoad(host: "shut", openBreakers: 1), HostLoad(host: "silent", probeAge: .seconds(91)),
      HostLoad(host: "ready", probeAge: .seconds(90)),
    ]
    let view = view(hosts, loads)
    #expect(
      view.refusals(HostNeed(.oneOf(["m"]))) == [
        nil, .notProbed(""), .unreachable("connection refused"), .suspended(""), .notOffered,
        .notOffered, .breakerOpen, .silent(.seconds(91)),
      ])
    #expect(view.refusals()[5] == .noChatModel)
    #expect(view.ids(HostNeed(.anyEmbedding)) == ["embeds"])
    #expect(view.refusals(HostNeed(required: "off"))[0] == .notRequired)
    #expect(view.refusals(HostNeed(dataPolicy: .local))[0] == .untrusted(.local))
  }

  @Test("before a request ends, hosts that are away may be back, suspended ones may not")
  func later() {
    let hosts = [
      host("down", .unreachable), host("new", .unknown), host("off", .suspended), host("shut"),
      host("stranger", .unreachable, trust: .any),
    ]
    let loads = [HostLoad(host: "shut", openBreakers: 3)]
    let view = view(hosts, loads)
    #expect(view.ids(HostNeed(horizon: .later)) == ["down", "new", "shut", "stranger"])
    #expect(view.ids(HostNeed(dataPolicy: .trusted, horizon: .later)).isEmpty)
  }

  @Test("while the registry is silent no host grows silent, and no breaker is known to be open")
  func silentRegistry() {
    let loads = [HostLoad(host: "a", openBreakers: 1, probeAge: .seconds(80))]
    #expect(view([host("a")], loads, age: .seconds(1)).refusals() == [.breakerOpen])
    #expect(view([host("a")], loads, age: .seconds(600)).refusals() == [nil])
  }

  @Test("hosts of the fallback tier come after the community's, hosts with open breakers last")
  func firstAsked() {
    let shut = HostLoad(host: "a", openBreakers: 1)
    let all = [host("a"), host("own", tier: .fallback)]
    func first(_ hosts: [Host], _ loads: [HostLoad]) -> [HostID] {
      view(hosts, loads).firstAsked(for: HostNeed()).map(\.host.id)
    }
    #expect(first(all, []) == ["a"])
    #expect(first(all, [shut]) == ["own"])
    #expect(first([host("a")], [shut]) == ["a"])
    #expect(first([host("a", .suspended)], []).isEmpty)
  }

  @Test(
    "hosts without an allowed model do not keep a plan from the fallback tier or a skipped host")
  func allowedModels() {
    let hosts = [
      host("open", models: ["open"]),
      host("own", tier: .fallback, models: ["priced", "bge-small"]),
    ]
    let priced = AllowedModels(["priced"])
    let plain = view(hosts)
    #expect(plain.firstAsked(for: HostNeed(), models: .all).map(\.host.id) == ["open"])
    #expect(plain.firstAsked(for: HostNeed(), models: priced).map(\.host.id) == ["own"])
    #expect(plain.facts(policy: .any, models: priced).map(\.id) == ["own"])
    #expect(plain.firstAsked(for: HostNeed(.anyEmbedding), models: priced).isEmpty)
    // A need that names a model is not limited.
    #expect(plain.firstAsked(for: HostNeed(.oneOf(["open"])), models: priced).count == 1)
    let skipped = view(hosts, [HostLoad(host: "own", openBreakers: 1)])
    #expect(skipped.firstAsked(for: HostNeed(), models: priced).map(\.host.id) == ["own"])
    #expect(skipped.facts(policy: .any, models: priced).isEmpty)
  }

  @Test("a model whose hosts are skipped for a while is used only if the client names it")
  func chatModels() {
    let hosts = [host("a", models: ["m", "bge-small"]), host("b", models: ["n"])]
    let shut = HostLoad(host: "b", openBreakers: 1)
    #expect(view(hosts, [shut]).chatModels(policy: .any) == ["m"])
    #expect(view(hosts, [shut]).chatModels(policy: .any, named: ["n"]) == ["m", "n"])
    #expect(view([hosts[1]], [shut]).chatModels(policy: .any) == ["n"], "no other is left")
    #expect(view(hosts).chatModels(policy: .trusted, named: ["m"]).isEmpty)
  }

  @Test("of a host's long list, the first models and the named ones are choices")
  func longList() {
    let listed = (0..<1_000).map { ModelID("model-\($0)") }
    let hosts = [host("long", models: ["bge-small"] + listed), host("b", models: ["n"])]
    let first = Set(listed.prefix(Limits.hostChoices.value))
    let models = view(hosts).chatModels(policy: .any)
    #expect(Set(models) == first.union(["n"]))
    #expect(view(hosts).facts(policy: .any).map(\.models.count) == [1, first.count])
    let named = view(hosts).chatModels(policy: .any, named: ["model-1", "model-999"])
    #expect(Set(named) == Set(models).union(["model-999", ModelID("model-\(first.count)")]))
    let facts = view(hosts).facts(policy: .any, named: ["model-999"])
    #expect(facts.last?.models.contains("model-999") == true)
  }

  @Test("a host may serve if one of its models chats")
  func hasServing() {
    let embeds = host("a", models: ["bge-small"])
    #expect(!view([embeds]).hasServing(HostNeed()))
    #expect(view([embeds, host("b")]).hasServing(HostNeed()))
    #expect(!view([host("b", .unreachable)]).hasServing(HostNeed()))
  }

  @Test(
    "plans do not count on a host whose breaker is open in another process, but it may be asked")
  func breakerOfAnotherProcess() {
    let standing =
      ["a": HostStanding(isSuspect: true), "b": HostStanding()] as [HostID: HostStanding]
    let view = ClusterView(
      table: HostTable(epoch: 1, revision: 1, hosts: [host("a"), host("b")]), standing: standing)
    #expect(view.hosts().refusals() == [.breakerOpen, nil])
    #expect(view.hosts().facts(policy: .any).map(\.id) == ["b"])
    #expect(view.hosts().firstAsked(for: HostNeed()).map(\.host.id) == ["b"])
    let eligible = Eligibility(model: "m", constraints: InferenceConstraints(seed: 1), view: view)
    #expect(eligible.candidates.map(\.host.id) == ["a", "b"])
  }

  @Test(
    "the tables of a decision hold exactly the hosts that the rule admits, but for breakers as well",
    arguments: 0..<40)
  func agreement(seed: Int) {
    var rng = SplitMix64(seed: UInt64(seed))
    let now = Instant(sinceStart: .seconds(200))
    var standing: [HostID: HostStanding] = [:]
    let hosts = (0..<30).map { number -> Host in
      let id = HostID("h\(number)")
      var state = HostStanding()
      state.breaker =
        [.closed, .closed, .halfOpen, .open(until: now), .open(until: now + .seconds(1))]
        .randomElement(using: &rng) ?? .closed
      state.lastAnswered =
        [nil, now, now + .seconds(-90), now + .seconds(-91)]
        .randomElement(using: &rng) ?? nil
      standing[id] = state
      return host(
        id,
        Int.random(in: 0..<3, using: &rng) > 0
          ? .ready : HostState.allCases.randomElement(using: &rng) ?? .ready,
        tier: HostTier.allCases.randomElement(using: &rng) ?? .community,
        trust: DataPolicy.allCases.randomElement(using: &rng) ?? .any,
        models: [["m"], ["n", "m"], ["bge-small"], []].randomElement(using: &rng) ?? [],
        version: [nil, "vLLM 0.5", "vLLM 0.7"].randomElement(using: &rng) ?? nil,
        tags: [[], ["gpu"], ["eu", "gpu"], ["us"]].randomElement(using: &rng) ?? [])
    }
    let rules = EligibilityRules(minimumVersions: ["vLLM": "0.6"])
    let view = ClusterView(
      table: HostTable(epoch: 1, revision: 1, hosts: hosts), standing: standing, rules: rules,
      now: now)
    for model in [nil, "m", "n"] as [ModelID?] {
      for policy in DataPolicy.allCases {
        for required in [nil, "h3"] as [HostID?] {
          let pools = HostPools([[], ["gpu", "none"], ["us"]].randomElement(using: &rng) ?? [])
          let constraints = InferenceConstraints(
            dataPolicy: policy, pools: pools, require: required, seed: 1)
          let eligible = Eligibility(model: model, constraints: constraints, view: view)
          let need = HostNeed(
            model.map { .oneOf([$0]) } ?? .anyChat, dataPolicy: policy, pools: pools,
            required: required)
          #expect(eligible.candidates.map(\.host.id) == view.hosts().ids(need))
          #expect(eligible.refusals.allSatisfy { $0.reason != "does not answer now" })
          let shut = view.hosts().entries.filter { entry in
            var closed = entry.activity
            closed.isBreakerOpen = false
            return entry.activity.isBreakerOpen
              && need.refusal(of: entry.host, in: closed, rules: rules) == nil
          }
          let onlyShut = Eligibility(
            model: model, constraints: constraints, view: view, breakers: .shut)
          #expect(onlyShut.candidates.map(\.host.id) == shut.map(\.host.id))
        }
      }
    }
  }
}

@Suite("Estimated finish time of a host")
struct FinishTimeTests {
  private let known = SpeedRange([
    HostSpeed(tokensPerSecond: 100, firstToken: .milliseconds(900)),
    HostSpeed(tokensPerSecond: 25, firstToken: .milliseconds(100)), HostSpeed(),
  ])

  @Test("an unmeasured host is like the fastest to the optimist, like the slowest to the cautious")
  func beliefs() {
    let hopeful = FinishTime(of: HostSpeed(), among: known, belief: .optimistic)
    #expect(hopeful.tokensPerSecond == 100 && hopeful.firstToken == 0.1)
    #expect(hopeful.slowdown == HostSharing.usualSlowdown)
    let careful = FinishTime(of: HostSpeed(), among: known, belief: .cautious)
    #expect(careful.tokensPerSecond == 25 && careful.firstToken == 0.9)
    #expect(careful.slowdown == HostSharing.cautiousSlowdown)
  }

  @Test("measurements are used with either belief, and a laptop's speed without any")
  func measured() {
    let speed = HostSpeed(tokensPerSecond: 40, firstToken: .milliseconds(500), slowdown: 0.25)
    for belief in [SpeedBelief.optimistic, .cautious] {
      let time = FinishTime(of: speed, among: known, belief: belief)
      #expect(time.tokensPerSecond == 40 && time.firstToken == 0.5 && time.slowdown == 0.25)
      let none = FinishTime(of: HostSpeed(), among: SpeedRange(), belief: belief)
      #expect(none.tokensPerSecond == FinishTime.usualRate && none.firstToken == 0.4)
    }
  }

  @Test(
    "other answers stretch tokens and not the first one, and prompts are read ten times as fast")
  func formula() {
    let speed = HostSpeed(tokensPerSecond: 50, firstToken: .milliseconds(500), slowdown: 0.5)
    let time = FinishTime(of: speed, among: known, belief: .cautious)
    #expect(time.seconds(100) == 2.5)
    #expect(time.seconds(100, concurrent: 2) == 4.5)
    #expect(time.seconds(100, reading: 1_000, concurrent: 2) == 8.5)
    #expect(
      time.seconds(100, concurrent: 1_000)
        == time.seconds(100, concurrent: FinishTime.mostConcurrent))
  }

  @Test("requests beyond a host's slots wait for whole answers of the others")
  func queueing() {
    let speed = HostSpeed(tokensPerSecond: 50, firstToken: .milliseconds(500), slowdown: 0.5)
    let time = FinishTime(of: speed, among: known, belief: .cautious)
    #expect(time.seconds(100, inFlight: 0, slots: 2) == 2.5)
    #expect(time.seconds(100, inFlight: 1, slots: 2) == 3.5)
    #expect(time.seconds(100, inFlight: 5, slots: 2) == 10.5)
    #expect(time.stretch(inFlight: 1, slots: 1) == 2)
    #expect(time.stretch(inFlight: 7, slots: nil) == 5)
  }

  @Test("measurements that cannot be true give times that are finite and positive")
  func absurd() {
    for rate in [Double.nan, .infinity, -1, 0, 1e-300] {
      let speed = HostSpeed(tokensPerSecond: rate, firstToken: .seconds(-1), slowdown: rate)
      let time = FinishTime(of: speed, among: SpeedRange([speed]), belief: .optimistic)
      let seconds = time.seconds(1_000, inFlight: .max, slots: .min)
      #expect(seconds.isFinite && seconds > 0, "rate \(rate)")
    }
  }
}
