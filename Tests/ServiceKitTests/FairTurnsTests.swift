import ClusterModel
import Limits
import Overload
import OverloadCore
import Testing

@Suite("Large bodies and fast streams wait for their turn")
struct FairTurnsTests {
  private let mib = 1 << 20
  private let local = BodyOwner.address(.local)

  @Test("an owner's bodies above its share wait in order of arrival")
  func order() {
    var queue = BodyQueue()
    let share = 24 * mib
    var isIn = (1...3).map { queue.ask($0, 10 * mib, local, share: share) }
    // Body 4 would fit, but would overtake body 3, which waits.
    isIn.append(queue.ask(4, 1 * mib, local, share: share))
    isIn.append(queue.ask(5, 24 * mib, .key(7), share: share))
    isIn.append(queue.ask(6, 24 * mib, .address(.ipv4(7)), share: share))
    #expect(isIn == [true, true, false, false, true, true])
    let served = (0..<2).map { _ in queue.release(10 * mib, local, share: share) }
    #expect(served == [[3, 4], []])
  }

  @Test("a body that was given up waits no longer, and the bodies behind it do not either")
  func withdraw() {
    var queue = BodyQueue()
    let isIn = [
      queue.ask(1, 8, local, share: 10), queue.ask(2, 10, local, share: 10),
      queue.ask(3, 2, local, share: 10),
    ]
    #expect(isIn == [true, false, false])
    let served = queue.withdraw(2, local, share: 10)
    #expect(served == [3])
    let freed = [queue.release(8, local, share: 10), queue.release(2, local, share: 10)]
    #expect(freed == [[], []])
    #expect(queue.owners == 0)
  }

  @Test("a body larger than the share is read when no other body of its owner is in memory")
  func large() {
    var queue = BodyQueue()
    let isIn = [queue.ask(1, 50, local, share: 10), queue.ask(2, 1, local, share: 10)]
    #expect(isIn == [true, false])
    let served = queue.release(50, local, share: 10)
    #expect(served == [2])
  }

  @Test("room that is waited for is given when a pass is dropped, and not to a client that left")
  func gate() async throws {
    let gate = BodyGate()
    var first: BodyGate.Pass? = try await gate.enter(10, local, share: 10, limit: "l")
    let left = Task { try await gate.enter(10, local, share: 10, limit: "l") }
    let waits = Task { try await gate.enter(10, local, share: 10, limit: "l") }
    left.cancel()
    await #expect(throws: Failure.self) { try await left.value }
    withExtendedLifetime(first) {}
    first = nil
    let second = try await waits.value
    second.shrink(to: 4)
    let third = try await gate.enter(6, local, share: 10, limit: "l")
    withExtendedLifetime((second, third)) {}
  }

  @Test("a body for which there is no room in time is refused, and names the limit")
  func late() async throws {
    let gate = BodyGate()
    let first = try await gate.enter(10, local, share: 10, limit: "clients.some_limit")
    do {
      _ = try await gate.enter(1, local, share: 10, limit: "clients.some_limit", wait: .zero)
      Issue.record("the body got room")
    } catch {
      #expect(error.code == .rateLimited && error.retryAfter == .seconds(1))
      #expect(error.message.contains("clients.some_limit"))
    }
    withExtendedLifetime(first) {}
  }

  @Test("a stream within the rate of a model is never held up")
  func honest() {
    var pace = StreamPace(at: .zero)
    // 400 chunks of 256 bytes per second, for ten minutes.
    let isHeldUp = (1...240_000).contains { step in
      let now = Instant(sinceStart: .microseconds(2_500) * step)
      return !pace.take(256, at: now)
    }
    #expect(!isHeldUp)
  }

  @Test("streams faster than any model share one rate")
  func fast() {
    var pace = StreamPace(at: .zero)
    let isOwn = [Limits.streamBurst.value, 8_192].map { pace.take($0, at: .zero) }
    #expect(isOwn == [true, false])
    var shared = SharedPace(perSecond: 1_000_000, at: .zero)
    var bytes = 0
    for step in 0..<10_000 {
      let now = Instant(sinceStart: .milliseconds(1) * step)
      if shared.take(8_192, at: now) == nil { bytes += 8_192 }
    }
    #expect((9_900_000...10_200_000).contains(bytes), "\(bytes)")
  }
}
