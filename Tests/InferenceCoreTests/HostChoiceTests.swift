import ClusterModel
import HostModel
import Testing

@testable import InferenceCore

private func host(_ id: String, tier: HostTier = .community, version: String? = nil) -> Host {
  Host(
    id: HostID(id), url: "http://\(id)", tier: tier, state: .ready,
    models: [ModelOffer(id: "m", contextTokens: 1_000)], version: version)
}

private func hosts(_ count: Int) -> [Host] { (0..<count).map { host("h\($0)") } }

private func view(
  _ hosts: [Host], _ standing: [HostID: HostStanding] = [:], rules: EligibilityRules = .init(),
  now: Instant = .zero
) -> ClusterView {
  ClusterView(
    table: HostTable(epoch: 1, revision: 1, hosts: hosts), standing: standing, rules: rules,
    now: now)
}

private func eligible(_ view: ClusterView, promptTokens: Int = 0) -> Eligibility {
  Eligibility(
    model: "m", constraints: InferenceConstraints(seed: 0), view: view, promptTokens: promptTokens)
}

private func choose(
  _ count: Int = 1, _ view: ClusterView, _ wish: HostChoice.Wish = .init(), seed: UInt64
) -> [HostID] {
  var rng = SplitMix64(seed: seed)
  return HostChoice.choose(count, from: eligible(view), wish, using: &rng).map(\.host.id)
}

private func measured(
  _ seconds: Double = 0.5, inFlight: Int = 0, slots: Int? = nil
) -> HostStanding {
  HostStanding(
    inFlight: inFlight, slots: slots, firstTokenP50: .seconds(seconds / 2),
    firstTokenP95: .seconds(seconds))
}

@Suite("Choosing hosts")
struct HostChoiceTests {
  @Test("the score is the seed's, on the scales that are documented")
  func score() {
    let score = HostScore.standard
    #expect(score.load(inFlight: 0, slots: 4) == 0 && score.load(inFlight: 4, slots: 4) == 0.5)
    #expect(score.firstToken(.milliseconds(50)) == 0 && score.firstToken(.seconds(60)) == 1)
    #expect(abs(score.firstToken(.milliseconds(1_600)) - 0.5) < 1e-6)
    let now = Instant(sinceStart: .seconds(100))
    var standing = measured(1.6, inFlight: 4, slots: 4)
    standing.errorRate = 0.5
    standing.lastAnswered = Instant(sinceStart: .seconds(80))
    // The score is 0.4 × 0.5 + 0.3 × 0.5 + 0.2 × (20 − 5) / 30 + 0.1 × 0.5.
    #expect(abs(score.score(standing, now: now) - 0.5) < 1e-6)
    #expect(score.score(HostStanding(), now: now) == 0, "unmeasured: explored")
    #expect(abs(score.score(HostStanding(inFlight: 4, slots: 4), now: now) - 0.35) < 1e-6)
  }

  @Test("one host, two hosts, a thousand hosts", arguments: [1, 2, 1_000])
  func sizes(count: Int) {
    let view = view(hosts(count))
    for seed in 0..<20 as Range<UInt64> {
      for wanted in [1, 2, 5] {
        let chosen = choose(wanted, view, seed: seed)
        #expect(chosen.count == min(wanted, count))
        #expect(Set(chosen).count == chosen.count)
        #expect(chosen == choose(wanted, view, seed: seed))
      }
    }
    #expect(choose(1, ClusterView(table: .empty), seed: 1).isEmpty)
    #expect(choose(0, view, seed: 1).isEmpty)
  }

  @Test("no request waits in a queue while a host of the same bucket is idle")
  func idleFirst() {
    let busy = measured(0.5, inFlight: 1, slots: 1)
    let oneIdle = view(
      hosts(4), ["h0": busy, "h1": busy, "h2": measured(0.5, slots: 1), "h3": busy])
    for seed in 0..<200 as Range<UInt64> { #expect(choose(1, oneIdle, seed: seed) == ["h2"]) }
    // If all hosts are busy, each of them is chosen for some seeds.
    let full = view(hosts(3), ["h0": busy, "h1": busy, "h2": busy])
    #expect(Set((0..<200 as Range<UInt64>).flatMap { choose(1, full, seed: $0) }).count == 3)
  }

  @Test("a list of candidates is chosen from as its hosts are")
  func candidates() {
    let view = view(hosts(20))
    for seed in 0..<50 as Range<UInt64> {
      var rng = SplitMix64(seed: seed)
      let chosen = HostChoice.choose(
        2, from: eligible(view).candidates, view: view, avoid: ["h3"], using: &rng)
      #expect(chosen.map(\.host.id) == choose(2, view, .init(avoid: ["h3"]), seed: seed))
    }
  }

  @Test("a much slower host is not in the bucket, a somewhat slower one is")
  func bucket() {
    let view = view(
      hosts(3), ["h0": measured(0.2), "h1": measured(0.4), "h2": measured(4)])
    let chosen = Set((0..<200 as Range<UInt64>).flatMap { choose(1, view, seed: $0) })
    #expect(chosen == ["h0", "h1"])
    // After all hosts of the best bucket have been chosen, the next one comes from the next bucket.
    #expect(choose(3, view, seed: 1).last == "h2")
  }

  @Test("the less busy of two is chosen, and a busy host is not a dead one")
  func load() {
    let view = view(
      hosts(2), ["h0": measured(inFlight: 3, slots: 4), "h1": measured(inFlight: 2, slots: 4)])
    for seed in 0..<50 as Range<UInt64> { #expect(choose(1, view, seed: seed) == ["h1"]) }
    var full = measured(inFlight: 900, slots: 1)
    full.busyUntil = Instant(sinceStart: .seconds(9))
    let only = ClusterView(
      table: HostTable(epoch: 1, revision: 1, hosts: hosts(1)), standing: ["h0": full])
    #expect(choose(1, only, seed: 1) == ["h0"])
    #expect(choose(1, only, .init(needsFreeSlot: true), seed: 1).isEmpty)
  }

  @Test("a host that reported to be busy is not asked until its time")
  func busy() {
    var busy = measured()
    busy.busyUntil = Instant(sinceStart: .seconds(9))
    let standing: [HostID: HostStanding] = ["h0": busy, "h1": measured(inFlight: 6, slots: 4)]
    for seed in 0..<50 as Range<UInt64> {
      #expect(choose(1, view(hosts(2), standing), seed: seed) == ["h1"])
      let later = view(hosts(2), standing, now: Instant(sinceStart: .seconds(9)))
      #expect(choose(1, later, seed: seed) == ["h0"])
    }
  }

  @Test("an unmeasured host is explored, not flooded")
  func exploration() {
    var standing = Dictionary(
      uniqueKeysWithValues: (0..<9).map { (HostID("h\($0)"), measured(0.06)) })
    func share() -> Int {
      let cluster = view(hosts(10), standing)
      return (0..<1_000 as Range<UInt64>).count { choose(1, cluster, seed: $0) == ["h9"] }
    }
    standing["h9"] = HostStanding()
    #expect((50...200).contains(share()))
    standing["h9"] = HostStanding(inFlight: 2)
    #expect(share() == 0)
  }

  @Test("of ten equal hosts the busiest gets at most one and a half times the mean")
  func spread() {
    for seed in 0..<10 as Range<UInt64> {
      var rng = SplitMix64(seed: seed)
      var standing: [HostID: HostStanding] = [:]
      // The hosts are equal within the noise of their p95.
      for index in 0..<10 {
        standing[HostID("h\(index)")] = measured(Double.random(in: 0.8...1.3, using: &rng))
      }
      let cluster = view(hosts(10), standing)
      var counts: [HostID: Int] = [:]
      for draw in 0..<3_000 as Range<UInt64> {
        for id in choose(1, cluster, seed: seed << 32 | draw) { counts[id, default: 0] += 1 }
      }
      #expect((counts.values.max() ?? 0) <= 450, "seed \(seed): \(counts)")
    }
  }

  @Test("hosts with an open breaker, too old, too small, or silent for long are not eligible")
  func refusals() {
    let now = Instant(sinceStart: .seconds(200))
    var open = measured()
    open.breaker = .open(until: Instant(sinceStart: .seconds(201)))
    var probing = measured()
    probing.breaker = .halfOpen
    var stale = measured()
    stale.lastAnswered = Instant(sinceStart: .seconds(100))
    var over = measured()
    over.breaker = .open(until: now)
    let view = view(
      [
        host("open"), host("probing"), host("stale"), host("over"),
        host("old", version: "vLLM 0.5.9"), host("new", version: "vLLM 0.6.10"),
        host("llama", version: "llama.cpp b100-abc"),
      ], ["open": open, "probing": probing, "stale": stale, "over": over],
      rules: EligibilityRules(minimumVersions: ["vLLM": "0.6.3"]), now: now)
    let eligibility = eligible(view)
    #expect(eligibility.candidates.map(\.host.id) == ["over", "new", "llama"])
    #expect(
      eligibility.refusals.map(\.reason) == [
        "failed several requests in a row and is skipped for a while",
        "failed several requests in a row and is skipped for a while",
        "has not answered for 100 s", "runs vLLM 0.5.9, older than 0.6.3",
      ])
    #expect(eligible(view, promptTokens: 1_000).candidates.count == 3)
    // The estimate excludes no host.
    #expect(eligible(view, promptTokens: 1_001).candidates.count == 3)
  }

  @Test("the fallback tier is never raced, and is asked if no other host is left or time is up")
  func fallback() {
    let all = [host("a"), host("b"), host("own1", tier: .fallback), host("own2", tier: .fallback)]
    let view = view(all)
    for seed in 0..<50 as Range<UInt64> {
      #expect(Set(choose(4, view, seed: seed)) == ["a", "b"])
      let alone = choose(4, view, .init(excluding: ["a", "b"]), seed: seed)
      #expect(alone.count == 1 && alone[0].name.hasPrefix("own"))
      let late = choose(4, view, .init(isPastDeadline: true), seed: seed)
      #expect(late.count == 1 && late[0].name.hasPrefix("own"))
      #expect(
        Set(
          choose(
            4, ClusterView(table: .init(epoch: 1, revision: 1, hosts: [host("a")])),
            .init(isPastDeadline: true), seed: seed)) == ["a"])
    }
  }

  @Test("an avoided host is asked when it is the last, an excluded one never")
  func avoidance() {
    let view = view(hosts(2))
    for seed in 0..<50 as Range<UInt64> {
      #expect(choose(1, view, .init(avoid: ["h1"]), seed: seed) == ["h0"])
      #expect(choose(2, view, .init(avoid: ["h0", "h1"]), seed: seed).count == 2)
      #expect(choose(2, view, .init(excluding: ["h0"]), seed: seed) == ["h1"])
      #expect(choose(2, view, .init(excluding: ["h0", "h1"]), seed: seed).isEmpty)
    }
  }

  @Test("a host that is wished for is asked first, where it comes into question")
  func preferred() {
    let all = view(hosts(5), ["h3": measured(10, inFlight: 9)])
    for seed in UInt64(0)..<20 {
      let two = choose(2, all, HostChoice.Wish(prefer: "h3"), seed: seed)
      #expect(two.first == "h3" && two.count == 2 && two.last != "h3")
      #expect(
        choose(1, all, HostChoice.Wish(prefer: "h3", excluding: ["h3"]), seed: seed) != ["h3"])
      #expect(choose(1, all, HostChoice.Wish(prefer: "gone"), seed: seed).count == 1)
    }
  }

  @Test("an answer that a client already reads is resumed by the host that will end it first")
  func soonest() {
    func standing(
      _ rate: Double?, inFlight: Int, slots: Int = 1, errors: Double = 0
    ) -> HostStanding {
      var standing = measured(inFlight: inFlight, slots: slots)
      standing.tokensPerSecond = rate
      standing.errorRate = errors
      return standing
    }
    func soonest(_ standings: [HostID: HostStanding]) -> Set<HostID> {
      let view = view(hosts(3), standings)
      return Set(
        (UInt64(0)..<20).flatMap { choose(1, view, HostChoice.Wish(soonest: true), seed: $0) })
    }
    // Each host has one request. The host with 96 tokens/s completes it and the answer first.
    #expect(
      soonest([
        "h0": standing(25, inFlight: 1), "h1": standing(50, inFlight: 1),
        "h2": standing(96, inFlight: 1),
      ]) == ["h2"])
    // An idle host with 60 tokens/s completes the answer before a host with 96 and two requests.
    #expect(
      soonest([
        "h0": standing(25, inFlight: 0), "h1": standing(60, inFlight: 0),
        "h2": standing(96, inFlight: 2),
      ]) == ["h1"])
    // Half of the attempts at the fastest host fail.
    #expect(
      soonest([
        "h0": standing(60, inFlight: 0), "h1": standing(20, inFlight: 0),
        "h2": standing(96, inFlight: 0, errors: 0.5),
      ]) == ["h0"])
    // If no host is measured, the choice is random.
    #expect(
      soonest([
        "h0": standing(nil, inFlight: 0), "h1": standing(nil, inFlight: 0),
        "h2": standing(nil, inFlight: 0),
      ]).count == 3)
  }

  private func priced(_ input: Int64, _ output: Int64, _ id: String) -> Host {
    var host = host(id)
    host.price = HostPrice(input: input, output: output)
    return host
  }

  @Test("of equal idle hosts the cheapest is chosen, and one without a stated price last")
  func cheapest() {
    var unstated = host("unstated")
    unstated.credential = "env:TUTTI_CREDENTIAL_A"
    let paid = [priced(600_000, 2_400_000, "dear"), priced(150_000, 600_000, "cheap"), unstated]
    let wish = HostChoice.Wish(affinity: Array("conversation".utf8))
    for seed in 0..<50 as Range<UInt64> {
      #expect(choose(3, view(paid), seed: seed) == ["cheap", "dear", "unstated"])
      #expect(choose(1, view(paid), wish, seed: seed) == ["cheap"])
      #expect(choose(1, view(paid + [host("free")]), seed: seed) == ["free"])
      #expect(choose(1, view(paid), .init(soonest: true), seed: seed) == ["cheap"])
    }
    // Hosts with the lowest price share the requests.
    let two = view(paid + [priced(600_000, 150_000, "also")])
    let chosen = Set((0..<50 as Range<UInt64>).flatMap { choose(1, two, seed: $0) })
    #expect(chosen == ["cheap", "also"])
  }

  @Test("a price outweighs neither a queue nor a much worse score")
  func priceComesLast() {
    let both = [priced(150_000, 600_000, "cheap"), priced(600_000, 2_400_000, "dear")]
    for seed in 0..<50 as Range<UInt64> {
      let full = view(both, ["cheap": measured(inFlight: 1, slots: 1), "dear": measured(slots: 1)])
      #expect(choose(1, full, seed: seed) == ["dear"])
      let slow = view(both, ["cheap": measured(8), "dear": measured(0.2)])
      #expect(choose(1, slow, seed: seed) == ["dear"])
    }
    // If no host is idle, load decides.
    let queues = view(
      both,
      ["cheap": measured(inFlight: 3, slots: 1), "dear": measured(inFlight: 2, slots: 1)])
    #expect(choose(1, queues, seed: 1) == ["dear"])
  }

  @Test("the trace says how the price decided, and says nothing if it did not decide")
  func priceInTrace() {
    func text(_ hosts: [Host]) -> String? {
      var rng = SplitMix64(seed: 1)
      return HostChoice.choose(1, from: eligible(view(hosts)), using: &rng).first?.price?.text
    }
    let cheap = priced(150_000, 600_000, "cheap")
    let dear = priced(600_000, 2_400_001, "dear")
    var unstated = host("unstated")
    unstated.credential = "env:TUTTI_CREDENTIAL_A"
    #expect(
      text([dear, cheap, unstated])
        == "cheapest of 3 equal hosts (0.15/0.6; others from 0.6/2.400001)")
    #expect(
      text([host("a"), host("b"), dear])
        == "cheapest of 3 equal hosts (free; others from 0.6/2.400001)")
    #expect(
      text([host("a"), unstated])
        == "cheapest of 2 equal hosts (free; others state no price)")
    #expect(text([host("a"), host("b")]) == nil)
    #expect(text([cheap]) == nil)
  }

  /// A host that serves the requested model with a rank.
  private func ranked(_ rank: Int, _ id: String) -> Host {
    var host = host(id)
    host.models[0].rank = rank
    return host
  }

  @Test("hosts of a later rank are chosen only if no host of an earlier rank is free or left")
  func ranks() {
    let all = [ranked(1, "b1"), ranked(0, "a1"), ranked(0, "a2"), ranked(2, "c1")]
    let full = measured(inFlight: 1, slots: 1)
    // The hosts of rank 0 are slower, which does not matter.
    let slow: [HostID: HostStanding] = ["a1": measured(8), "a2": measured(8), "b1": measured(0.1)]
    for seed in 0..<50 as Range<UInt64> {
      #expect(Set(choose(4, view(all, slow), seed: seed)) == ["a1", "a2"])
      #expect(choose(1, view(all, ["a1": full]), seed: seed) == ["a2"])
      #expect(choose(1, view(all, ["a1": full, "a2": full]), seed: seed) == ["b1"])
      #expect(choose(1, view(all), .init(excluding: ["a1", "a2", "b1"]), seed: seed) == ["c1"])
      let busy = view(all, ["a1": full, "a2": full, "b1": full, "c1": full])
      #expect(["a1", "a2"].contains(choose(1, busy, seed: seed).first))
      var second = HostChoice.Wish(excluding: ["a1"], needsFreeSlot: true)
      second.rank = 0
      #expect(choose(1, view(all), second, seed: seed) == ["a2"])
      #expect(choose(1, view(all, ["a2": full]), second, seed: seed).isEmpty)
    }
  }

  @Test("equal keys meet at one host, different keys spread, a full host sends its key elsewhere")
  func affinity() {
    var counts: [HostID: Int] = [:]
    let idle = view(hosts(10))
    for key in 0..<2_000 {
      let wish = HostChoice.Wish(affinity: Array("conversation \(key)".utf8))
      let homes = Set((0..<5 as Range<UInt64>).flatMap { choose(1, idle, wish, seed: $0) })
      #expect(homes.count == 1)
      for home in homes { counts[home, default: 0] += 1 }
    }
    #expect(counts.count == 10, "\(counts)")
    #expect(counts.values.allSatisfy { (140...260).contains($0) }, "\(counts)")

    let wish = HostChoice.Wish(affinity: Array("conversation 1".utf8))
    let home = choose(1, idle, wish, seed: 1)[0]
    func withHome(_ standing: HostStanding) -> [HostID] {
      choose(1, view(hosts(10), [home: standing]), wish, seed: 1)
    }
    #expect(withHome(HostStanding(inFlight: 1)) == [home], "the others are idle, but it has slots")
    let second = withHome(HostStanding(inFlight: 4))
    #expect(second != [home])
    // If the home is removed, the key moves to the same second host.
    let without = view(hosts(10).filter { $0.id != home })
    #expect(choose(1, without, wish, seed: 7) == second)
  }

  @Test("homes are the same on every machine")
  func stableHomes() {
    let view = view(hosts(10))
    let homes = (0..<12).map {
      choose(1, view, .init(affinity: Array("key \($0)".utf8)), seed: 0)[0].name
    }
    #expect(homes == Self.homes)
  }

  private static let homes = [
    "h0", "h3", "h5", "h2", "h2", "h5", "h6", "h4", "h3", "h4", "h5", "h2",
  ]
}
