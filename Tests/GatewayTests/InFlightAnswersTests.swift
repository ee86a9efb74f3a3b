import ClusterModel
import Synchronization
import Testing

@testable import GatewayService

/// Counts how often a cancellation closure is called.
private final class Calls: Sendable {
  private let calls = Mutex(0)
  func add() { calls.withLock { $0 += 1 } }
  var count: Int { calls.withLock { $0 } }
}

/// Work that ends only if it is cancelled, and reports that it has begun.
private struct Endless: Sendable {
  private let begun = AsyncStream.makeStream(of: Void.self)

  func run() async throws(Failure) -> Int {
    begun.continuation.finish()
    let never = AsyncStream.makeStream(of: Never.self)
    for await _ in never.stream {}
    throw Failure(.internalError, "the work was cancelled")
  }

  func waitUntilBegun() async {
    for await _ in begun.stream {}
  }
}

@Suite("Answers in flight")
struct InFlightAnswersTests {
  private func failure(
    of work: () async throws(Failure) -> Int
  ) async -> Failure? {
    do throws(Failure) {
      _ = try await work()
      return nil
    } catch {
      return error
    }
  }

  @Test("work that ends while answers are open returns its result")
  func result() async throws {
    let answers = InFlightAnswers()
    #expect(try await answers.whileOpen { () throws(Failure) in 7 } == 7)
  }

  @Test("work that fails while answers are open throws its own failure")
  func ownFailure() async {
    let answers = InFlightAnswers()
    let own = Failure(.noEligibleHost, "no host is left")
    let thrown = await failure { () throws(Failure) in
      try await answers.whileOpen { () throws(Failure) in throw own }
    }
    #expect(thrown == own)
  }

  @Test("work in progress is cancelled when all answers are ended, and fails as at a shutdown")
  func endedInProgress() async {
    let answers = InFlightAnswers()
    let endless = Endless()
    async let failing = failure { () throws(Failure) in
      try await answers.whileOpen { () throws(Failure) in try await endless.run() }
    }
    await endless.waitUntilBegun()
    answers.endAll()
    let thrown = await failing
    #expect(thrown == InFlightAnswers.ended)
  }

  @Test("work that begins after all answers were ended fails as at a shutdown")
  func beginsTooLate() async {
    let answers = InFlightAnswers()
    answers.endAll()
    let endless = Endless()
    let thrown = await failure { () throws(Failure) in
      try await answers.whileOpen { () throws(Failure) in try await endless.run() }
    }
    #expect(thrown == InFlightAnswers.ended)
  }

  @Test("an answer that is registered after all were ended is cancelled at once")
  func registersTooLate() {
    let answers = InFlightAnswers()
    answers.endAll()
    let calls = Calls()
    let registration = answers.register { _ in calls.add() }
    #expect(calls.count == 1)
    answers.endAll()
    #expect(calls.count == 1)
    withExtendedLifetime(registration) {}
  }

  @Test("only registered answers are cancelled, each once")
  func unregistered() {
    let answers = InFlightAnswers()
    let (open, over, dropped) = (Calls(), Calls(), Calls())
    let registration = answers.register { _ in open.add() }
    let ended = answers.register { _ in over.add() }
    ended.unregister()
    _ = answers.register { _ in dropped.add() }
    answers.endAll()
    answers.endAll()
    #expect(open.count == 1)
    #expect(over.count == 0)
    #expect(dropped.count == 0)
    withExtendedLifetime((registration, ended)) {}
  }

  @Test("only after a shutdown a cancellation is explained by it")
  func explained() {
    let answers = InFlightAnswers()
    let other = Failure(.upstreamFailed, "the host failed")
    #expect(answers.explained(.clientLeft) == .clientLeft)
    answers.endAll()
    #expect(answers.explained(.clientLeft) == InFlightAnswers.ended)
    #expect(answers.explained(other) == other)
  }

  @Test("a client that leaves cancels its work, and causes no shutdown error")
  func clientLeaves() async {
    let answers = InFlightAnswers()
    let endless = Endless()
    let thrown = await withTaskGroup(of: Failure?.self) { group in
      group.addTask {
        await failure { () throws(Failure) in
          try await answers.whileOpen { () throws(Failure) in try await endless.run() }
        }
      }
      await endless.waitUntilBegun()
      group.cancelAll()
      return await group.next() ?? nil
    }
    #expect(thrown != nil && thrown != InFlightAnswers.ended)
  }

  @Test(
    "answers are ended before the drain is over, and not much earlier",
    arguments: [(1_000, 250), (2_000, 500), (30_000, 500), (0, 0)])
  func margin(drain: Int, margin: Int) {
    #expect(
      InFlightAnswers.margin(of: .milliseconds(drain)) == .milliseconds(margin))
  }
}
