import BusCore
import ClusterModel
import GatewayCore
import HostModel
import InferenceCore
import Wire

/// One planned request in a gateway: lets a planner make the plan and a dispatcher run it, and
/// passes on the plan's events.
final class PlanExchange {
  private static let planDeadline = Duration.seconds(5)
  private static let deadlineGrace = Duration.milliseconds(500)
  private static let returnDeadline = Duration.seconds(10)
  private static let maximumDispatches = 2

  private let exchange: Exchange
  private let parsed: ClientRequest
  private let pattern: String
  private var asked: PlanRequest?
  private var trace: PlanTrace?
  private var began = Instant.zero
  private var end = Instant.zero
  private var dispatches = 0
  private var took: Duration?
  /// The open call or stream.
  private var pending: UInt64?
  private var isOver = false
  private var message = MessageAssembler()
  private let composer: ChatComposer

  init(_ exchange: Exchange, _ parsed: ClientRequest, _ pattern: String) {
    self.exchange = exchange
    self.parsed = parsed
    self.pattern = pattern
    composer = ChatComposer(
      id: "chatcmpl-\(exchange.trace.trace)", model: parsed.model.name, created: 1)
  }

  private var gateway: GatewayNode { exchange.gateway }
  private var process: SimulatedProcess { gateway.process }
  private var request: SimulatedRequest { exchange.request }
  private var cluster: SimulatedCluster { process.cluster }

  func leave() {
    isOver = true
    if let pending { process.abandon(pending) }
  }

  private func fail(_ failure: Failure) {
    isOver = true
    exchange.end(failure)
  }

  // MARK: - Making the plan

  func begin() {
    let hosts = gateway.inference.view().hosts()
    let options = parsed.options
    let available = hosts.chatModels(policy: options.dataPolicy, named: options.models)
    guard !available.isEmpty else {
      return fail(Failure(.noEligibleHost, "no host is ready for a plan"))
    }
    let facts = gateway.estimates.atTheirBest(
      hosts.facts(policy: options.dataPolicy), now: process.now)
    let asked = PlanRequest(
      parsed, pattern: pattern, budget: nil, seed: options.seed ?? 0, available: available,
      hosts: facts, correction: gateway.estimates.correction(at: process.now))
    self.asked = asked
    plan(asked, mayRepeat: true)
  }

  private func plan(_ asked: PlanRequest, mayRepeat: Bool) {
    pending = process.call(
      .planRequest(asked), to: .service(.planner), deadline: Self.planDeadline,
      trace: exchange.trace
    ) { [self] result in
      pending = nil
      guard !isOver else { return }
      switch result {
      case .success(.plan(let plan)): planned(plan)
      case .success: fail(Failure(.internalError, "the planner's reply is not a plan"))
      case .failure(let failure):
        guard mayRepeat, failure.isLostPeer else { return fail(failure) }
        process.waitForPeer(.planner, deadline: Self.returnDeadline) { [self] failure in
          if isOver { return }
          if let failure { fail(failure) } else { plan(asked, mayRepeat: false) }
        }
      }
    }
  }

  private func planned(_ made: Plan) {
    var plan = made
    plan.deadline = min(
      plan.deadline, parsed.options.deadlines(over: gateway.deadlines.of(.plan)).total)
    began = process.now
    end = began + plan.deadline
    trace = PlanTrace(plan)
    process.note("\(request.name): plan of \(plan.tasks.count) tasks, pattern \(plan.pattern)")
    dispatch()
  }

  // MARK: - Running the plan

  private func dispatch() {
    guard let trace, let asked else { return }
    dispatches += 1
    self.trace?.beginDispatch()
    var plan = trace.plan
    plan.deadline = max(.milliseconds(1), process.now.duration(to: end))
    let order = PlanOrder(
      plan: plan, conversation: parsed.conversation, finished: trace.finished,
      skipped: trace.skipped, dataPolicy: parsed.options.dataPolicy,
      terms: parsed.options.terms(over: gateway.deadlines.of(.plan)), request: asked,
      documents: parsed.options.documents, client: "client", sinkPrefix: trace.answer,
      isWhole: !parsed.stream)
    process.note("\(request.name): dispatch \(dispatches)")
    pending = process.stream(
      .runPlan(order), to: .service(.dispatcher), deadline: plan.deadline + Self.deadlineGrace,
      trace: exchange.trace, idempotencyKey: Array("\(plan.id)/\(dispatches)".utf8),
      item: { [self] body in received(body) }, end: { [self] failure in ended(failure) })
  }

  private func received(_ body: Body) {
    guard !isOver else { return }
    guard case .planEvent(let event) = body else {
      return fail(Failure(.internalError, "the dispatcher sent a message that is no plan event"))
    }
    if case .finished = event, trace?.ending != nil {
      cluster.violation("\(request.name) has two results")
    }
    trace?.record(event)
    switch event {
    case .delta(let delta):
      if parsed.stream {
        request.receive(chunk: composer.delta(delta))
      } else {
        message.add(delta)
      }
    case .ended(let ended):
      process.note("\(request.name): task \(ended.task) \(ended.status.rawValue) \(ended.reason)")
      guard !parsed.stream, ended.status == .degraded, ended.task == trace?.plan.sink,
        let output = ended.report?.output, output != message.text
      else { return }
      message = MessageAssembler()
      message.add(TaskDelta(text: output))
    case .finished: took = began.duration(to: process.now)
    case .started, .firstToken, .expanded: break
    }
  }

  private func ended(_ failure: Failure?) {
    pending = nil
    guard !isOver, let trace else { return }
    guard let failure else {
      guard trace.ending != nil else {
        return fail(
          Failure(.upstreamFailed, "the dispatcher ended the plan without an answer"))
      }
      return finish(trace)
    }
    guard failure.isLostPeer else { return fail(failure) }
    if let obstacle = trace.obstacle { return fail(Failure(.upstreamFailed, obstacle)) }
    let left = process.now.duration(to: end)
    guard dispatches < Self.maximumDispatches, .zero < left else { return fail(failure) }
    process.waitForPeer(.dispatcher, deadline: min(left, Self.returnDeadline)) { [self] failure in
      if isOver { return }
      if let failure { fail(failure) } else { dispatch() }
    }
  }

  private func finish(_ trace: PlanTrace) {
    isOver = true
    if let took,
      let outcome = EstimateOutcome(
        trace, took: took, dispatches: dispatches,
        correction: gateway.estimates.correction(at: process.now)),
      let lesson = outcome.lesson
    {
      gateway.estimates.learn(lesson, now: process.now)
    }
    let reason = trace.ending?.finishReason ?? "stop"
    if parsed.stream {
      request.receive(chunk: composer.closing(finish: reason))
      request.receive(chunk: composer.extra([("usage", ChatComposer.usage(trace.usage))]))
    } else {
      request.receive(
        body: composer.body(message: message.message, finish: reason, usage: trace.usage))
    }
    cluster.check(trace, of: request, dispatches: dispatches)
    exchange.end(nil)
  }
}

extension Failure {
  /// Whether the called service is lost, so that another one can take over.
  var isLostPeer: Bool {
    switch code {
    case .peerLost, .noPeer, .streamGap, .shuttingDown: true
    default: false
    }
  }
}
