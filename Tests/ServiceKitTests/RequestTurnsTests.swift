import NIOCore
import NIOEmbedded
import NIOPosix
import Synchronization
import Testing

@testable import Overload
@testable import ServiceKit

#if canImport(Glibc)
  import Glibc
#endif

@Suite("The turns of requests")
struct RequestTurnsTests {
  private let loop = EmbeddedEventLoop()
  private let start = ContinuousClock.now

  private func turns() -> RequestTurns {
    RequestTurns(LoopTurns(loop, longestPause: .zero) { .uptimeNanoseconds(0) }, freeRequests: 2)
  }

  @Test("a few requests in a row begin at once, and one more after each pause")
  func free() {
    let turns = turns()
    #expect(turns.isFree(at: start) && turns.isFree(at: start))
    #expect(!turns.isFree(at: start))
    #expect(turns.isFree(at: start + .milliseconds(2)))
    #expect(!turns.isFree(at: start + .milliseconds(2)))
  }

  @Test("while requests wait for their turns, none begins before them without a turn")
  func waiting() {
    let turns = turns()
    let begun = Mutex(false)
    turns.submit(for: 1) { begun.withLock { $0 = true } }
    #expect(!begun.withLock(\.self) && !turns.isFree(at: start))
    loop.advanceTime(by: .milliseconds(1))
    #expect(begun.withLock(\.self) && turns.isFree(at: start))
  }

  @Test("a task that is resumed in a turn runs in the turn up to its next suspension")
  func tasks() async throws {
    let loop = MultiThreadedEventLoopGroup.singleton.any()
    let executor = LoopExecutor(loop)
    let task = Mutex<CheckedContinuation<Void, Never>?>(nil)
    let log = Mutex<[String]>([])
    @Sendable func note(_ line: String) { log.withLock { $0.append(line) } }
    async let work: Void = withTaskExecutorPreference(executor) {
      await withCheckedContinuation { continuation in task.withLock { $0 = continuation } }
      note("resumed")
      await Task.yield()
      note("later")
    }
    while task.withLock({ $0 == nil }) { await Task.yield() }
    try await loop.submit {
      if let continuation = task.withLock(\.self) { executor.resume(continuation) }
      note("the turn ends")
    }.get()
    await work
    #expect(log.withLock(\.self) == ["resumed", "the turn ends", "later"])
  }

  @Test("jobs of a background thread run in order, on Linux with a lower priority")
  func background() async {
    let thread = BackgroundThread(name: "test", isNice: true)
    let (jobs, done) = AsyncStream<(Int, Int32)>.makeStream()
    for number in 0..<3 {
      thread.async {
        #if os(Linux)
          done.yield((number, getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)))
        #else
          done.yield((number, 10))
        #endif
        if number == 2 { done.finish() }
      }
    }
    var numbers: [Int] = []
    for await (number, nice) in jobs {
      numbers.append(number)
      #expect(nice >= 10)
    }
    #expect(numbers == [0, 1, 2])
  }
}
