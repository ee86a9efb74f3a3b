import Access
import ClusterModel
import MonitorCore
import Testing

@Suite("Rights to read the monitor's records")
struct MonitorRightsTests {
  private let own: KeyID
  private let other: KeyID

  init() throws {
    own = try #require(KeyID("abcdefghij23"))
    other = try #require(KeyID("zyxwvutsrq76"))
  }

  private func record(_ scopes: Set<AccessScope>) throws -> KeyRecord {
    KeyRecord(
      id: own, name: "test", account: try #require(AccountPath("acme")),
      hash: KeyHash(
        of: try #require(APIKey(random: Array(repeating: 1, count: APIKey.randomByteCount))),
        pepper: try #require(KeyPepper(0..<32))), scopes: scopes)
  }

  private func request(of key: String) -> RequestRecord {
    RequestRecord(
      trace: TraceID(high: 1, low: 2), timeUnixMicroseconds: 1, key: key, endpoint: "/v1",
      model: "m", pattern: "direct", stream: false, status: 200, totalMilliseconds: 1)
  }

  @Test("a cluster without keys and a key with the scope logs read all records")
  func all() throws {
    #expect(try RecordAccess(nil) == .all)
    #expect(try RecordAccess(try record([.logs])) == .all)
    #expect(try RecordAccess(try record([.logs, .chat])) == .all)
  }

  @Test(
    "a client's key reads its own records",
    arguments: [AccessScope.chat, .embeddings, .plans])
  func ownRecords(_ scope: AccessScope) throws {
    #expect(try RecordAccess(try record([scope])) == .own(own))
  }

  @Test(
    "a key that makes no requests and lacks the scope logs reads nothing",
    arguments: [[], [.metrics], [.adminRead, .adminWrite]] as [Set<AccessScope>])
  func none(_ scopes: Set<AccessScope>) throws {
    let record = try record(scopes)
    let failure = #expect(throws: Failure.self) { try RecordAccess(record) }
    #expect(failure?.code == .permissionDenied)
  }

  @Test("a client's key lists its own requests, whether it names itself or no key")
  func lists() throws {
    let access = RecordAccess.own(own)
    #expect(try access.key(named: nil) == own)
    #expect(try access.key(named: own) == own)
    let failure = #expect(throws: Failure.self) { try access.key(named: other) }
    #expect(failure?.code == .permissionDenied)
    #expect(try RecordAccess.all.key(named: nil) == nil)
    #expect(try RecordAccess.all.key(named: other) == other)
  }

  @Test("a client's key reads a trace only if all its requests are its own")
  func traces() {
    let access = RecordAccess.own(own)
    let (mine, foreign) = (request(of: "\(own)"), request(of: "\(other)"))
    #expect(access.permits(traceOf: [mine]))
    #expect(!access.permits(traceOf: [foreign]))
    #expect(!access.permits(traceOf: [mine, foreign]))
    #expect(!access.permits(traceOf: [request(of: "")]))
    #expect(!access.permits(traceOf: []))
    #expect(RecordAccess.all.permits(traceOf: [foreign]))
    #expect(RecordAccess.all.permits(traceOf: []))
  }

  @Test("the hosts' costs need the scope logs, and the client's own charge does not")
  func costs() {
    var request = request(of: "\(own)")
    request.cost = CreditAmount(millionths: 5)
    request.hostCost = CreditAmount(millionths: 3)
    request.shares = [
      HostShare(
        host: "a", model: "m", promptTokens: 1, completionTokens: 2,
        cost: CreditAmount(millionths: 3))
    ]
    let span = SpanRecord(
      trace: request.trace, span: SpanID(1), parent: .none, service: "gateway", name: "accounting",
      startUnixMicroseconds: 0, durationMicroseconds: 0,
      attributes: [Attribute("cost", "0.000005"), Attribute("host_cost", "0.000003")])
    #expect(RecordAccess.all.visible([request]) == [request])
    #expect(RecordAccess.all.visible([span]) == [span])
    let seen = RecordAccess.own(own).visible([request])
    #expect(seen.map(\.cost) == [request.cost] && seen.map(\.hostCost) == [nil])
    #expect(seen.flatMap(\.shares).map(\.cost) == [nil])
    #expect(seen.flatMap(\.shares).map(\.totalTokens) == [3])
    let attributes = RecordAccess.own(own).visible([span]).flatMap(\.attributes)
    #expect(attributes == [Attribute("cost", "0.000005")])
    // The choice between hosts names their prices.
    var answered = span
    answered.attributes = AttemptFacts.attributes([
      AttemptFacts(
        host: "a", role: "first", outcome: "answered", started: .zero, ended: .zero,
        chosen: "cheapest of 2 equal hosts (0.15/0.6; others state no price)")
    ])
    let facts = AttemptFacts.all(
      in: RecordAccess.own(own).visible([answered]).flatMap(\.attributes))
    #expect(facts.map(\.chosen) == ["cheapest of 2 equal hosts"])
  }

  @Test("a period begins at midnight, and today is its last day")
  func period() {
    let day: UInt64 = 86_400_000_000
    let noon = 20_000 * day + day / 2
    #expect(UsagePeriod(days: 1, nowUnixMicroseconds: noon).sinceUnixMicroseconds == 20_000 * day)
    #expect(
      UsagePeriod(days: 30, nowUnixMicroseconds: 20_000 * day).sinceUnixMicroseconds
        == 19_971 * day)
    #expect(
      UsagePeriod(days: 30, nowUnixMicroseconds: 20_001 * day - 1).sinceUnixMicroseconds
        == 19_971 * day)
    #expect(UsagePeriod(days: 31, nowUnixMicroseconds: 5 * day).sinceUnixMicroseconds == 0)
    for (days, clamped) in [(Int.min, 1), (0, 1), (32, 31), (Int.max, 31)] {
      #expect(
        UsagePeriod(days: days, nowUnixMicroseconds: .max)
          == UsagePeriod(days: clamped, nowUnixMicroseconds: .max))
    }
  }
}
