import Bus
import BusCore
import ClusterModel
import GatewayCore
import Hummingbird
import Inference
import InferenceCore
import Limits
import Logging
import ServiceKit
import Telemetry
import Text

extension GatewayShell {
  /// Making a plan takes no model call; a planner that takes longer is lost.
  private static let planDeadline = Duration.seconds(5)
  /// Time for the dispatcher's final message.
  private static let deadlineGrace = Duration.milliseconds(500)
  /// A restarted service sends hello within a second or two.
  private static let returnDeadline = Duration.seconds(10)
  /// Maximum dispatchers per plan: the first, and one for failover.
  private static let maximumDispatches = 2

  /// The plan path: the planner makes the plan, then one dispatcher runs it and streams events.
  func answerByPlan(_ exchange: Exchange, _ pattern: String) async throws -> Response {
    let plan = try await answers.whileOpen { () throws(Failure) in
      try await self.makePlan(exchange, pattern)
    }
    let composer = ChatComposer(
      id: "chatcmpl-\(exchange.trace.trace)", model: exchange.request.model.name,
      created: Int(UnixTime.microseconds() / 1_000_000))
    guard exchange.request.stream else {
      return try await answers.whileOpen { () throws(Failure) in
        try await self.answerWhole(exchange, plan, composer)
      }
    }
    return stream(exchange.trace) { writer in
      do throws(Failure) {
        try await self.relay(exchange, plan, composer, &writer)
      } catch {
        // Account for tokens even if the plan failed.
        self.note(plan.read { $0 }, exchange)
        try await self.cut(error, exchange.journal, &writer)
      }
    }
  }

  /// `POST /v1/plans`: returns how a request would be answered.
  func preview(_ exchange: Exchange) async throws -> Response {
    let answer: JSON
    switch try route(exchange) {
    case .direct:
      throw Failure(
        .invalidRequest,
        "`\(exchange.request.model)` is answered without a plan; there are plans for "
          + GatewayRouting.patterns.joined(separator: ", "), param: "model")
    case .gated(_, let reason): answer = PlanPreview.direct(reason: reason)
    case .plan(let pattern):
      let plan = try await answers.whileOpen { () throws(Failure) in
        try await self.makePlan(exchange, pattern)
      }
      answer = PlanPreview.json(plan.read(\.plan), correction: plan.correction)
    }
    exchange.journal.end(status: 200)
    return json(answer.encoded, exchange.trace)
  }

  // MARK: - Making the plan

  private func makePlan(
    _ exchange: Exchange, _ pattern: String
  ) async throws(Failure) -> RunningPlan {
    let reservation = try exchange.reservation.reservePlan()
    let options = exchange.request.options
    let view = inference.view()
    let available = GatewayRouting.available(view.table, policy: options.dataPolicy)
    guard !available.isEmpty else {
      let constraints = InferenceConstraints(dataPolicy: options.dataPolicy, seed: exchange.seed)
      let why = Eligibility(model: nil, constraints: constraints, table: view.table)
      throw Failure(.noEligibleHost, why.explanation(model: nil))
    }
    let budget = TokenBudget.of(exchange.request, table: view.table)
    let (facts, correction) = estimates.facts(view.hostFacts(policy: options.dataPolicy))
    let asked = PlanRequest(
      exchange.request, pattern: pattern, budget: budget, seed: exchange.seed,
      available: available, hosts: facts, correction: correction)
    let body: Body
    do throws(Failure) {
      body = try await plan(asked, exchange)
    } catch {
      throw budget?.explained(error) ?? error
    }
    guard case .plan(var plan) = body else {
      throw Failure(.internalError, "the planner's reply is not a plan")
    }
    plan.deadline = min(
      plan.deadline, options.deadlines(over: configuration.deadlines.of(.plan)).total)
    exchange.journal.recordPattern(plan.pattern)
    return RunningPlan(plan, asked: asked, budget: budget, reservation: reservation)
  }

  private func plan(_ asked: PlanRequest, _ exchange: Exchange) async throws(Failure) -> Body {
    do throws(Failure) {
      return try await call(asked, exchange)
    } catch  where error.code.isLostPeer {
      // A planner is stateless: another one, or the same one after a restart, makes the same plan.
      try await context.bus.waitForPeers([.planner], deadline: Self.returnDeadline)
      return try await call(asked, exchange)
    }
  }

  private func call(_ asked: PlanRequest, _ exchange: Exchange) async throws(Failure) -> Body {
    try await context.bus.call(
      .planRequest(asked), to: .service(.planner), deadline: Self.planDeadline,
      trace: exchange.trace)
  }

  // MARK: - Running the plan

  /// Sends the plan to a dispatcher and passes on its events. If the dispatcher is lost, another
  /// one gets the remaining tasks, the outputs of finished tasks, and the part of the answer that
  /// the client has received.
  func run(
    _ plan: RunningPlan, _ exchange: Exchange,
    _ receive: (PlanEvent) async throws(Failure) -> Void
  ) async throws(Failure) {
    for dispatch in 1...Self.maximumDispatches {
      let span = exchange.journal.phase(.dispatch)
      do throws(Failure) {
        try await run(plan, exchange, dispatch, span, receive)
        if let outcome = plan.estimateOutcome { estimates.learn(outcome) }
        describe(plan, span)
        return
      } catch {
        describe(plan, span, error)
        guard error.code.isLostPeer else { throw plan.budget?.explained(error) ?? error }
        if let obstacle = plan.read(\.obstacle) {
          throw Failure(
            .upstreamFailed,
            "the dispatcher was lost during the answer (\(error.message)), and another dispatcher "
              + "cannot continue it: \(obstacle); ask again")
        }
        let left = plan.left
        guard dispatch < Self.maximumDispatches, .zero < left else { throw error }
        context.logger.notice(
          "a plan lost its dispatcher and is sent to another one",
          metadata: [
            LogKey.trace: "\(exchange.trace.trace)", LogKey.reason: "\(error.message)",
          ])
        try await context.bus.waitForPeers(
          [.dispatcher], deadline: min(left, Self.returnDeadline))
      }
    }
  }

  private func run(
    _ plan: RunningPlan, _ exchange: Exchange, _ dispatch: Int, _ span: OpenSpan,
    _ receive: (PlanEvent) async throws(Failure) -> Void
  ) async throws(Failure) {
    let order = plan.order(
      for: exchange, terms: exchange.request.options.terms(over: configuration.deadlines.of(.plan)))
    span.set("pattern", order.plan.pattern)
    span.set("dispatcher", String(dispatch))
    let events = context.bus.stream(
      .runPlan(order), to: .service(.dispatcher),
      // The dispatcher enforces the deadline itself and reports what was missed.
      deadline: order.plan.deadline + Self.deadlineGrace,
      trace: span.context, idempotencyKey: Array("\(order.plan.id)/\(dispatch)".utf8))
    // The answer and the task outputs are kept until the plan ends.
    var uncharged = 0
    for try await body in events {
      guard case .planEvent(let event) = body else {
        throw Failure(.internalError, "the dispatcher sent a message that is not a plan event")
      }
      uncharged += event.keptBytes
      if uncharged >= Limits.turnBytes.value {
        try exchange.reservation.charge(uncharged)
        uncharged = 0
      }
      plan.record(event)
      try await receive(event)
    }
    guard plan.read({ $0.ending != nil }) else {
      throw Failure(.upstreamFailed, "the dispatcher ended the plan without an answer")
    }
  }

  /// Adds to the span which task reads which, and what did not go as planned.
  private func describe(_ plan: RunningPlan, _ span: OpenSpan, _ failure: Failure? = nil) {
    let told = plan.read { $0 }
    if !told.plan.reason.isEmpty { span.set("reason", told.plan.reason) }
    if let failure { span.set("error", failure.code.rawValue) }
    if let outcome = plan.estimateOutcome {
      span.set("estimate", outcome.text)
      span.set("estimate_outcome", outcome.verdict.rawValue)
    }
    span.set(told.spanFacts.attributes())
    span.end(failed: failure != nil)
  }

  // MARK: - Reporting

  func note(_ told: PlanTrace, _ exchange: Exchange) {
    let prices = Dictionary(
      context.hosts.table.hosts.map { ($0.id, $0.pricePerMillion) }
    ) { first, _ in first }
    exchange.journal.recordAnswer(
      by: told.task(told.plan.sink)?.host?.name ?? "", usage: told.usage,
      credits: told.credits(prices: prices))
  }

  func additions(
    _ told: PlanTrace, _ outcome: EstimateOutcome?, _ exchange: Exchange
  ) -> [(String, JSON)] {
    guard exchange.request.options.trace else { return [] }
    return [
      (
        "tutti",
        TraceExtension.json(
          exchange.trace.trace, told, exchange.journal.times, estimate: outcome,
          hasOutputs: exchange.request.options.tracesOutputs)
      )
    ]
  }

  // MARK: - Not streamed

  private func answerWhole(
    _ exchange: Exchange, _ plan: RunningPlan, _ composer: ChatComposer
  ) async throws(Failure) -> Response {
    var message = MessageAssembler()
    do throws(Failure) {
      try await run(plan, exchange) { event in
        switch event {
        case .delta(let delta):
          exchange.journal.recordFirstToken()
          message.add(delta)
        case .ended(let ended) where ended.status == .degraded:
          // A draft may replace an answer that was cut off.
          guard ended.task == plan.read(\.plan.sink), let output = ended.report?.output,
            output != message.text
          else { break }
          message = MessageAssembler()
          message.add(TaskDelta(text: output))
        case .started, .firstToken, .ended, .expanded, .finished: break
        }
      }
    } catch {
      note(plan.read { $0 }, exchange)
      throw error
    }
    let told = plan.read { $0 }
    note(told, exchange)
    let body = composer.body(
      message: message.message, finish: told.ending?.finishReason ?? "stop", usage: told.usage,
      adding: additions(told, plan.estimateOutcome, exchange))
    let response = try json(body, exchange)
    exchange.journal.end(status: 200)
    return response
  }
}
