import ClusterModel
import ClusterTesting
import RegistryCore
import Testing

@Suite("The host registry")
struct HostRegistryTests {
  private var rng = SeededGenerator(seed: 5)
  private var hosts = HostRegistry(epoch: 3, now: .zero)

  private static let report = ProbeReport(
    models: [ModelOffer(id: "m", contextTokens: 2_048)], slots: 2, version: "llama.cpp b1",
    roundTrip: .milliseconds(4))
  private static let refusal = ProbeResult.failed(absent: true, reason: "connection refused")
  private static let timeout = ProbeResult.failed(absent: false, reason: "no answer within 2 s")

  /// Adds a host; its first probe is in progress.
  private mutating func add(_ url: String = "http://h:1", now: Instant = .zero) throws -> ProbeOrder
  {
    let (_, directives) = try hosts.add(HostDraft(url: url), now: now)
    return try #require(orders(directives).first)
  }

  /// The next probe, at its due time.
  private mutating func nextOrder() throws -> ProbeOrder {
    let due = try #require(hosts.nextProbeTime)
    return try #require(orders(hosts.tick(now: due)).first)
  }

  private func orders(_ directives: [HostRegistry.Directive]) -> [ProbeOrder] {
    directives.compactMap { if case .probe(let order) = $0 { order } else { nil } }
  }

  private func published(_ directives: [HostRegistry.Directive]) -> HostTable? {
    directives.compactMap { if case .publish(let table) = $0 { table } else { nil } }.last
  }

  @Test("keeps, publishes and probes a new host at once")
  mutating func added() throws {
    let (host, directives) = try hosts.add(
      HostDraft(url: "http://127.0.0.1:8080/v1", trust: .local, slots: 3), now: at(ms: 10))
    #expect(host.id == "127.0.0.1:8080")
    #expect(host.state == .unknown)
    let order = ProbeOrder(id: 1, host: host.id, url: "http://127.0.0.1:8080")
    #expect(directives == [.persist(HostRecord(host)), .publish(hosts.table), .probe(order)])
    #expect(hosts.table.revision == 2)
    // The admin's slots take precedence over the host's report.
    let answer = hosts.probed(order, .answered(Self.report), now: at(ms: 20), using: &rng)
    let ready = try #require(hosts.host(host.id))
    #expect(answer == [.publish(hosts.table), .settled(host.id)])
    #expect(ready.state == .ready)
    #expect(ready.slots == 3)
    #expect(ready.models == Self.report.models)
    #expect(ready.version == "llama.cpp b1")
    #expect(ready.probeMilliseconds == 4)
  }

  @Test("refuses a second spelling of the same host, and a second host of one id")
  mutating func duplicates() throws {
    _ = try hosts.add(HostDraft(url: "http://127.0.0.1:1", id: "a"), now: .zero)
    let before = hosts.table
    for draft in [
      HostDraft(url: "http://127.0.0.1:1/v1/"), HostDraft(url: "http://LOCALHOST:1"),
      HostDraft(url: "http://other", id: "a"),
    ] {
      #expect(
        failureCode { () throws(Failure) in _ = try hosts.add(draft, now: .zero) } == .hostExists)
    }
    for draft in [
      HostDraft(url: "nonsense"), HostDraft(url: "http://x", id: "a/b"),
      HostDraft(url: "http://x", id: ".."), HostDraft(url: "http://x", slots: 0),
    ] {
      #expect(
        failureCode { () throws(Failure) in _ = try hosts.add(draft, now: .zero) }
          == .invalidRequest)
    }
    #expect(hosts.table == before)
  }

  @Test("asks a ready host again after about two seconds, and publishes nothing without a change")
  mutating func steady() throws {
    var order = try add()
    _ = hosts.probed(order, .answered(Self.report), now: at(ms: 0), using: &rng)
    var now = at(ms: 0)
    for _ in 0..<20 {
      let due = try #require(hosts.nextProbeTime)
      #expect((.milliseconds(1_800)...(.milliseconds(2_200))).contains(now.duration(to: due)))
      #expect(hosts.tick(now: Instant(sinceStart: due.sinceStart - .milliseconds(1))) == [])
      now = due
      order = try #require(orders(hosts.tick(now: now)).first)
      // A probe in progress is not repeated.
      #expect(hosts.tick(now: now.advanced(by: .seconds(60))) == [])
      var slower = Self.report
      slower.roundTrip = .milliseconds(9)
      #expect(
        hosts.probed(order, .answered(slower), now: now, using: &rng) == [.settled(order.host)])
    }
  }

  @Test("takes a ready host out after three silent probes, or one refused connection")
  mutating func hysteresis() throws {
    var order = try add()
    _ = hosts.probed(order, .answered(Self.report), now: at(ms: 0), using: &rng)
    for failure in 1...3 {
      order = try nextOrder()
      let directives = hosts.probed(order, Self.timeout, now: at(ms: 10_000 * failure), using: &rng)
      #expect(hosts.host("h:1")?.state == (failure < 3 ? .ready : .unreachable))
      #expect((published(directives) != nil) == (failure == 3))
    }
    #expect(hosts.host("h:1")?.reason == "no answer within 2 s")
    // One answer makes the unreachable host ready again.
    order = try nextOrder()
    _ = hosts.probed(order, .answered(Self.report), now: at(ms: 60_000), using: &rng)
    #expect(hosts.host("h:1")?.state == .ready)
    #expect(hosts.host("h:1")?.reason == "")
    order = try nextOrder()
    _ = hosts.probed(order, Self.refusal, now: at(ms: 70_000), using: &rng)
    #expect(hosts.host("h:1")?.state == .unreachable)
  }

  @Test("a host at which requests fail is asked at once, and then twice a second at most")
  mutating func doubted() throws {
    var order = try add()
    // The host's first probe is in progress, so the host's state is unknown.
    #expect(hosts.probeEarly(["h:1", "unknown"], now: at(ms: 0)) == [])
    _ = hosts.probed(order, .answered(Self.report), now: at(ms: 0), using: &rng)
    let asked = hosts.probeEarly(["h:1"], now: at(ms: 900))
    order = try #require(orders(asked).first)
    #expect(hosts.probeEarly(["h:1"], now: at(ms: 950)) == [], "it is being asked")
    _ = hosts.probed(order, .answered(Self.report), now: at(ms: 1_000), using: &rng)
    #expect(hosts.probeEarly(["h:1"], now: at(ms: 1_100)) == [])
    #expect(hosts.nextProbeTime == at(ms: 1_500))
    order = try #require(orders(hosts.tick(now: at(ms: 1_500))).first)
    _ = hosts.probed(order, Self.refusal, now: at(ms: 1_500), using: &rng)
    #expect(hosts.host("h:1")?.state == .unreachable)
    // An unreachable host is probed only at its due time.
    let due = hosts.nextProbeTime
    #expect(hosts.probeEarly(["h:1"], now: at(ms: 1_501)) == [] && hosts.nextProbeTime == due)
  }

  @Test("asks an unreachable host less and less often, up to ten seconds")
  mutating func backOff() throws {
    var order = try add()
    var now = at(ms: 0)
    var pauses: [Double] = []
    for _ in 0..<9 {
      _ = hosts.probed(order, Self.refusal, now: now, using: &rng)
      let due = try #require(hosts.nextProbeTime)
      pauses.append(now.duration(to: due).inSeconds)
      now = due
      order = try #require(orders(hosts.tick(now: now)).first)
    }
    for (pause, nominal) in zip(pauses, [1, 2, 4, 8, 10, 10, 10, 10, 10]) {
      #expect(abs(pause / Double(nominal) - 1) <= 0.2001, "\(pauses)")
    }
    _ = hosts.probed(order, .answered(Self.report), now: now, using: &rng)
    order = try #require(orders(hosts.tick(now: now.advanced(by: .seconds(3)))).first)
    now = now.advanced(by: .seconds(3))
    _ = hosts.probed(order, Self.refusal, now: now, using: &rng)
    #expect(now.duration(to: try #require(hosts.nextProbeTime)) < .milliseconds(1_201))
  }

  @Test("a host that lists no model is not ready")
  mutating func empty() throws {
    let order = try add()
    _ = hosts.probed(
      order, .answered(ProbeReport(models: [], roundTrip: .zero)), now: at(ms: 1), using: &rng)
    #expect(hosts.host("h:1")?.state == .unreachable)
    #expect(hosts.host("h:1")?.reason.contains("no model") == true)
  }

  @Test("a host that is a gateway offers its models but not its patterns")
  mutating func gateway() throws {
    let order = try add()
    let names = ["m", "tutti/fast", "tutti/ensemble"].map { ModelOffer(id: ModelID($0)) }
    _ = hosts.probed(
      order, .answered(ProbeReport(models: names, roundTrip: .zero)), now: at(ms: 1), using: &rng)
    let host = try #require(hosts.host(order.host))
    #expect(host.models.map(\.id) == ["m"] && host.state == .ready)
    #expect(host.reason.contains("a gateway itself"), "\(host.reason)")
    // A host that lists only patterns offers no usable model.
    hosts = HostRegistry(epoch: 4, now: .zero)
    let patterns = ProbeReport(models: Array(names.dropFirst()), roundTrip: .zero)
    _ = hosts.probed(try add(), .answered(patterns), now: at(ms: 1), using: &rng)
    #expect(hosts.host("h:1")?.state == .unreachable)
    #expect(hosts.host("h:1")?.reason.contains("no model") == true)
  }

  @Test("a suspended host is not asked, and an answer under way has no effect")
  mutating func suspended() throws {
    let order = try add()
    let (host, directives) = try hosts.suspend("h:1")
    #expect(host.state == .suspended)
    #expect(directives == [.persist(HostRecord(host)), .publish(hosts.table), .settled("h:1")])
    #expect(try hosts.suspend("h:1").directives == [])
    let before = hosts.table
    #expect(hosts.probed(order, .answered(Self.report), now: at(ms: 9), using: &rng) == [])
    #expect(hosts.table == before)
    #expect(hosts.nextProbeTime == nil)
    let resumed = try hosts.resume("h:1", now: at(ms: 50))
    #expect(resumed.host.state == .unknown)
    #expect(orders(resumed.directives).map(\.host) == ["h:1"])
    #expect(orders(resumed.directives).first != order)
    #expect(try hosts.resume("h:1", now: at(ms: 50)).directives == [])
  }

  @Test("a removed host is forgotten, and its id and place are free again")
  mutating func removed() throws {
    let order = try add()
    #expect(try hosts.remove("h:1") == [.forget("h:1"), .publish(hosts.table), .settled("h:1")])
    #expect(hosts.table.hosts == [])
    #expect(hosts.probed(order, .answered(Self.report), now: at(ms: 1), using: &rng) == [])
    #expect(failureCode { () throws(Failure) in _ = try hosts.remove("h:1") } == .hostNotFound)
    #expect(try add().host == "h:1")
  }

  @Test("a patch changes what it names, and only that")
  mutating func patched() throws {
    let order = try add()
    _ = hosts.probed(order, .answered(Self.report), now: at(ms: 0), using: &rng)
    let (host, directives) = try hosts.patch("h:1", HostPatch(tier: .fallback, trust: .trusted))
    #expect(host.tier == .fallback)
    #expect(host.trust == .trusted)
    #expect(host.price == nil)
    var kept = host
    // The slots come from the host's report, because the admin never set them.
    kept.slots = nil
    #expect(directives == [.persist(HostRecord(kept)), .publish(hosts.table)])
    #expect(try hosts.patch("h:1", HostPatch(tier: .fallback)).directives == [])
    #expect(
      failureCode { () throws(Failure) in
        _ = try hosts.patch("h:1", HostPatch(slots: .value(70_000)))
      } == .invalidRequest)
    #expect(
      failureCode { () throws(Failure) in _ = try hosts.patch("x", HostPatch()) } == .hostNotFound)
  }

  @Test("the dialect and the way of resuming are learned unless an admin set them")
  mutating func traits() throws {
    var order = try add()
    #expect(order.dialect == nil)
    var report = Self.report
    report.dialect = .ollama
    report.resume = .trailingAssistant
    _ = hosts.probed(order, .answered(report), now: at(ms: 0), using: &rng)
    #expect(hosts.host("h:1")?.dialect == .ollama)
    #expect(hosts.host("h:1")?.resume == .trailingAssistant)

    let patch = HostPatch(
      dialect: .value(.openai), resume: .value(.instruct),
      credential: .value("env:TUTTI_CREDENTIAL_KEY"), allowsPlainHTTP: true)
    let (host, directives) = try hosts.patch("h:1", patch)
    let credential = "env:TUTTI_CREDENTIAL_KEY"
    #expect(host.dialect == .openai && host.resume == .instruct && host.credential == credential)
    var kept = host
    kept.slots = nil
    #expect(
      directives.first == .persist(HostRecord(kept, dialect: .openai, resume: .instruct)))
    order = try nextOrder()
    #expect(order.dialect == .openai && order.credential == credential)
    _ = hosts.probed(order, .answered(report), now: at(ms: 5_000), using: &rng)
    #expect(hosts.host("h:1")?.dialect == .openai)

    let back = HostPatch(dialect: .learned, resume: .learned, credential: .learned)
    #expect(try hosts.patch("h:1", back).host.credential == nil)
    order = try nextOrder()
    _ = hosts.probed(order, .answered(report), now: at(ms: 9_000), using: &rng)
    #expect(hosts.host("h:1")?.dialect == .ollama)
  }

  @Test("a credential is a reference, and what is none is not repeated")
  mutating func credentials() throws {
    for good in ["env:OPENAI_API_KEY", "env:_x1", "file:/run/secrets/key"] {
      #expect(try CredentialReference(good).description == good)
    }
    for bad in [
      "sk-secret", "env:", "env:1A", "env:A-B", "file:relative", "file:/", "env:A\nB", "",
    ] {
      do throws(Failure) {
        _ = try hosts.add(HostDraft(url: "http://x", credential: bad), now: .zero)
        Issue.record("accepted \(bad)")
      } catch {
        #expect(error.code == .invalidRequest)
        #expect(!error.message.contains("sk-secret"))
      }
    }
  }

  @Test("only variables with the prefix and files below the folder are followed")
  func credentialRules() throws {
    let rules = CredentialRules(prefix: "KEYS_", folder: "/data/credentials")
    for good in ["env:KEYS_A", "file:/data/credentials/a", "file:/data/credentials/b/c"] {
      try rules.check(CredentialReference(good))
    }
    for bad in [
      "env:KEYS_", "env:OPENAI_API_KEY", "env:TUTTI_ADMIN_TOKEN", "file:/etc/shadow",
      "file:/data/credentials", "file:/data/credentials-2/a", "file:/data/credentials/../token",
    ] {
      do throws(Failure) {
        try rules.check(CredentialReference(bad))
        Issue.record("accepted \(bad)")
      } catch {
        #expect(error.code == .invalidRequest && error.message.contains("cluster.credentials_"))
      }
    }
    // Without a credentials folder no file is read.
    #expect(throws: Failure.self) { try CredentialRules().check(CredentialReference("file:/x/y")) }
  }

  @Test("a credential goes unencrypted to another machine only if an admin allows it")
  mutating func plainHTTP() throws {
    let credential = "env:TUTTI_CREDENTIAL_A"
    for url in ["http://10.0.0.7:8000", "http://127.evil.example", "http://localhost.example"] {
      do throws(Failure) {
        _ = try hosts.add(HostDraft(url: url, credential: credential), now: .zero)
        Issue.record("accepted \(url)")
      } catch {
        #expect(error.code == .invalidRequest && error.message.contains("allow_plain_http"))
      }
      #expect(hosts.table.hosts.isEmpty)
    }
    for (id, url) in [
      ("a", "http://localhost:1"), ("b", "http://127.0.0.9:1"), ("c", "http://[::1]:1"),
      ("d", "https://x"),
    ] {
      _ = try hosts.add(
        HostDraft(url: url, id: HostID(id), credential: credential), now: .zero)
    }
    _ = try hosts.add(
      HostDraft(url: "http://x:1", id: "e", credential: credential, allowsPlainHTTP: true),
      now: .zero)
    _ = try hosts.add(HostDraft(url: "http://y:1", id: "f"), now: .zero)
    #expect(
      failureCode { () throws(Failure) in
        _ = try hosts.patch("f", HostPatch(credential: .value(credential)))
      } == .invalidRequest)
    #expect(hosts.host("f")?.credential == nil)
  }

  @Test("restored hosts are unknown until they are asked, suspended ones stay so")
  func restored() {
    var hosts = HostRegistry(
      epoch: 1,
      restored: [
        HostRecord(
          Host(
            id: "b", url: "http://b:1", state: .ready, models: [ModelOffer(id: "m")], slots: 4)),
        HostRecord(Host(id: "a", url: "http://a:1", state: .suspended)),
      ], now: at(ms: 5))
    #expect(hosts.table.hosts.map(\.state) == [.unknown, .suspended])
    #expect(hosts.table.hosts.map(\.models) == [[], []])
    #expect(orders(hosts.tick(now: at(ms: 5))).map(\.host) == ["b"])
    #expect(hosts.countByState == [.unknown: 1, .suspended: 1, .ready: 0, .unreachable: 0])
  }

  @Test("has limits: hosts, probes at once, models of a host, bytes of the table")
  mutating func limits() throws {
    var limits = HostRegistry.Limits()
    limits.hosts = 5
    limits.probesAtOnce = 2
    limits.modelsPerHost = 3
    limits.offerBytes = 100
    limits.guaranteedOfferBytes = 0
    hosts = HostRegistry(epoch: 1, limits: limits, now: .zero)
    var underWay: [ProbeOrder] = []
    for port in 1...5 {
      underWay += orders(
        try hosts.add(HostDraft(url: "http://h:\(port)"), now: at(ms: port)).directives)
    }
    #expect(underWay.map(\.host) == ["h:1", "h:2"])
    #expect(
      failureCode { () throws(Failure) in
        _ = try hosts.add(HostDraft(url: "http://h:6"), now: .zero)
      } == .overloaded)
    // An id of 10 bytes is charged as 26. So the three models of one host fill the table of 100
    // bytes.
    let many = (0..<9).map { ModelOffer(id: ModelID("model-\($0)-xx".prefix(10).description)) }
    let report = ProbeReport(models: many + many, roundTrip: .zero)
    underWay += orders(hosts.probed(underWay[0], .answered(report), now: at(ms: 9), using: &rng))
    #expect(hosts.host("h:1")?.models.count == 3)
    #expect(hosts.host("h:1")?.state == .ready)
    #expect(hosts.host("h:1")?.reason.hasPrefix("6 of its models are left out") == true)
    #expect(underWay.map(\.host) == ["h:1", "h:2", "h:3"])
    _ = hosts.probed(underWay[1], .answered(report), now: at(ms: 9), using: &rng)
    #expect(hosts.host("h:2")?.models.count == 0)
    _ = try hosts.remove("h:1")
    let order = underWay[2]
    _ = hosts.probed(order, .answered(report), now: at(ms: 10_000), using: &rng)
    #expect(hosts.host(order.host)?.models.count == 3)
  }

  @Test("never has more probes under way than allowed, nor forgets a host", arguments: 1...20)
  func invariant(_ seed: UInt64) throws {
    var rng = SeededGenerator(seed: seed)
    var limits = HostRegistry.Limits()
    limits.probesAtOnce = 3
    var hosts = HostRegistry(epoch: 1, limits: limits, now: .zero)
    var underWay: [ProbeOrder] = []
    var published = hosts.table
    var now = 0
    for step in 0..<500 {
      now += Int.random(in: 0...700, using: &rng)
      let id = HostID("h:\(Int.random(in: 1...8, using: &rng))")
      var directives: [HostRegistry.Directive] = []
      switch Int.random(in: 0..<12, using: &rng) {
      case 0, 1:
        directives =
          (try? hosts.add(HostDraft(url: "http://\(id)"), now: at(ms: now)).directives) ?? []
      case 2: directives = (try? hosts.suspend(id).directives) ?? []
      case 3: directives = (try? hosts.resume(id, now: at(ms: now)).directives) ?? []
      case 4: directives = (try? hosts.remove(id)) ?? []
      case 5..<10 where !underWay.isEmpty:
        let order = underWay.remove(at: Int.random(in: 0..<underWay.count, using: &rng))
        let result: ProbeResult =
          switch Int.random(in: 0..<4, using: &rng) {
          case 0: Self.refusal
          case 1: Self.timeout
          default: .answered(Self.report)
          }
        directives = hosts.probed(order, result, now: at(ms: now), using: &rng)
      default: directives = hosts.tick(now: at(ms: now))
      }
      underWay += orders(directives)
      if let table = self.published(directives) { published = table }
      // At most three of the probes count. The hosts of the others were removed or suspended.
      try #require(underWay.count <= 3 + 8, "seed \(seed) step \(step)")
      var plain = hosts.table
      for index in plain.hosts.indices { plain.hosts[index].probeMilliseconds = nil }
      for index in published.hosts.indices { published.hosts[index].probeMilliseconds = nil }
      try #require(published == plain, "seed \(seed) step \(step)")
    }
    // Once every probe is answered, every host that is not suspended becomes ready.
    for round in 0..<20 {
      now += 40_000
      underWay += orders(hosts.tick(now: at(ms: now)))
      for order in underWay {
        underWay = orders(
          hosts.probed(order, .answered(Self.report), now: at(ms: now), using: &rng))
        while let next = underWay.popLast() {
          underWay += orders(
            hosts.probed(next, .answered(Self.report), now: at(ms: now), using: &rng))
        }
      }
      if hosts.table.hosts.allSatisfy({ $0.state == .ready || $0.state == .suspended }) { return }
      try #require(round < 19, "seed \(seed): \(hosts.table.hosts)")
    }
  }
}
