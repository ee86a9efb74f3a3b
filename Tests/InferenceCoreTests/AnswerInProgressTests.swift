import ClusterModel
import ClusterTesting
import Testing

@testable import InferenceCore

@Suite("An answer in progress")
struct AnswerInProgressTests {
  private func answer(stream: Bool = true, prefix: String = "") -> AnswerInProgress {
    let request = InferenceRequest(
      endpoint: .chatCompletions, model: "m", body: conversation, stream: stream,
      trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)),
      prefix: Array(prefix.utf8))
    return AnswerInProgress(to: request, AnswerShape(body: conversation))
  }

  private let attempt = RunningAttempt(
    AttemptID(0), Candidate(host: Host(id: "a", url: "http://a"), model: "m"), .first,
    patience: HostPatience(
      firstToken: .seconds(10), interToken: .seconds(8), tokensPerSecondFloor: 2),
    deadlines: .standard, now: .zero)

  /// An answer of which the client has "One two", while " three" is held.
  private func begun(stream: Bool = true) throws -> AnswerInProgress {
    var answer = answer(stream: stream)
    answer.follow(attempt, now: at(1))
    for word in ["One", " two", " three"] { _ = try answer.take(textChunk(word)) }
    return answer
  }

  @Test("an answer begins with a host's first token or with the client's prefix")
  func begins() {
    var answer = answer()
    #expect(!answer.hasBegun)
    answer.follow(attempt, now: at(1))
    #expect(answer.hasBegun && answer.lastChunk == at(1) && answer.nextPaceCheck == at(11))
    var resumed = self.answer(prefix: "One two")
    resumed.begin(after: Array("One two".utf8))
    #expect(resumed.hasBegun && resumed.firstToken == nil)
  }

  @Test("a choice that the request does not ask for is garbage")
  func index() throws {
    var answer = try begun()
    var steps = ChoiceSteps()
    steps.add(index: 1, .init(adds: true))
    #expect { try answer.recordSteps(steps) } throws: {
      ($0 as? AttemptFailure)?.kind == .garbage
    }
  }

  @Test("the end of its only choice finishes an answer")
  func finished() throws {
    var answer = try begun()
    try answer.recordSteps(textChunk("One").facts.steps)
    #expect(!answer.isFinished && !answer.isWhole && !answer.isEnded)
    try answer.recordSteps(textChunk(" two", finish: "stop").facts.steps)
    #expect(answer.isFinished && answer.isWhole && answer.isEnded)
  }

  @Test("a client that does not stream gets one body at the end")
  func body() throws {
    var answer = try begun(stream: false)
    #expect(try answer.take(textChunk(" four", finish: "stop")).isEmpty)
    let last = try answer.finish()
    #expect(last.count == 1)
    guard case .deliver(.body)? = last.first else {
      Issue.record("no body: \(last)")
      return
    }
  }

  @Test("only an answer that the client has not seen starts over")
  func startOver() throws {
    #expect(!answer(stream: false).mayStartOver, "nothing has begun")
    var unseen = try begun(stream: false)
    #expect(unseen.mayStartOver)
    #expect(try unseen.suspendAtBoundary(isJoinable: false).isEmpty)
    #expect(unseen.resumePoint == nil)
    var seen = try begun()
    #expect(!seen.mayStartOver)
    _ = try seen.suspendAtBoundary(isJoinable: false)
    #expect(seen.resumePoint?.prefix.isEmpty == false)
    var given = answer(stream: false, prefix: "One two")
    given.begin(after: Array("One two".utf8))
    #expect(!given.mayStartOver)
  }

  @Test("text of a crawling host is withheld while relief hosts are asked")
  func withheld() throws {
    var answer = try begun()
    let isPrepared = answer.prepareRelief(.crawl)
    #expect(isPrepared && answer.reliefCause == .crawl && answer.reliefStream != nil)
    #expect(try answer.take(textChunk(" four")).isEmpty)
    #expect(clientText(answer.endRelief()) == " three")
    #expect(!answer.hasRelief)
    #expect(clientText(try answer.take(textChunk(" five"))) == " four")
  }

  @Test("relief hosts resume at the point that was prepared first")
  func adopted() throws {
    var answer = try begun()
    let isPrepared = answer.prepareRelief(.stall)
    #expect(isPrepared)
    let point = try #require(answer.reliefPoint)
    #expect(String(decoding: point.prefix, as: UTF8.self) == "One two")
    _ = try answer.take(textChunk(" four"))
    let isStillPrepared = answer.prepareRelief(.crawl)
    #expect(isStillPrepared)
    #expect(answer.reliefPoint == point && answer.reliefCause == .stall)
    _ = answer.adoptRelief()
    #expect(answer.resumePoint == point && !answer.hasRelief)
  }

  @Test("the client gets all text of a first host that no other host can replace")
  func releaseAll() throws {
    var answer = try begun()
    let unsafeText = answer.unsafeText
    _ = try answer.suspendAtBoundary()
    let last = answer.releaseAll(of: unsafeText)
    #expect(last.map(clientText) == " three")
    let whole = try begun(stream: false)
    #expect(whole.unsafeText == nil)
  }

  @Test("a pause of the client counts neither as silence nor in the pace")
  func pause() throws {
    var answer = try begun()
    answer.recordChunk(tokens: 100, now: at(2))
    answer.skipPause(now: at(30))
    #expect(answer.lastChunk == at(30) && answer.nextPaceCheck == at(40))
    #expect(answer.checkPace(now: at(40)) == 0)
  }
}
