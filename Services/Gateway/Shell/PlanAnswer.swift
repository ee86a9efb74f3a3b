import Bus
import BusCore
import ClusterModel
import GatewayCore
import HostModel
import Hummingbird
import Inference
import InferenceCore
import Limits
import Logging
import Money
import ServiceKit
import Telemetry
import Text

/// The plan path: the planner makes the plan, then one dispatcher runs it and streams events.
struct PlanAnswer: Sendable {
  /// Maximum time for making a plan. It takes no model call, so a planner that needs longer is
  /// lost.
  private static let planDeadline = Duration.seconds(5)
  /// Time after the plan's deadline in which the dispatcher may send its final message.
  private static let deadlineGrace = Duration.milliseconds(500)
  /// Maximum wait for a restarted service, which sends hello within a second or two.
  private static let returnDeadline = Duration.seconds(10)
  /// Maximum dispatchers per plan: the first, and one for failover.
  private static let maximumDispatches = 2

  let resources: GatewayResources
  let exchange: Exchange
  private let pattern: String

  init(_ resources: GatewayResources, _ exchange: Exchange, pattern: String) {
    self.resources = resources
    self.exchange = exchange
    self.pattern = pattern
  }

  func response() async throws -> Response {
    // A key without room for the smallest plan must cost no work of a planner.
    try exchange.journal.raiseUse(to: exchange.request.leastCountedTokens, mayRefuse: true)
    let plan = try await make()
    // Many plans may begin at once, so each is counted before it runs.
    try countTokens(of: plan, mayRefuse: true)
    let composer = ChatComposer(
      id: "chatcmpl-\(exchange.trace.trace)", model: exchange.request.model.name,
      created: Int(UnixTime.microseconds() / 1_000_000))
    guard exchange.request.stream else {
      return try await resources.answers.whileOpen(key: exchange.key) { () throws(Failure) in
        try await self.wholeResponse(plan, composer)
      }
    }
    return Response(events: exchange.trace, paidBy: exchange.payment) { writer in
      let client = ClientStream(writer, self.exchange.journal, self.resources.answers)
      var stream = PlanStream(self, plan, composer, to: client)
      try await stream.run()
    }
  }

  // MARK: - Making the plan

  /// Returns a plan that no dispatcher has received yet.
  func make() async throws(Failure) -> RunningPlan {
    try await resources.answers.whileOpen(key: exchange.key) { () throws(Failure) in
      try await self.makePlan()
    }
  }

  /// Counts the plan's estimated tokens against the limits of the client's key. At the plan's end,
  /// the counted tokens replace them.
  private func countTokens(of plan: RunningPlan, mayRefuse: Bool) throws(Failure) {
    let tokens = exchange.request.expectedTokens(of: plan.read(\.plan), within: plan.budget?.tokens)
    try exchange.journal.raiseUse(to: tokens, mayRefuse: mayRefuse)
  }

  private func makePlan() async throws(Failure) -> RunningPlan {
    let reservation = try exchange.reservation.reservePlan()
    let options = exchange.request.options
    let pools = exchange.rights.pools
    let view = resources.inference.view()
    let hosts = view.hosts(for: ClientFingerprint(tag: exchange.client))
    // An alias counts only if it is named, and a key may allow only an alias.
    let choices = resources.models.value
    let named =
      options.models + exchange.rights.namedModels
      + exchange.chosenPlanModels(choices, in: view.table)
    let allowed = exchange.rights.allowed(
      hosts.chatModels(policy: options.dataPolicy, pools: pools, named: named))
    let payable = exchange.price.map { allowed.filter($0.has) } ?? allowed
    guard !payable.isEmpty else { throw exchange.noHost(in: view) }
    let chosen = try exchange.planModels(choices, from: payable, in: view.table)
    let available = chosen ?? payable
    let isLimited = exchange.key != nil || chosen != nil
    let models = isLimited ? taskModels(available, in: hosts) : .all
    let budget = TokenBudget.of(
      exchange.request, table: view.table, pools: pools, affordable: exchange.planTokens)
    let (facts, correction) = resources.estimates.facts(
      hosts.facts(
        policy: options.dataPolicy, pools: pools, named: named,
        models: isLimited ? AllowedModels(available) : .all))
    let request = PlanRequest(
      exchange.request, exchange.rights, pattern: pattern, budget: budget, seed: exchange.seed,
      available: available, isOrdered: chosen != nil, hosts: facts, correction: correction)
    let reply: Body
    do throws(Failure) {
      reply = try await callPlanner(request)
    } catch {
      throw await explained(error, budget)
    }
    guard case .plan(var plan) = reply else {
      throw Failure(.internalError, "the planner's reply is not a plan")
    }
    let deadlines = options.deadlines(over: resources.configuration.deadlines.of(.plan))
    plan.deadline = min(plan.deadline, deadlines.total)
    exchange.journal.recordPattern(plan.pattern)
    return RunningPlan(
      plan, request: request, models: models, budget: budget, reservation: reservation)
  }

  /// Models from which agents choose for tasks that name none. An agent knows neither the rights of
  /// the key nor the prices, and a model that begins to be offered later has no price in the bill.
  private func taskModels(_ available: [ModelID], in hosts: HostView) -> AllowedModels {
    let embedders = exchange.embedders(in: hosts)
    return AllowedModels(
      chat: available, embedding: exchange.price.map { embedders.filter($0.has) } ?? embedders)
  }

  /// Explains a failure that is about the plan's budget. If the key's money sets the budget, the
  /// registry is asked which ceiling limits it.
  private func explained(_ failure: Failure, _ budget: TokenBudget?) async -> Failure {
    guard let budget else { return failure }
    guard budget.isAboutMoney(failure), let key = exchange.key, let hold = exchange.shortHold
    else { return budget.explained(failure) }
    let report = await resources.reports.report(of: .key("\(key)"))
    return budget.explained(
      failure, shortage: report?.shortage(hold: hold, at: UnixTime.milliseconds()))
  }

  private func callPlanner(_ request: PlanRequest) async throws(Failure) -> Body {
    do throws(Failure) {
      return try await callPlannerOnce(request)
    } catch  where error.code.isLostPeer {
      // A planner has no state. So another planner, or the same one after a restart, makes the same
      // plan.
      try await resources.context.bus.waitForPeers([.planner], deadline: Self.returnDeadline)
      return try await callPlannerOnce(request)
    }
  }

  private func callPlannerOnce(_ request: PlanRequest) async throws(Failure) -> Body {
    try await resources.context.bus.call(
      .planRequest(request), to: .service(.planner), deadline: Self.planDeadline,
      trace: exchange.trace)
  }

  // MARK: - Running the plan

  /// Sends the plan to a dispatcher and passes on its events. If the dispatcher is lost, another
  /// dispatcher gets the plan, the finished and skipped tasks, and the answer so far.
  func run(
    _ plan: RunningPlan, _ receive: (PlanEvent) async throws(Failure) -> Void
  ) async throws(Failure) {
    for number in 1...Self.maximumDispatches {
      let span = exchange.journal.phase(.dispatch)
      do throws(Failure) {
        try await dispatch(plan, number, span, receive)
        if let outcome = plan.estimateOutcome { resources.estimates.learn(outcome) }
        plan.endDispatch(span)
        return
      } catch {
        plan.endDispatch(span, error)
        let remaining = try await remainingTime(of: plan, lostIn: number, error)
        resources.context.logger.notice(
          "a plan lost its dispatcher and is sent to another one",
          metadata: [
            LogKey.trace: "\(exchange.trace.trace)", LogKey.reason: "\(error.message)",
          ])
        try await resources.context.bus.waitForPeers(
          [.dispatcher], deadline: min(remaining, Self.returnDeadline))
      }
    }
  }

  /// Returns the time that another dispatcher has to resume the plan.
  /// - Throws: the error for the client, if no other dispatcher can resume the plan.
  private func remainingTime(
    of plan: RunningPlan, lostIn dispatch: Int, _ error: Failure
  ) async throws(Failure) -> Duration {
    guard error.code.isLostPeer else { throw await explained(error, plan.budget) }
    if let obstacle = plan.read(\.obstacle) {
      throw Failure(
        .upstreamFailed,
        "the dispatcher was lost during the answer (\(error.message)), and another dispatcher "
          + "cannot continue it: \(obstacle); ask again")
    }
    let remaining = plan.remaining
    guard dispatch < Self.maximumDispatches, .zero < remaining else { throw error }
    return remaining
  }

  private func dispatch(
    _ plan: RunningPlan, _ number: Int, _ span: OpenSpan,
    _ receive: (PlanEvent) async throws(Failure) -> Void
  ) async throws(Failure) {
    let order = plan.order(
      for: exchange.request, pools: exchange.rights.pools, client: exchange.client,
      terms: exchange.request.options.terms(over: resources.configuration.deadlines.of(.plan)))
    span.set("pattern", order.plan.pattern)
    span.set("dispatcher", String(number))
    let events = resources.context.bus.stream(
      .runPlan(order), to: .service(.dispatcher),
      // The dispatcher itself enforces the plan's deadline and reports a missed one.
      deadline: order.plan.deadline + Self.deadlineGrace,
      trace: span.context, idempotencyKey: Array("\(order.plan.id)/\(number)".utf8))
    plan.recordDispatcher(events.peer)
    exchange.journal.recordAsking()
    var unreadEvents = events.makeAsyncIterator()
    // Bytes of the answer and the outputs are kept until the plan ends, so they are charged.
    var uncharged = 0
    while let body = try await next(&unreadEvents, plan) {
      guard case .planEvent(let event) = body else {
        throw Failure(.internalError, "the dispatcher sent a message that is not a plan event")
      }
      uncharged += event.keptBytes
      if uncharged >= Limits.turnBytes.value {
        try exchange.reservation.charge(uncharged)
        uncharged = 0
      }
      plan.record(event)
      if case .expanded = event { try countTokens(of: plan, mayRefuse: false) }
      try await receive(event)
    }
    guard plan.read({ $0.ending != nil }) else {
      throw Failure(.upstreamFailed, "the dispatcher ended the plan without an answer")
    }
  }

  /// Returns the dispatcher's next message. `nil` means that the last one was read.
  private func next(
    _ events: inout BusStream.AsyncIterator, _ plan: RunningPlan
  ) async throws(Failure) -> Body? {
    do throws(Failure) {
      let body = try await events.next()
      if body == nil { plan.recordDispatcher(nil) }
      return body
    } catch {
      // With any other failure, the dispatcher has ended the plan or is lost.
      if error.code != .cancelled, error.code != .slowReader { plan.recordDispatcher(nil) }
      throw error
    }
  }

  // MARK: - Reporting

  /// Records the host that writes the answer, for the bill of an answer that breaks off.
  func recordHost(in event: PlanEvent, of plan: RunningPlan) {
    guard let payment = exchange.payment, case .firstToken(let task, let began) = event,
      task == plan.read(\.plan.sink)
    else { return }
    payment.began(by: began)
  }

  /// Accounts for the plan's tokens, even if the plan failed.
  /// - Parameter written: tokens of the answer that the client received.
  func recordUsage(_ trace: PlanTrace, written: Int = 0) {
    exchange.journal.recordAnswer(
      by: trace.task(trace.plan.sink)?.host?.name ?? "",
      usage: exchange.usage(of: trace, written: written),
      finishReason: trace.ending?.finishReason ?? "", costs: hostCosts(of: trace, written: written))
  }

  /// Tokens and costs of the plan's hosts, also of text that the client did not receive.
  func hostCosts(of trace: PlanTrace, written: Int = 0) -> HostCosts {
    exchange.hostCosts(of: trace, written: written, table: resources.context.hosts.table)
  }

  /// Settles a plan whose answer the client did not receive to its end. A client that received no
  /// text pays nothing.
  ///
  /// If this gateway has cancelled the plan, the settlement waits for the tokens of its tasks, and so
  /// do their count against the limits of the key and the record of the request. The memory and the
  /// places of the request stay in use until then, also its place among the key's concurrent
  /// requests.
  ///
  /// - Parameter written: tokens of the answer that the client received.
  func settleIncomplete(_ plan: RunningPlan, written: Int) {
    let (payment, trace) = (exchange.payment, exchange.trace.trace)
    // Without a dispatch to wait for, the key's use ends with the request.
    guard let dispatch = plan.unreadDispatch else {
      resources.departures.end(trace)
      exchange.journal.recordCost(payment?.settle(streamed: plan.read { $0 }))
      return
    }
    let endUse = exchange.journal.takeUse()
    exchange.journal.postpone()
    let table = resources.context.hosts.table
    resources.departures.leave(trace, dispatch) { [exchange] costs in
      var trace = plan.read { $0 }
      if let costs { trace.record(costs) }
      let usage = exchange.usage(of: trace, written: written)
      endUse?(usage)
      let cost = payment?.settle(streamed: trace)
      exchange.journal.recordLate(
        usage, costs: exchange.hostCosts(of: trace, written: written, table: table),
        cost: cost)
      withExtendedLifetime(exchange) {}
    }
  }

  /// The members of the answer that the client requested with its options.
  func additions(
    _ trace: PlanTrace, _ outcome: EstimateOutcome?, _ bill: RequestBill?
  ) -> [(String, JSON)] {
    guard exchange.request.options.trace else { return [] }
    return [
      (
        "tutti",
        TraceExtension.json(
          exchange.trace.trace, trace, exchange.journal.times, estimate: outcome,
          hasOutputs: exchange.request.options.tracesOutputs,
          costs: exchange.shown(hostCosts(of: trace)),
          cost: bill?.billed,
          cut: exchange.payment?.cut)
      )
    ]
  }

  // MARK: - Not streamed

  private func wholeResponse(
    _ plan: RunningPlan, _ composer: ChatComposer
  ) async throws(Failure) -> Response {
    var message = MessageAssembler()
    let id = exchange.trace.trace
    resources.departures.begin(id)
    do throws(Failure) {
      try await run(plan) { event in
        recordHost(in: event, of: plan)
        switch event {
        case .delta(let delta):
          exchange.journal.recordFirstToken()
          message.add(delta)
        case .ended(let ended) where ended.status == .degraded:
          // If the sink was cut off, a draft may have replaced its text.
          guard ended.task == plan.read(\.plan.sink), let output = ended.report?.output,
            output != message.text
          else { break }
          message = MessageAssembler()
          message.add(TaskDelta(text: output))
        case .started, .firstToken, .ended, .expanded, .finished: break
        }
      }
      resources.departures.end(id)
    } catch {
      recordUsage(plan.read { $0 })
      settleIncomplete(plan, written: 0)
      throw error
    }
    let trace = plan.read { $0 }
    recordUsage(trace)
    let bill = exchange.payment?.bill(trace)
    exchange.journal.recordCost(bill?.billed)
    let body = composer.body(
      message: message.message, finish: trace.ending?.finishReason ?? "stop", usage: trace.usage,
      adding: additions(trace, plan.estimateOutcome, bill))
    let response = try exchange.response(body, bill: bill)
    exchange.journal.end(status: 200)
    return response
  }
}
