import ClusterModel
import CommandLineCore
import Testing

@Suite("Following logs")
struct LogFollowerTests {
  private static let base: UInt64 = 1_769_862_896_000_000
  private let now = Timestamp(unixMicroseconds: base + 60_000_000)

  private func line(_ seconds: UInt64, _ message: String) -> LogRecord {
    LogRecord(
      timeUnixMicroseconds: Self.base + seconds * 1_000_000, level: "info", service: "s",
      message: message)
  }

  @Test("a line that arrives after a later one of another service is shown")
  func late() {
    var follower = LogFollower()
    #expect(follower.since == nil)
    let first = [line(30, "b"), line(20, "a")]
    #expect(follower.unseen(in: first, now: now).map(\.message) == ["a", "b"])
    #expect(follower.since?.unixMicroseconds == Self.base + 20_000_000)
    let second = [line(32, "d"), line(30, "b"), line(29, "late"), line(20, "a")]
    #expect(follower.unseen(in: second, now: now).map(\.message) == ["late", "d"])
    #expect(follower.since?.unixMicroseconds == Self.base + 22_000_000)
    #expect(follower.unseen(in: second, now: now).isEmpty)
  }

  @Test("lines before the first page are not asked for")
  func noOlderLines() {
    var follower = LogFollower()
    _ = follower.unseen(in: [line(30, "b"), line(29, "a")], now: now)
    #expect(follower.since?.unixMicroseconds == Self.base + 29_000_000)
  }

  @Test("a line from the future does not hide the lines of other machines")
  func future() {
    var follower = LogFollower()
    _ = follower.unseen(in: [line(7_200, "ahead"), line(0, "a")], now: now)
    #expect(follower.since?.unixMicroseconds == Self.base + 50_000_000)
  }

  @Test("while no line exists, all of them are asked for")
  func empty() {
    var follower = LogFollower()
    #expect(follower.unseen(in: [], now: now).isEmpty)
    #expect(follower.since == nil)
  }
}
