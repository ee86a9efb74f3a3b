import ClusterModel
import ClusterTesting
import Limits
import Testing

@testable import RegistryCore

/// Checks that reports to the registry are bounded in bytes.
///
/// No host or process may use up the share of the others.
@Suite("Bounds on what the registry is told")
struct RegistryBoundsTests {
  private var rng = SeededGenerator(seed: 3)

  private func models(_ count: Int, bytes: Int, from first: Int = 0) -> [ModelOffer] {
    (first..<first + count).map { index in
      let start = "m\(index)-"
      return ModelOffer(
        id: ModelID(start + String(repeating: "x", count: max(0, bytes - start.utf8.count))))
    }
  }

  /// Adds a host whose first probe returns these models.
  @discardableResult
  private mutating func add(
    _ id: HostID, _ models: [ModelOffer], version: String? = nil, to hosts: inout HostRegistry
  ) throws -> Host {
    let added = try hosts.add(HostDraft(url: "http://\(id)", id: id), now: .zero)
    for case .probe(let order) in added.directives {
      _ = hosts.probed(
        order, .answered(ProbeReport(models: models, version: version, roundTrip: .zero)),
        now: .zero, using: &rng)
    }
    return try #require(hosts.host(id))
  }

  @Test("a version of one letter with many marks is cut at a border of UTF-8")
  mutating func version() throws {
    var hosts = HostRegistry(epoch: 1, now: .zero)
    let host = try add(
      "h", models(1, bytes: 4), version: "é" + String(repeating: "\u{301}", count: 900_000),
      to: &hosts)
    #expect(try #require(host.version).utf8.count <= 100)
    #expect(host.version?.hasSuffix("\u{FFFD}") == false)
  }

  @Test("why a host is unreachable is cut, too")
  mutating func reason() throws {
    var hosts = HostRegistry(epoch: 1, now: .zero)
    let added = try hosts.add(HostDraft(url: "http://h", id: "h"), now: .zero)
    for case .probe(let order) in added.directives {
      let long = "a" + String(repeating: "\u{301}", count: 100_000)
      _ = hosts.probed(order, .failed(absent: true, reason: long), now: .zero, using: &rng)
    }
    #expect(hosts.host("h")?.reason.utf8.count ?? .max <= Limits.hostReasonBytes.value)
  }

  @Test(
    "hosts that change with each probe cause few publications, and the last change is published")
  mutating func flapping() throws {
    var hosts = HostRegistry(epoch: 1, now: .zero)
    for number in 0..<50 { try add(HostID("h\(number)"), models(1, bytes: 4), to: &hosts) }
    var publications = 0
    var published = hosts.table
    let seconds = 60
    for tenth in 0..<(10 * seconds) {
      let now = Instant.zero.advanced(by: .milliseconds(100 * (tenth + 100)))
      var directives = hosts.tick(now: now)
      var index = 0
      while index < directives.count {
        if case .publish(let table) = directives[index] {
          publications += 1
          published = table
        }
        if case .probe(let order) = directives[index] {
          let report = ProbeReport(
            models: models(1 + tenth % 3, bytes: 8), version: "v\(tenth)", roundTrip: .zero)
          directives += hosts.probed(order, .answered(report), now: now, using: &rng)
        }
        index += 1
      }
    }
    // The hosts change 25 times per second.
    let most = Limits.publications.value + 1_000 * seconds / Limits.publicationPause.value + 1
    #expect(publications <= most)
    #expect(published.hosts.count == 50)
    let later = Instant.zero.advanced(by: .seconds(1_000))
    for case .publish(let table) in hosts.tick(now: later) { published = table }
    #expect(published == hosts.table)
  }

  @Test("only names that are too long are left out, and the host's reason says so")
  mutating func names() throws {
    var hosts = HostRegistry(epoch: 1, now: .zero)
    let long = ModelOffer(id: ModelID("a" + String(repeating: "\u{301}", count: 400_000)))
    let host = try add(
      "h", [long] + models(2, bytes: 256) + models(1, bytes: 257, from: 9), to: &hosts)
    #expect(host.models.count == 2 && host.state == .ready)
    #expect(host.reason.hasPrefix("2 of its models are left out"))
  }

  @Test("hosts with long lists leave room for every other host, also for one that comes later")
  mutating func fair() throws {
    var limits = HostRegistry.Limits()
    limits.offerBytes = 10_000
    limits.hostOfferBytes = 6_000
    limits.guaranteedOfferBytes = 200
    var hosts = HostRegistry(epoch: 1, limits: limits, now: .zero)
    let big = try add("big", models(500, bytes: 84), to: &hosts)
    #expect(big.models.count == 60)
    try add("big2", models(500, bytes: 84), to: &hosts)
    for number in 0..<20 {
      let small = try add(HostID("small-\(number)"), models(2, bytes: 84), to: &hosts)
      #expect(small.models.count == 2, "\(number)")
      let total = hosts.table.hosts.flatMap(\.models).reduce(0) { $0 + $1.id.name.utf8.count + 16 }
      #expect(total <= limits.offerBytes, "\(total)")
    }
    let trimmed = try #require(hosts.host("big"))
    #expect(trimmed.models.count < 60 && !trimmed.reason.isEmpty)
    // The trimming is not permanent. After the other hosts are removed, the host lists as many
    // models as before.
    for number in 0..<20 { _ = try hosts.remove(HostID("small-\(number)")) }
    _ = try hosts.remove("big2")
    let due = try #require(hosts.nextProbeTime)
    for case .probe(let order) in hosts.tick(now: due) where order.host == "big" {
      let report = ProbeReport(models: models(500, bytes: 84), roundTrip: .zero)
      _ = hosts.probed(order, .answered(report), now: due, using: &rng)
    }
    #expect(hosts.host("big")?.models.count == 60)
  }

  @Test("hosts whose addresses would make the table too large are refused by name of the limit")
  func rows() throws {
    var limits = HostRegistry.Limits()
    limits.rowBytes = 3 * (HostRegistry.reservedRowBytes + 40)
    var hosts = HostRegistry(epoch: 1, limits: limits, now: .zero)
    for number in 0..<3 {
      _ = try hosts.add(HostDraft(url: "http://h\(number)", id: HostID("h\(number)")), now: .zero)
    }
    #expect(throws: Failure.self) {
      _ = try hosts.add(HostDraft(url: "http://h9", id: "h9"), now: .zero)
    }
    #expect(throws: Failure.self) {
      _ = try hosts.patch(
        "h0", HostPatch(credential: .value("file:/" + String(repeating: "p", count: 900))))
    }
    #expect(hosts.host("h0")?.credential == nil)
    _ = try hosts.remove("h1")
    _ = try hosts.add(HostDraft(url: "http://h9", id: "h9"), now: .zero)
  }

  @Test(
    "the work for a list grows with its bytes and not faster",
    arguments: [1, 40, 256, 5_000], [50, 400])
  func linear(_ bytes: Int, _ count: Int) {
    func work(_ count: Int) -> Int {
      HostRegistry.select(models(count, bytes: bytes), count: 1_000, room: 64 << 10).work
    }
    #expect(Double(work(2 * count)) <= 2.2 * Double(work(count)))
  }

  @Test("a process cannot fill the load table with unregistered hosts or huge numbers")
  func load() throws {
    var loads = LoadAggregator(epoch: 1)
    let peer = PeerID(name: "p", incarnation: 1)
    let first = loads.makeTableIfDue(probeAges: [("h", nil)], now: .zero)
    #expect(first != nil)
    for sequence in 1...3 as ClosedRange<UInt64> {
      let strangers = (0..<2_000).map {
        HostLoadReport(host: HostID("s\($0)"), inFlight: .max, trips: .max, isOpen: true)
      }
      loads.report(
        LoadReport(
          sequence: sequence,
          hosts: strangers + [
            HostLoadReport(host: "h", inFlight: .max, answered: .max, trips: .max)
          ]
        ), from: peer, now: .zero)
    }
    let second = loads.makeTableIfDue(
      probeAges: [("h", nil), ("s1", nil)], now: Instant(sinceStart: .seconds(1)))
    let table = try #require(second)
    #expect(table.hosts.map(\.inFlight) == [Limits.hostSlots.value, 0])
    #expect(table.hosts.map(\.openBreakers) == [0, 0])
    #expect(loads.trips == .max)
  }

  @Test("context sizes that a host invents are numbers that can be counted with")
  func context() {
    var entry = ModelListing.Entry(id: "m")
    for (told, kept) in [(Int.max, Usage.mostTokens), (0, nil), (-5, nil), (4_096, 4_096)] {
      entry.contextTokens = told
      let listing = ModelListing(entries: [entry])
      #expect(listing.offers(contextTokens: nil).map(\.contextTokens) == [kept])
    }
  }

  @Test("publications after the first have only the changed hosts")
  mutating func publications() throws {
    var hosts = HostRegistry(epoch: 1, now: .zero)
    for number in 0..<8 { try add(HostID("h\(number)"), models(2, bytes: 8), to: &hosts) }
    var publications = HostPublications()
    let first = hosts.table
    #expect(publications.next(first) == .table(first))
    try add("late", models(1, bytes: 8), to: &hosts)
    let second = hosts.table
    guard case .changes(let changes) = publications.next(second) else {
      Issue.record("the second publication is a whole table")
      return
    }
    #expect(changes.changed.map(\.id) == ["late"] && changes.removed.isEmpty)
    #expect(first.applying(changes) == second)
    #expect(publications.next(first) == nil)
    let unchanged = HostChanges(
      epoch: 1, base: second.revision, revision: second.revision, changed: [], removed: [])
    #expect(publications.next(second) == .changes(unchanged))
  }

  @Test("the table for one process is the one that the next changes apply to")
  mutating func whole() throws {
    var hosts = HostRegistry(epoch: 1, now: .zero)
    try add("a", models(1, bytes: 8), to: &hosts)
    var publications = HostPublications()
    #expect(publications.whole(hosts.table) == hosts.table)
    _ = publications.next(hosts.table)
    try add("b", models(1, bytes: 8), to: &hosts)
    var feed = HostTableFeed()
    feed.answered(publications.whole(hosts.table))
    guard case .changes(let changes) = publications.next(hosts.table) else {
      Issue.record("the second publication is a whole table")
      return
    }
    #expect(feed.published(changes) == .none)
    #expect(feed.table == hosts.table)
  }
}
