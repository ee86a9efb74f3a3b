import ClusterModel
import ClusterTesting
import Testing

@testable import DispatcherCore

@Suite("Attempts at a task")
struct TaskAttemptsTests {
  private let limits = PlanRunLimits.standard
  private let agent = PeerID(name: "a", incarnation: 1)

  @Test("the first attempt is number 1, and a search that is repeated keeps its number")
  func numbers() {
    var attempts = TaskAttempts()
    #expect(attempts.number == 0)
    attempts.launch()
    #expect(attempts.number == 1)
    #expect(attempts.nextSearch(now: at(ms: 0), limits: limits) == at(ms: 200))
    attempts.launch()
    #expect(attempts.number == 1)
  }

  @Test("three agents are tried, after growing delays, and each is avoided by the next")
  func lost() {
    var attempts = TaskAttempts()
    attempts.launch()
    var delays: [Duration?] = []
    for number in 1...3 {
      let agent = PeerID(name: "a\(number)", incarnation: 1)
      attempts.assign(to: agent)
      #expect(attempts.number == number && attempts.agent == agent.name)
      delays.append(attempts.retry(after: .lost, of: agent, retryAfter: nil, limits: limits))
      if number < 3 { attempts.launch() }
    }
    #expect(delays == [.milliseconds(50), .milliseconds(100), nil])
    #expect(attempts.avoiding.map(\.name) == ["a1", "a2"])
    #expect(attempts.number == 3)
  }

  @Test("an overloaded agent chooses the delay, within limits")
  func overloaded() {
    for (retryAfter, delay) in [
      (nil, Duration.milliseconds(250)), (.milliseconds(700), .milliseconds(700)),
      (.seconds(60), .seconds(2)), (.seconds(-1), .zero),
    ] as [(Duration?, Duration)] {
      var attempts = TaskAttempts()
      attempts.launch()
      #expect(
        attempts.retry(after: .overloaded, of: agent, retryAfter: retryAfter, limits: limits)
          == delay)
    }
  }

  @Test("an attempt that had no agent avoids none")
  func noAgent() {
    var attempts = TaskAttempts()
    attempts.launch()
    #expect(attempts.retry(after: .lost, of: nil, retryAfter: nil, limits: limits) != nil)
    #expect(attempts.avoiding.isEmpty)
  }

  @Test("the search for an agent ends after its limit, counted from its own start")
  func search() {
    var attempts = TaskAttempts()
    #expect(attempts.nextSearch(now: at(ms: 1_000), limits: limits) == at(ms: 1_200))
    #expect(attempts.nextSearch(now: at(ms: 10_999), limits: limits) == at(ms: 11_199))
    #expect(attempts.nextSearch(now: at(ms: 11_000), limits: limits) == nil)
    // After an agent was found, the next search has a time limit of its own.
    attempts.assign(to: agent)
    #expect(attempts.nextSearch(now: at(ms: 11_000), limits: limits) == at(ms: 11_200))
  }

  @Test("a new attempt starts from the beginning, and its bytes are counted anew")
  func partial() {
    var attempts = TaskAttempts()
    attempts.launch()
    attempts.countWritten(4)
    attempts.keep(TaskDelta(text: "half", deltaJSON: [0x7B]), room: 100)
    #expect(attempts.partial.text == "half" && attempts.partial.hasStructure)
    _ = attempts.retry(after: .lost, of: agent, retryAfter: nil, limits: limits)
    #expect(attempts.partial == WrittenText())
    #expect(attempts.writtenBytes == 4, "the lost attempt is charged for what it wrote")
    attempts.launch()
    #expect(attempts.writtenBytes == 0)
  }

  @Test("busy hosts choose the delay like an overloaded agent, but no agent is avoided for them")
  func busyHosts() {
    var attempts = TaskAttempts()
    attempts.launch()
    let delay = attempts.retry(
      after: .hostsBusy, of: agent, retryAfter: .milliseconds(300), limits: limits)
    #expect(delay == .milliseconds(300) && attempts.number == 2)
    #expect(attempts.avoiding.isEmpty)
  }

  @Test("only lost and overloaded agents and busy hosts lead to another attempt")
  func losses() {
    #expect(AgentLoss(.peerLost) == .lost && AgentLoss(.outboxFull) == .overloaded)
    #expect(AgentLoss(.hostsBusy) == .hostsBusy && AgentLoss(.rateLimited) == .hostsBusy)
    for code in [Failure.Code.upstreamFailed, .deadlineExceeded, .invalidRequest, .cancelled] {
      #expect(AgentLoss(code) == nil)
    }
  }
}
