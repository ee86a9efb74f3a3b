import ClusterModel
import ClusterTesting
import RegistryCore
import Testing

@Suite("Tags, regions and draining in the registry")
struct HostSettingsTests {
  private var rng = SeededGenerator(seed: 5)
  private var hosts = HostRegistry(epoch: 3, now: .zero)

  private static let report = ProbeReport(models: [ModelOffer(id: "m")], roundTrip: .zero)

  /// Adds a host that has answered its first probe.
  private mutating func addReady(_ draft: HostDraft) throws {
    for case .probe(let order) in try hosts.add(draft, now: .zero).directives {
      _ = hosts.probed(order, .answered(Self.report), now: .zero, using: &rng)
    }
  }

  @Test("tags and region of a new host are stored and published, sorted")
  mutating func added() throws {
    let (host, directives) = try hosts.add(
      HostDraft(url: "http://h:1", tags: ["gpu", "eu", "gpu"], region: "fra-1"), now: .zero)
    #expect(host.tags == ["eu", "gpu"] && host.region == "fra-1")
    #expect(directives.contains(.persist(HostRecord(host))))
    #expect(hosts.table.hosts.first?.tags == ["eu", "gpu"])
    #expect(hosts.record(host.id)?.host.tags == ["eu", "gpu"])
  }

  @Test("tags and regions that are no names are refused, and nothing changes")
  mutating func refused() throws {
    try addReady(HostDraft(url: "http://h:1", id: "h", tags: ["gpu"]))
    let before = hosts.table
    let long = String(repeating: "t", count: 65)
    for (tags, region) in [
      (["GPU"], nil), ([""], nil), ([long], nil), ((0..<17).map { "t\($0)" }, nil), ([], "a b"),
      ([], ""),
    ] as [([String], String?)] {
      #expect(
        failureCode { () throws(Failure) in
          _ = try hosts.add(HostDraft(url: "http://x", tags: tags, region: region), now: .zero)
        } == .invalidRequest)
      let change = HostPatch(
        tags: tags, region: region.map { .value($0) } ?? .unchanged)
      #expect(
        failureCode { () throws(Failure) in _ = try hosts.patch("h", change) } == .invalidRequest)
    }
    #expect(hosts.table == before)
  }

  @Test("a change of tags or region keeps the other members, and the same values change nothing")
  mutating func patched() throws {
    try addReady(HostDraft(url: "http://h:1", id: "h", tags: ["gpu"], region: "fra-1"))
    let (host, directives) = try hosts.patch("h", HostPatch(tags: ["eu"]))
    #expect(host.tags == ["eu"] && host.region == "fra-1" && host.state == .ready)
    #expect(directives.last == .publish(hosts.table))
    #expect(try hosts.patch("h", HostPatch(tags: ["eu"], region: .value("fra-1"))).1.isEmpty)
    #expect(try hosts.patch("h", HostPatch(tags: [], region: .learned)).host.region == nil)
    #expect(hosts.host("h")?.tags == [])
  }

  @Test("a change that a probe may confirm is probed at once, with the new values")
  mutating func probedAnew() throws {
    let away = ProbeResult.failed(absent: true, reason: "401 Unauthorized")
    var order = try #require(
      hosts.add(HostDraft(url: "https://h", id: "h"), now: .zero).directives.probes.first)
    _ = hosts.probed(order, away, now: .zero, using: &rng)
    let now = Instant(sinceStart: .milliseconds(10))
    #expect(try #require(hosts.nextProbeTime) > now)
    let credential = "env:TUTTI_CREDENTIAL_KEY"
    let patch = HostPatch(credential: .value(credential))
    order = try #require(hosts.patch("h", patch, now: now).directives.probes.first)
    #expect(order.credential == credential)
    #expect(try hosts.patch("h", patch, now: now).directives.isEmpty)

    // The result of the probe under way is ignored, because the list of models changed after its
    // start.
    let named = HostPatch(models: .value(["big"]))
    let second = try #require(hosts.patch("h", named, now: now).directives.probes.first)
    #expect(hosts.probed(order, away, now: now, using: &rng).isEmpty)
    _ = hosts.probed(second, .answered(Self.report), now: now, using: &rng)
    #expect(hosts.host("h")?.models.map(\.id) == ["big"])
    #expect(try hosts.patch("h", HostPatch(tags: ["gpu"]), now: now).directives.probes.isEmpty)

    _ = try hosts.suspend("h")
    let learned = HostPatch(models: .learned)
    #expect(try hosts.patch("h", learned, now: now).directives.probes.isEmpty)
  }

  @Test("slots that an admin set can be learned from the host again")
  mutating func learnedSlots() throws {
    try addReady(HostDraft(url: "http://h:1", id: "h", slots: 9))
    #expect(hosts.host("h")?.slots == 9)
    var report = Self.report
    report.slots = 2
    let learned = HostPatch(slots: .learned)
    let now = Instant(sinceStart: .milliseconds(10))
    let (host, directives) = try hosts.patch("h", learned, now: now)
    #expect(host.slots == 9 && hosts.record("h")?.host.slots == nil)
    let probe = try #require(directives.probes.first)
    _ = hosts.probed(probe, .answered(report), now: now, using: &rng)
    #expect(hosts.host("h")?.slots == 2)
    #expect(try hosts.patch("h", learned, now: now).directives.isEmpty)
    #expect(hosts.host("h")?.slots == 2)

    _ = try hosts.suspend("h")
    _ = try hosts.patch("h", HostPatch(slots: .value(7)))
    #expect(hosts.host("h")?.slots == 7)
    #expect(try hosts.patch("h", learned).host.slots == nil)
  }

  @Test("a drained host is suspended with that reason, also after a restart")
  mutating func drained() throws {
    try addReady(HostDraft(url: "http://h:1", id: "h"))
    let (host, directives) = try hosts.drain("h")
    #expect(host.state == .suspended && host.reason == "drained by an admin")
    let record = try #require(hosts.record("h"))
    #expect(record.isDrained)
    #expect(directives == [.persist(record), .publish(hosts.table), .settled("h")])
    #expect(try hosts.drain("h").directives.isEmpty)
    #expect(try hosts.suspend("h").directives.isEmpty)
    let restored = HostRegistry(epoch: 4, restored: [record], now: .zero)
    #expect(restored.host("h")?.reason == "drained by an admin")
    #expect(restored.record("h")?.isDrained == true)
    #expect(try hosts.resume("h", now: .zero).host.reason == "")
    #expect(hosts.record("h")?.isDrained == false)
    #expect(failureCode { () throws(Failure) in _ = try hosts.drain("none") } == .hostNotFound)
  }

  @Test("a suspended host can be drained, which changes its reason only")
  mutating func drainedLater() throws {
    try addReady(HostDraft(url: "http://h:1", id: "h"))
    _ = try hosts.suspend("h")
    let (host, directives) = try hosts.drain("h")
    #expect(host.state == .suspended && host.reason == "drained by an admin")
    #expect(!directives.isEmpty)
  }

  @Test("tags take space in the host table")
  func space() throws {
    var limits = HostRegistry.Limits()
    limits.rowBytes = 500
    var small = HostRegistry(epoch: 1, limits: limits, now: .zero)
    _ = try small.add(HostDraft(url: "http://h:1", id: "h", tags: ["gpu"]), now: .zero)
    let tags = (0..<16).map { String(repeating: "t", count: 60) + "\($0)" }
    #expect(
      failureCode { () throws(Failure) in _ = try small.patch("h", HostPatch(tags: tags)) }
        == .overloaded)
    #expect(small.host("h")?.tags == ["gpu"])
  }

  @Test("the admin's list is filtered by state, tag and model")
  func filters() {
    let gpu = Host(
      id: "a", url: "http://a", state: .ready, models: [ModelOffer(id: "m")], tags: ["gpu"])
    let plain = Host(id: "b", url: "http://b", state: .suspended)
    func admitted(_ filter: HostFilter) -> [HostID] {
      [gpu, plain].filter(filter.admits).map(\.id)
    }
    #expect(admitted(HostFilter()) == ["a", "b"])
    #expect(admitted(HostFilter(state: .suspended)) == ["b"])
    #expect(admitted(HostFilter(tag: "gpu")) == ["a"])
    #expect(admitted(HostFilter(model: "m")) == ["a"])
    #expect(admitted(HostFilter(state: .suspended, tag: "gpu")).isEmpty)
  }

  @Test("a drain ends when no request is counted any more, and not before all can be counted")
  func wait() {
    let wait = DrainWait(since: at(ms: 100), limit: .seconds(5), loadComplete: .zero)
    let settled = 100 + Int(DrainWait.settling.wholeMilliseconds)
    #expect(!wait.isOver(inFlight: 0, now: at(ms: settled - 1)))
    #expect(wait.isOver(inFlight: 0, now: at(ms: settled)))
    #expect(!wait.isOver(inFlight: 1, now: at(ms: 5_099)))
    #expect(wait.isOver(inFlight: 1, now: at(ms: 5_100)))
    #expect(
      DrainWait(since: .zero, limit: .zero, loadComplete: .zero).isOver(inFlight: 3, now: .zero))
  }

  @Test("soon after the registry's start, a drain waits until all processes can have reported")
  func restart() {
    let wait = DrainWait(since: at(ms: 100), limit: .seconds(30), loadComplete: at(ms: 7_000))
    #expect(!wait.isOver(inFlight: 0, now: at(ms: 6_999)))
    #expect(wait.isOver(inFlight: 0, now: at(ms: 7_000)))
    let short = DrainWait(since: at(ms: 100), limit: .seconds(1), loadComplete: at(ms: 7_000))
    #expect(short.isOver(inFlight: 0, now: at(ms: 1_100)))
  }
}

extension [HostRegistry.Directive] {
  fileprivate var probes: [ProbeOrder] {
    compactMap { if case .probe(let order) = $0 { order } else { nil } }
  }
}
