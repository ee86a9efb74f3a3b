import Bus
import BusCore
import ClusterModel
import GatewayCore
import Hummingbird
import InferenceCore
import Logging
import NIOCore
import ServiceKit
import Telemetry
import Text
import Wire

extension GatewayShell {
  /// Making a plan is a function; a planner that takes longer is gone.
  private static let planDeadline = Duration.seconds(5)
  /// A service that was restarted says hello within a second or two.
  private static let returnDeadline = Duration.seconds(10)
  /// Dispatchers that are given one plan: the first, and one more when it dies.
  private static let maximumDispatches = 2
  /// Events on their way to a client that reads slowly: some 4,000 tokens.
  private static let maximumWaitingEvents = 4_096

  /// The plan path: the planner is asked once, then one dispatcher runs the plan and streams.
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
        try await self.cut(error, exchange.journal, &writer)
      }
    }
  }

  private func makePlan(_ exchange: Exchange, _ pattern: String) async throws(Failure) -> Plan {
    let request = exchange.request
    let table = context.hosts.table
    let available = GatewayRouting.available(table, policy: request.options.dataPolicy)
    guard !available.isEmpty else {
      let constraints = InferenceConstraints(
        dataPolicy: request.options.dataPolicy, seed: exchange.seed)
      let why = Eligibility(model: nil, constraints: constraints, table: table)
      throw Failure(.noEligibleHost, why.explanation(model: nil))
    }
    let asked = PlanRequest(
      pattern: pattern, query: request.query, models: request.options.models,
      members: request.options.members, rounds: request.options.rounds,
      quorum: request.options.quorum, seed: exchange.seed, maxTokens: request.maxTokens,
      available: available, budgetTokens: request.options.budgetTokens,
      dataPolicy: request.options.dataPolicy)
    let body: Body
    do throws(Failure) {
      body = try await call(asked, exchange)
    } catch  where error.isLostPeer {
      // A planner keeps nothing: another, or the same one restarted, makes the same plan.
      try await context.bus.waitForPeers([.planner], deadline: Self.returnDeadline)
      body = try await call(asked, exchange)
    }
    guard case .plan(var plan) = body else {
      throw Failure(.internalError, "the planner answered something that is no plan")
    }
    plan.deadline = min(
      plan.deadline, request.options.deadlines(over: configuration.deadlines).total)
    return plan
  }

  private func call(_ asked: PlanRequest, _ exchange: Exchange) async throws(Failure) -> Body {
    try await context.bus.call(
      .planRequest(asked), to: .service(.planner), deadline: Self.planDeadline,
      trace: exchange.trace)
  }

  // MARK: - Running it

  /// Hands the plan to a dispatcher and passes on what it tells. When it dies before a piece of the
  /// answer was passed on, what is left of the plan goes to another.
  private func run(
    _ plan: Plan, _ exchange: Exchange,
    _ receive: (PlanEvent) async throws(Failure) -> Void
  ) async throws(Failure) {
    let clock = ContinuousClock()
    let end = clock.now.advanced(by: plan.deadline)
    var told = PlanTrace()
    for dispatch in 1...Self.maximumDispatches {
      let order = PlanOrder(
        plan: plan, conversation: exchange.request.conversation, finished: told.finished,
        dataPolicy: exchange.request.options.dataPolicy,
        terms: exchange.request.options.terms(over: configuration.deadlines))
      do throws(Failure) {
        let events = context.bus.stream(
          .runPlan(order), to: .service(.dispatcher), deadline: clock.now.duration(to: end),
          trace: exchange.trace, idempotencyKey: Array("\(plan.id)/\(dispatch)".utf8))
        for try await body in events {
          guard case .planEvent(let event) = body else {
            throw Failure(.internalError, "the dispatcher sent something that is no event")
          }
          told.record(event)
          try await receive(event)
        }
        guard told.ending != nil else {
          throw Failure(.upstreamFailed, "the dispatcher ended the plan without an answer")
        }
        return
      } catch {
        if error.isLostPeer, told.hasBegun {
          throw Failure(.upstreamFailed, "the dispatcher was lost in mid-answer: \(error.message)")
        }
        guard error.isLostPeer, dispatch < Self.maximumDispatches else {
          throw error
        }
        context.logger.notice(
          "a plan lost its dispatcher and goes to another",
          metadata: ["trace_id": "\(exchange.trace.trace)", "reason": "\(error.message)"])
        let left = min(clock.now.duration(to: end), Self.returnDeadline)
        guard left > .zero else { throw error }
        try await context.bus.waitForPeers([.dispatcher], deadline: left)
      }
    }
  }

  private func note(_ told: PlanTrace, _ plan: Plan, _ exchange: Exchange) {
    let sink = told.tasks.first { $0.id == plan.sink }
    exchange.journal.answered(by: sink?.host?.name ?? "", usage: told.usage)
  }

  private func additions(
    _ told: PlanTrace, _ plan: Plan, _ exchange: Exchange
  ) -> [(String, JSON)] {
    guard exchange.request.options.trace else { return [] }
    return [
      (
        "tutti",
        told.json(trace: exchange.trace.trace, pattern: plan.pattern, seed: exchange.seed)
      )
    ]
  }

  // MARK: - Not streamed

  private func answerWhole(
    _ exchange: Exchange, _ plan: Plan, _ composer: ChatComposer
  ) async throws(Failure) -> Response {
    var told = PlanTrace()
    var message = MessageAssembler()
    try await run(plan, exchange) { event in
      told.record(event)
      if case .delta(let delta) = event {
        exchange.journal.sentFirstToken()
        message.add(delta)
      }
    }
    note(told, plan, exchange)
    exchange.journal.end(status: 200)
    let body = composer.body(
      message: message.message, finish: told.ending?.finishReason ?? "stop", usage: told.usage,
      adding: additions(told, plan, exchange))
    return json(body, exchange.trace)
  }

  // MARK: - Streamed

  /// What the writer of a stream waits for.
  private enum Signal: Sendable {
    case event(PlanEvent)
    case tick
    case over(Result<Void, Failure>)
  }

  @concurrent
  private func relay(
    _ exchange: Exchange, _ plan: Plan, _ composer: ChatComposer,
    _ writer: inout any ResponseBodyWriter
  ) async throws(Failure) {
    let (signals, source) = AsyncStream<Signal>.makeStream(
      bufferingPolicy: .bufferingOldest(Self.maximumWaitingEvents))
    let place = answers.enter { source.yield(.over(.failure(OpenAnswers.ended))) }
    defer { place.leave() }
    let keepAlive = configuration.keepAlive
    let result = await withTaskGroup(of: Void.self) { group in
      group.addTask {
        var outcome = Result<Void, Failure>.success(())
        do throws(Failure) {
          try await self.run(plan, exchange) { event throws(Failure) in
            if case .dropped = source.yield(.event(event)) {
              throw Failure(.slowReader, "the client reads more slowly than the answer comes")
            }
          }
        } catch {
          outcome = .failure(error)
        }
        // Room for this one is certain only when the reader has caught up.
        while case .dropped = source.yield(.over(outcome)) { await Task.yield() }
      }
      group.addTask {
        while (try? await Task.sleep(for: keepAlive)) != nil { source.yield(.tick) }
      }
      let result = await write(signals, exchange, plan, composer, &writer)
      group.cancelAll()
      source.finish()
      return result
    }
    try result.get()
  }

  @concurrent
  private func write(
    _ signals: AsyncStream<Signal>, _ exchange: Exchange, _ plan: Plan, _ composer: ChatComposer,
    _ writer: inout any ResponseBodyWriter
  ) async -> Result<Void, Failure> {
    var told = PlanTrace()
    var isOpen = false
    do throws(Failure) {
      for await signal in signals {
        switch signal {
        case .tick:
          if !isOpen { try await send(SSE.keepAlive, &writer) }
        case .event(let event):
          told.record(event)
          if let step = PlanTrace.progress(event) {
            try await send(SSE.comment(Array("tutti ".utf8) + step.encoded), &writer)
          }
          guard case .delta(let delta) = event, !delta.text.isEmpty || delta.deltaJSON != nil
          else { continue }
          if !isOpen { try await send(SSE.data(composer.opening()), &writer) }
          isOpen = true
          try await send(SSE.data(composer.delta(delta)), &writer)
          exchange.journal.sentFirstToken()
        case .over(.failure(let failure)): throw failure
        case .over(.success):
          if !isOpen { try await send(SSE.data(composer.opening()), &writer) }
          try await close(told, exchange, plan, composer, &writer)
          return .success(())
        }
      }
      // Only a cancelled task leaves the loop without an end.
      throw Failure(.cancelled, "the client has left")
    } catch {
      return .failure(error)
    }
  }

  @concurrent
  private func close(
    _ told: PlanTrace, _ exchange: Exchange, _ plan: Plan, _ composer: ChatComposer,
    _ writer: inout any ResponseBodyWriter
  ) async throws(Failure) {
    note(told, plan, exchange)
    let finish = told.ending?.finishReason ?? "stop"
    let extra = additions(told, plan, exchange)
    if exchange.request.includeUsage {
      try await send(SSE.data(composer.closing(finish: finish)), &writer)
      let usage = [("usage", ChatComposer.usage(told.usage))]
      try await send(SSE.data(composer.extra(usage + extra)), &writer)
    } else {
      try await send(SSE.data(composer.closing(finish: finish, adding: extra)), &writer)
    }
    try await send(SSE.done, &writer)
    try await self.finish(&writer)
    exchange.journal.end(status: 200)
  }
}

extension Failure {
  /// Whoever was asked is gone, and somebody else may do it.
  fileprivate var isLostPeer: Bool {
    switch code {
    case .peerLost, .noPeer, .streamGap, .shuttingDown: true
    default: false
    }
  }
}
