import ClusterModel
import ClusterTesting
import InferenceCore
import Testing

private let one = ClientFingerprint(tag: "one")
private let other = ClientFingerprint(tag: "other")

/// One client's failing requests must exclude a host only for that client.
@Suite("Clients whose own requests fail at a host")
struct ClientBlameTests {
  private var statistics: HostStatistics = {
    var statistics = HostStatistics(own: PeerID(name: "gateway", incarnation: 1), seed: 1)
    statistics.adopt(
      HostTable(
        epoch: 1, revision: 1,
        hosts: [Host(id: "h", url: "http://h", state: .ready, models: [.init(id: "m")])]),
      now: .zero)
    return statistics
  }()

  private mutating func fail(
    _ client: ClientFingerprint?, _ kind: AttemptFailure.Kind = .stall, at now: Double
  ) {
    statistics.observe(
      .began(promptTokens: 1), of: "h", for: client, started: at(now), now: at(now))
    statistics.observe(
      .failed(AttemptFailure(kind, ""), answered: false), of: "h", for: client, started: at(now),
      now: at(now))
  }

  private mutating func answer(_ client: ClientFingerprint, at now: Double) {
    statistics.observe(
      .began(promptTokens: 1), of: "h", for: client, started: at(now), now: at(now))
    statistics.observe(.firstToken, of: "h", for: client, started: at(now), now: at(now))
    statistics.observe(.ended, of: "h", for: client, started: at(now), now: at(now))
  }

  private mutating func admits(_ client: ClientFingerprint?, at now: Double) -> Bool {
    let view = statistics.view(now: at(now))
    return !Eligibility(
      model: "m", constraints: InferenceConstraints(client: client, seed: 1), view: view
    ).isEmpty
  }

  @Test(
    "whatever a request can cause, one client's failures close the host to it alone",
    arguments: [
      AttemptFailure.Kind.stall, .lost, .lostBeforeHead, .garbage, .cut, .errorEvent, .status,
      .firstTokenDeadline, .crawl,
    ])
  mutating func alone(_ kind: AttemptFailure.Kind) {
    for index in 0..<100 { fail(one, kind, at: Double(index) / 100) }
    let (own, others, unknown) = (admits(one, at: 1), admits(other, at: 1), admits(nil, at: 1))
    #expect(!own && others && unknown)
    let report = statistics.report(now: at(1))
    #expect(report?.hosts.map(\.isOpen) == [false])
    #expect(report?.hosts.map(\.failed) == [3])
    #expect(report?.hosts.map(\.trips) == [0])
  }

  @Test("two clients whose requests fail open the breaker for all")
  mutating func two() {
    for index in 0..<6 { fail(index % 2 == 0 ? one : other, at: Double(index) / 100) }
    let third = admits(ClientFingerprint(tag: "third"), at: 0.1)
    #expect(!third)
    let report = statistics.report(now: at(0.5))
    #expect(report?.hosts.map(\.isOpen) == [true])
  }

  @Test("a refused connection is no client's doing and counts at once")
  mutating func connect() {
    for index in 0..<5 { fail(one, .connect, at: Double(index) / 100) }
    let others = admits(other, at: 0.1)
    #expect(!others)
  }

  @Test("a client to which a host is closed tries again, soon and then less often")
  mutating func again() {
    for index in 0..<5 { fail(one, at: Double(index) / 100) }
    let (closed, open) = (admits(one, at: 1), admits(one, at: 1.1))
    #expect(!closed && open)
    fail(one, at: 1.1)
    let (still, later) = (admits(one, at: 3), admits(one, at: 3.2))
    #expect(!still && later)
    answer(one, at: 3.2)
    for index in 0..<4 { fail(one, at: 4 + Double(index) / 100) }
    let forgiven = admits(one, at: 4.1)
    #expect(forgiven, "an answer begins the row anew")
  }

  @Test("one client's failures among the answers of others do not lower a host's standing for long")
  mutating func share() throws {
    for index in 0..<60 {
      fail(one, at: Double(index))
      answer(other, at: Double(index) + 0.5)
    }
    let standing = try #require(statistics.standing(of: "h", now: at(60)))
    #expect(standing.errorRate < 0.1, "\(standing.errorRate)")
    #expect(standing.breaker == .closed)
  }

  @Test("a breaker that is open for good reason is not kept open by one client's requests")
  mutating func probing() {
    for index in 0..<5 { fail(nil, .connect, at: Double(index) / 100) }
    // Whenever the breaker admits a request, client `one` is first, and its request fails. After
    // some failures, those of `one` no longer count, and another client's request may pass.
    var now = 2.0
    for _ in 0..<3 {
      fail(one, at: now)
      now += 10
    }
    fail(one, at: now)
    let others = admits(other, at: now + 0.01)
    #expect(others)
    answer(other, at: now + 0.01)
    let standing = statistics.standing(of: "h", now: at(now + 1))
    #expect(standing?.breaker == .closed)
  }

  @Test("a client's own deadline leaves an unmeasured host unmeasured and without fault")
  mutating func deadline() throws {
    for index in 0..<20 {
      let now = Double(index) / 10
      statistics.observe(
        .began(promptTokens: 1), of: "h", for: one, started: at(now), now: at(now))
      statistics.observe(
        .withdrawn(answered: false), of: "h", for: one, started: at(now), now: at(now + 0.001))
    }
    let standing = try #require(statistics.standing(of: "h", now: at(3)))
    #expect(standing.firstTokenP95 == nil && standing.errorRate == 0)
    let own = admits(one, at: 3)
    #expect(own)
    // The host still has the timeouts of an unknown host.
    #expect(HostPatience(for: standing, now: at(3)).firstToken == .seconds(60))
  }

  @Test("a run with a deadline of 1 ms blames no host")
  func hurried() throws {
    let cluster = FixedCluster([
      Host(id: "h", url: "http://h", state: .ready, models: [.init(id: "m")])
    ])
    for deadlines in [
      Deadlines(firstToken: .milliseconds(1)), Deadlines(total: .milliseconds(1)),
    ] {
      var run = InferenceRun(
        request: InferenceRequest(
          endpoint: .chatCompletions, model: "m", body: conversation, stream: true,
          trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1))),
        constraints: InferenceConstraints(
          race: .single, deadlines: deadlines, client: one, seed: 1))
      _ = run.begin(cluster, now: .zero)
      let over = run.tick(cluster: cluster, now: at(0.001))
      #expect(lastFailure(over)?.code == .deadlineExceeded)
      let blamed = over.contains {
        guard case .observe(_, .failed(let failure, _), _) = $0 else { return false }
        return failure.kind != .totalDeadline
      }
      #expect(!blamed)
    }
  }

  @Test("memory about clients is bounded, however many there are")
  mutating func bounded() {
    for index in 0..<10_000 {
      let client = ClientFingerprint(UInt64(index))
      for _ in 0..<2 { fail(client, at: Double(index)) }
    }
    // Failures of many clients mean that the host is down.
    let others = admits(other, at: 10_000)
    #expect(!others)
  }
}
