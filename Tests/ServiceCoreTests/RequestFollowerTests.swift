import ClusterModel
import CommandLineCore
import Testing

@Suite("Following requests")
struct RequestFollowerTests {
  private static let base: UInt64 = 1_769_862_896_000_000
  private let now = Timestamp(unixMicroseconds: Self.base + 8_000_000_000)

  private func request(_ seconds: UInt64, _ model: String) -> RequestRecord {
    RequestRecord(
      trace: TraceID(high: 0, low: 1), timeUnixMicroseconds: Self.base + seconds * 1_000_000,
      endpoint: "/v1/chat/completions", model: model, pattern: "direct", stream: true, status: 200,
      totalMilliseconds: 1)
  }

  @Test("a long request that ends after shorter ones that began later is shown")
  func long() {
    var follower = RequestFollower(since: nil)
    let first = [request(4_000, "b"), request(3_990, "a")]
    #expect(follower.unseen(in: first, now: now).map(\.model) == ["a", "b"])
    #expect(follower.since?.unixMicroseconds == Self.base + 400_000_000)
    let second = [request(4_001, "c")] + first + [request(500, "long")]
    #expect(follower.unseen(in: second, now: now).map(\.model) == ["long", "c"])
    #expect(follower.unseen(in: second, now: now).isEmpty)
  }

  @Test("requests before the given start are not asked for, also if none has ended yet")
  func start() {
    let start = Timestamp(unixMicroseconds: Self.base + 3_000_000_000)
    var follower = RequestFollower(since: start)
    #expect(follower.unseen(in: [], now: now).isEmpty && follower.since == start)
    _ = follower.unseen(in: [request(4_000, "a")], now: now)
    #expect(follower.since == start)
    _ = follower.unseen(in: [request(7_000, "b")], now: now)
    #expect(follower.since?.unixMicroseconds == Self.base + 3_400_000_000)
  }

  @Test("a request from the future does not hide the requests of other machines")
  func future() {
    var follower = RequestFollower(since: nil)
    _ = follower.unseen(in: [request(90_000, "ahead"), request(0, "a")], now: now)
    #expect(follower.since?.unixMicroseconds == Self.base + 4_400_000_000)
  }
}
