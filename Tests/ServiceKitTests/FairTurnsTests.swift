import ClusterModel
import Limits
import Overload
import OverloadCore
import Testing

@Suite("Large bodies and fast streams wait for their turn")
struct FairTurnsTests {
  private let mib = 1 << 20
  private let other = ClientID.ipv4(7)

  @Test("a client's large bodies above its share wait in order of arrival")
  func order() {
    var queue = UploadQueue(share: 24 * mib)
    var isIn = (1...3).map { queue.ask($0, 10 * mib, .local) }
    // The upload would fit, but would overtake the one before it.
    isIn.append(queue.ask(4, 1 * mib, .local))
    isIn.append(queue.ask(5, 24 * mib, other))
    #expect(isIn == [true, true, false, false, true])
    let served = (0..<2).map { _ in queue.release(10 * mib, .local) }
    #expect(served == [[3, 4], []])
  }

  @Test("a body that was given up waits no longer")
  func withdraw() {
    var queue = UploadQueue(share: 10)
    let isIn = (1...3).map { queue.ask($0, 10, .local) }
    #expect(isIn == [true, false, false])
    queue.withdraw(2)
    let served = queue.release(10, .local)
    #expect(served == [3])
  }

  @Test("a body larger than the share is read when nothing else of its client is on its way")
  func large() {
    var queue = UploadQueue(share: 10)
    let isIn = [queue.ask(1, 50, .local), queue.ask(2, 1, .local)]
    #expect(isIn == [true, false])
    let served = queue.release(50, .local)
    #expect(served == [2])
  }

  @Test("room that is waited for is given when a pass is dropped, and not to a client that left")
  func gate() async throws {
    let gate = UploadGate()
    let share = Limits.uploadBytesPerClient.value
    var first: UploadGate.Pass? = try await gate.enter(share, .local)
    let left = Task { try await gate.enter(share, .local) }
    let waits = Task { try await gate.enter(share, .local) }
    left.cancel()
    await #expect(throws: Failure.self) { try await left.value }
    withExtendedLifetime(first) {}
    first = nil
    let second = try await waits.value
    withExtendedLifetime(second) {}
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
