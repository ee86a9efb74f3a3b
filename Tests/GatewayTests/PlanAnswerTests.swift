import Access
import Bus
import ClusterModel
import GatewayCore
import Hummingbird
import Money
import Telemetry
import Testing

@testable import GatewayService

@Suite("Answer by a plan")
struct PlanAnswerTests {
  private let lost = Failure(.shuttingDown, "the dispatcher shuts down")

  @Test("the events of the dispatcher become one stream")
  func streams() async throws {
    let cluster = try PlanCluster(scripts: [
      PlanCluster.Script { _, writer, _ throws(Failure) in
        try writer.send(PlanCluster.delta("Hello "))
        try writer.send(PlanCluster.delta("world"))
        try writer.send(PlanCluster.finished)
      }
    ])
    try await cluster.run { cluster in
      let received = try await cluster.ask()
      let events = received.events
      try #require(events.count == 5)
      #expect(events[0].contains(#""delta":{"role":"assistant","content":""}"#))
      #expect(events[1].contains(#""delta":{"content":"Hello "}"#))
      #expect(events[2].contains(#""delta":{"content":"world"}"#))
      #expect(events[3].contains(#""finish_reason":"stop""#))
      #expect(events[4] == "data: [DONE]\n\n")
      #expect(received.hasEnd)
      #expect(cluster.orders.map(\.sinkPrefix) == [""])
      let records = cluster.recorder.drain().flatMap(\.requests)
      #expect(records.map(\.status) == [200])
      #expect(records.map(\.pattern) == ["tutti/ensemble"])
      #expect(records.map(\.usage) == [Usage(promptTokens: 3, completionTokens: 2)])
    }
  }

  @Test("a client that does not stream gets the same text in one body")
  func whole() async throws {
    let cluster = try PlanCluster(scripts: [
      PlanCluster.Script { _, writer, _ throws(Failure) in
        try writer.send(PlanCluster.delta("Hello "))
        try writer.send(PlanCluster.delta("world"))
        try writer.send(PlanCluster.finished)
      }
    ])
    try await cluster.run { cluster in
      let received = try await cluster.ask(streaming: false)
      #expect(received.text.contains(#""content":"Hello world""#))
      #expect(cluster.orders.map(\.isWhole) == [true])
      #expect(cluster.recorder.drain().flatMap(\.requests).map(\.status) == [200])
    }
  }

  @Test("plans at once are bounded by the key's limit of tokens before they run")
  func limitedTokens() async throws {
    let key = KeyRecord(
      id: try #require(KeyID("abcdefghijkl")), name: "k",
      account: try #require(AccountPath("acme")),
      hash: try #require(KeyHash([UInt8](repeating: 1, count: 32))), scopes: [.plans],
      limits: KeyLimits(requestsPerDay: 10, tokensPerMinute: 1_300))
    try await PlanCluster(scripts: []).run { cluster in
      let gate = cluster.resources.keys
      func response() async throws -> Response {
        let answer = try cluster.answer(rights: KeyRights(key))
        answer.exchange.journal.record(try gate.admit(KeyRights(key), tokens: 20))
        do {
          return try await answer.response()
        } catch let failure as Failure {
          // As the gateway does it.
          answer.exchange.journal.end(status: 429, failure)
          throw failure
        }
      }
      // The plan's only task may write an answer of 512 tokens, so two plans fit the limit. Plans
      // run when their responses are written.
      let running = [try await response(), try await response()]
      let failure = await #expect(throws: Failure.self) { _ = try await response() }
      #expect(failure?.code == .rateLimited && failure?.retryAfter != nil)
      #expect(cluster.orders.isEmpty)
      let requests = gate.remainders(for: key).filter { $0.limit == .requestsPerDay }
      #expect(requests.map(\.remaining) == [8])
      withExtendedLifetime(running) {}
    }
  }

  @Test(
    "a key without room for the tokens of the smallest plan is refused before a planner is asked")
  func noRoomForTokens() async throws {
    let key = KeyRecord(
      id: try #require(KeyID("abcdefghijkl")), name: "k",
      account: try #require(AccountPath("acme")),
      hash: try #require(KeyHash([UInt8](repeating: 1, count: 32))), scopes: [.plans],
      limits: KeyLimits(tokensPerMinute: 150))
    try await PlanCluster(scripts: []).run { cluster in
      let gate = cluster.resources.keys
      let running = try gate.admit(KeyRights(key), tokens: 50)
      let answer = try cluster.answer(rights: KeyRights(key))
      answer.exchange.journal.record(try gate.admit(KeyRights(key), tokens: 20))
      // Two members read the conversation, which takes more than the 100 tokens that are left.
      let failure = await #expect(throws: Failure.self) { _ = try await answer.response() }
      #expect(failure?.code == .rateLimited && cluster.planRequests == 0)
      withExtendedLifetime(running) {}
    }
  }

  @Test(
    "a plan that needs more than the rest of a budget is refused with its name and its reset",
    arguments: [false, true])
  func shortOfMoney(isPreview: Bool) async throws {
    let key = try DepartedPlansTests.limitedKey()
    let report = SpendingReport(
      key: .key("\(key.id)"),
      budgets: [
        SpendingReport.Budget(
          owner: .key, id: "\(key.id)", window: BudgetWindow(.calendar, .year),
          amount: MicroCredits(5_000), spent: MicroCredits(4_000),
          resetsAt: UnixTime.milliseconds() + 86_400_000)
      ], balance: nil, rows: [], firstDay: 0)
    let refusal = Failure(.invalidRequest, "members need 1200.", param: "tutti.budget.tokens")
    let plans = try PlanCluster(plannerFailures: [refusal], scripts: [], report: report)
    try await MoneyCluster(budget: 1_000).run { money in
      let payment = try await DepartedPlansTests.payment(money.spending)
      #expect(payment.isCut && payment.hold == MicroCredits(1_000))
      try await plans.run { plans in
        let exchange = try plans.answer(rights: KeyRights(key)).exchange
        // The money of a preview is free again before the planner is asked.
        if isPreview { payment.release() }
        let answer = PlanAnswer(
          plans.resources,
          isPreview
            ? exchange.preview(of: payment, at: payment.price)
            : exchange.paid(by: payment, at: payment.price),
          pattern: "tutti/ensemble")
        let failure = await #expect(throws: Failure.self) { _ = try await answer.make() }
        #expect(failure?.code == .budgetExhausted && failure?.param == nil)
        #expect(failure?.message.contains("key/\(key.id)/year-calendar") == true)
        #expect(failure?.message.contains("0.001 credits") == true)
        let wait = try #require(failure?.retryAfter)
        #expect(wait > .seconds(80_000) && wait <= .seconds(86_400))
      }
    }
  }

  @Test("a budget that does not pay the smallest plan is refused before a planner is asked")
  func shortOfSmallestPlan() async throws {
    try await MoneyCluster(budget: 100).run { money in
      let failure = await #expect(throws: Failure.self) {
        _ = try await DepartedPlansTests.payment(money.spending)
      }
      #expect(failure?.code == .budgetExhausted && failure?.retryAfter != nil)
    }
  }

  @Test("if the dispatcher is lost, the next one resumes after the text that the client has")
  func resumes() async throws {
    let cluster = try PlanCluster(scripts: [
      PlanCluster.Script { [lost] _, writer, _ throws(Failure) in
        try writer.send(PlanCluster.delta("Hello "))
        throw lost
      },
      PlanCluster.Script { _, writer, _ throws(Failure) in
        try writer.send(PlanCluster.delta("world"))
        try writer.send(PlanCluster.finished)
      },
    ])
    try await cluster.run { cluster in
      let received = try await cluster.ask()
      #expect(cluster.orders.map(\.sinkPrefix) == ["", "Hello "])
      #expect(cluster.orders.map(\.dispatch) == [1, 2])
      let events = received.events
      try #require(events.count == 5)
      #expect(events[1].contains(#""delta":{"content":"Hello "}"#))
      #expect(events[2].contains(#""delta":{"content":"world"}"#))
      #expect(events[4] == "data: [DONE]\n\n")
    }
  }

  @Test("a plan that loses two dispatchers ends with an error event")
  func givesUp() async throws {
    let cluster = try PlanCluster(scripts: [
      PlanCluster.Script { [lost] _, _, _ throws(Failure) in throw lost },
      PlanCluster.Script { [lost] _, _, _ throws(Failure) in throw lost },
    ])
    try await cluster.run { cluster in
      let received = try await cluster.ask()
      #expect(cluster.orders.count == 2)
      #expect(received.events.count == 1)
      #expect(received.text.contains(#"{"error":"#) && !received.text.contains("[DONE]"))
      #expect(received.hasEnd)
      #expect(cluster.recorder.drain().flatMap(\.requests).map(\.status) == [503])
    }
  }

  @Test("an answer inside a tool call is not resumed")
  func toolCall() async throws {
    let cluster = try PlanCluster(scripts: [
      PlanCluster.Script { [lost] _, writer, _ throws(Failure) in
        try writer.send(PlanCluster.delta("", json: #"{"tool_calls":[{"index":0}]}"#))
        throw lost
      }
    ])
    try await cluster.run { cluster in
      let received = try await cluster.ask()
      #expect(cluster.orders.count == 1)
      #expect(received.text.contains("inside a tool call"))
      #expect(received.hasEnd)
      #expect(cluster.recorder.drain().flatMap(\.requests).map(\.status) == [502])
    }
  }

  @Test("a failure of the plan itself is not sent to another dispatcher")
  func ownFailure() async throws {
    let cluster = try PlanCluster(scripts: [
      PlanCluster.Script { _, _, _ throws(Failure) in
        throw Failure(.noEligibleHost, "no host is left")
      }
    ])
    try await cluster.run { cluster in
      let received = try await cluster.ask()
      #expect(cluster.orders.count == 1)
      #expect(received.text.contains("no host is left"))
    }
  }

  @Test("if the planner is lost, the plan is made by the next one")
  func planner() async throws {
    let cluster = try PlanCluster(
      plannerFailures: [lost],
      scripts: [
        PlanCluster.Script { _, writer, _ throws(Failure) in try writer.send(PlanCluster.finished) }
      ])
    try await cluster.run { cluster in
      let received = try await cluster.ask()
      #expect(cluster.planRequests == 2)
      #expect(received.events.last == "data: [DONE]\n\n")
    }
  }

  @Test("a planner's refusal is thrown before a response begins")
  func plannerRefuses() async throws {
    let refusal = Failure(.budgetExhausted, "the budget is too small")
    let cluster = try PlanCluster(plannerFailures: [refusal], scripts: [])
    try await cluster.run { cluster in
      do {
        _ = try await cluster.ask()
        Issue.record("the plan was made")
      } catch let failure as Failure {
        #expect(failure.code == .budgetExhausted)
      }
      #expect(cluster.planRequests == 1 && cluster.orders.isEmpty)
    }
  }

  @Test("a stream that is open at the end of the drain gets the shutdown error")
  func shutdown() async throws {
    let cluster = try PlanCluster(scripts: [
      PlanCluster.Script { _, _, cluster throws(Failure) in
        cluster.resources.answers.endAll()
        let never = AsyncStream.makeStream(of: Never.self)
        for await _ in never.stream {}
      }
    ])
    try await cluster.run { cluster in
      let received = try await cluster.ask()
      #expect(received.events.count == 1)
      #expect(received.text.contains(InFlightAnswers.ended.message))
      #expect(received.hasEnd)
      // The record waits for the tokens of the cancelled tasks.
      let dispatch = try #require(cluster.dispatches.last)
      let trace = try #require(dispatch.trace)
      cluster.resources.departures.receive(
        PlanCosts(trace: trace, dispatch: 1, tasks: []), from: dispatch.dispatcher)
      #expect(cluster.recorder.drain().flatMap(\.requests).map(\.status) == [503])
    }
  }
}
