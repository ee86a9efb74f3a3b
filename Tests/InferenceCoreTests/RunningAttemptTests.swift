import ClusterModel
import ClusterTesting
import Testing

@testable import InferenceCore

@Suite("An attempt that has not ended")
struct RunningAttemptTests {
  private let limits = InferenceLimits()
  private let stall = AttemptFailure(.stall, "it sent nothing")

  private func attempt(
    _ deadlines: Deadlines = .standard, left: Duration? = nil
  ) -> RunningAttempt {
    RunningAttempt(
      AttemptID(0), Candidate(host: Host(id: "a", url: "http://a"), model: "m"), .first,
      patience: HostPatience(
        firstToken: .seconds(10), interToken: .seconds(8), tokensPerSecondFloor: 1),
      deadlines: deadlines, left: left, now: at(0))
  }

  @Test("a sign of life renews a learned patience, up to a limit")
  func signs() {
    var attempt = attempt()
    #expect(attempt.firstTokenDue(limits) == at(10))
    attempt.recordSign(now: at(5))
    #expect(attempt.firstTokenDue(limits) == at(15))
    attempt.recordSign(now: at(39))
    #expect(attempt.firstTokenDue(limits) == at(10 * limits.signPatience))
  }

  @Test("half of the time left bounds the patience, with signs of life too, but not the client's")
  func halfOfTheTime() {
    var attempt = attempt(left: .seconds(12))
    #expect(attempt.firstTokenDue(limits) == at(6))
    attempt.recordSign(now: at(5))
    #expect(attempt.firstTokenDue(limits) == at(6))
    #expect(self.attempt(left: .seconds(30)).firstTokenDue(limits) == at(10))
    // A late first token counts against the host only after its learned patience of 10 s, not after
    // half of the time left. A stall counts earlier, too.
    let late = AttemptFailure(.firstTokenDeadline, "it sent no token")
    #expect(attempt.observations(.failed(late), now: at(9)) == [.withdrawn(answered: false)])
    #expect(attempt.observations(.failed(stall), now: at(9)) == [.failed(stall, answered: false)])
    #expect(
      attempt.observations(.failed(late), now: at(11)) == [.failed(late, answered: false)])
    let own = self.attempt(Deadlines(firstToken: .seconds(9)), left: .seconds(12))
    #expect(own.firstTokenDue(limits) == at(9))
  }

  @Test("a sign of life does not renew the client's deadlines")
  func ownDeadlines() {
    var attempt = attempt(Deadlines(firstToken: .seconds(2), interToken: .seconds(3)))
    attempt.recordSign(now: at(1))
    #expect(attempt.firstTokenDue(limits) == at(2))
    #expect(attempt.nextChunkDue(after: at(0), isFinished: false, limits) == at(3))
    #expect(attempt.missedFirstToken(limits, now: at(1)) == nil)
    #expect(
      attempt.missedFirstToken(limits, now: at(2))?.message
        == "it sent no token within 2000 ms")
  }

  @Test("after the last token, only a short silence is allowed, and signs do not prolong it")
  func finished() {
    var attempt = attempt()
    attempt.recordSign(now: at(4))
    #expect(attempt.nextChunkDue(after: at(3), isFinished: true, limits) == at(8))
    #expect(attempt.nextChunkDue(after: at(3), isFinished: false, limits) == at(12))
  }

  @Test("a late attempt is checked at intervals, and a pause doubles its patience")
  func lateness() {
    var attempt = attempt()
    #expect(attempt.nextCheck(limits) == at(10))
    attempt.markLate(checkAgain: at(13))
    #expect(attempt.isLate && attempt.nextCheck(limits) == at(13))
    attempt.postponeCheck(by: .seconds(2))
    #expect(attempt.nextCheck(limits) == at(15))
    attempt.endLateness()
    #expect(!attempt.isLate)
    #expect(attempt.nextChunkDue(after: at(0), isFinished: false, limits) == at(16))
  }

  @Test("losing a race is a failure only for a late host")
  func defeat() {
    var attempt = attempt()
    #expect(attempt.defeat(by: "b", now: at(3)) == .beaten)
    attempt.markLate(checkAgain: at(20))
    #expect(
      attempt.defeat(by: "b", now: at(12))
        == .failed(
          AttemptFailure(
            .firstTokenDeadline, "it sent no token within 12000 ms, and host b answered")))
  }

  @Test("a deadline stricter than the learned patience is not counted against the host")
  func hurried() {
    let strict = attempt(Deadlines(interToken: .seconds(1)))
    #expect(strict.observations(.failed(stall), now: at(9)) == [.withdrawn(answered: false)])
    let lost = AttemptFailure(.lost, "gone")
    #expect(strict.observations(.failed(lost), now: at(9)) == [.failed(lost, answered: false)])
    let lenient = attempt(Deadlines(interToken: .seconds(60)))
    #expect(lenient.observations(.failed(stall), now: at(9)) == [.failed(stall, answered: false)])
  }

  @Test("tokens flow from the first chunk to the last, without the client's pauses")
  func flow() {
    var attempt = attempt()
    attempt.count(1, now: at(1))
    attempt.count(0, now: at(2))
    attempt.shift(by: .seconds(5))
    attempt.count(2, now: at(8))
    attempt.count(1, now: at(9))
    #expect(attempt.hasToken)
    #expect(
      attempt.observations(.answered, now: at(9))
        == [.flowed(tokens: 3, over: .seconds(3), longestPause: .seconds(2)), .ended])
    #expect(attempt.record(.answered, form: [], begun: at(0), now: at(9)).tokens == 4)
    attempt.recordProduced(11)
    #expect(attempt.record(.answered, form: [], begun: at(0), now: at(9)).tokens == 11)
  }

  @Test("the winner hands over the chunks that it held, once")
  func win() {
    var attempt = attempt()
    attempt.hold(textChunk("x"))
    attempt.markLate(checkAgain: at(20))
    #expect(attempt.win() == [textChunk("x")])
    #expect(attempt.held.isEmpty && !attempt.isLate)
  }

  @Test("a relief host is on trial from the first chunk that is tried")
  func trial() throws {
    var attempt = attempt()
    attempt.hold(textChunk("x"))
    #expect(!attempt.isOnTrial)
    _ = try attempt.resumes(AnswerStream(shape: AnswerShape(body: conversation)))
    #expect(attempt.isOnTrial)
    attempt.endTrial()
    #expect(!attempt.isOnTrial)
  }
}
