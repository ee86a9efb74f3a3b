import Clocks
import ClusterModel
import GatewayCore
import Synchronization
import Telemetry

/// A running plan, shared by the Swift task that receives the dispatcher's events and the one that
/// writes to the client.
final class RunningPlan: Sendable {
  /// The token budget. `nil` means no limit.
  let budget: TokenBudget?
  /// The request for which the planner made the plan.
  private let request: PlanRequest
  /// Models from which agents choose for tasks that name none.
  private let models: AllowedModels
  private let reservation: PlanReservation
  private struct State {
    var trace: PlanTrace
    /// Time from start to finish. `nil` means that the plan has not ended.
    var took: Duration?
    /// Number of dispatchers that received the plan.
    var dispatches = 0
    /// The dispatcher whose events the gateway reads. `nil` means that there is none, or that its
    /// last event was read.
    var dispatcher: PeerID?
  }
  private let state: Mutex<State>
  private let clock = ProcessClock()
  private let deadline: Instant

  init(
    _ plan: Plan, request: PlanRequest, models: AllowedModels = .all, budget: TokenBudget?,
    reservation: PlanReservation
  ) {
    self.request = request
    self.models = models
    self.reservation = reservation
    self.budget = budget
    state = Mutex(State(trace: PlanTrace(plan)))
    deadline = .zero + plan.deadline
  }

  /// Time since the plan began, on the plan's own clock.
  var now: Instant { clock.now }

  /// Time until the deadline.
  var remaining: Duration { now.duration(to: deadline) }

  /// The dispatch whose events the gateway stopped reading before the plan's end. `nil` means none.
  var unreadDispatch: PlanDispatch? {
    state.withLock { state in
      state.dispatcher.map { PlanDispatch(dispatcher: $0, number: state.dispatches) }
    }
  }

  /// Records the dispatcher whose events are read. `nil` means that its last event was read.
  func recordDispatcher(_ dispatcher: PeerID?) { state.withLock { $0.dispatcher = dispatcher } }

  func record(_ event: PlanEvent) {
    // The time is read before the wait for the lock. The task that writes to the client does not
    // read it, because a slow client delays that task.
    let took = now.sinceStart
    state.withLock {
      $0.trace.record(event)
      if case .finished = event { $0.took = took }
    }
  }

  func read<Value: Sendable>(_ body: (PlanTrace) -> Value) -> Value {
    state.withLock { body($0.trace) }
  }

  /// The learned correction of estimates with which the plan was made.
  var correction: EstimateCorrection { request.correction }

  /// The hosts with which the plan was made.
  var hosts: [HostFacts] { request.hosts }

  /// Comparison of the estimate with the measured time. `nil` means that the plan has no estimate
  /// or has not ended.
  var estimateOutcome: EstimateOutcome? {
    state.withLock { state in
      state.took.flatMap {
        EstimateOutcome(
          state.trace, took: $0, dispatches: state.dispatches, correction: request.correction)
      }
    }
  }

  /// The plan and its state so far, for a dispatcher. The dispatcher runs the remaining tasks.
  /// - Parameters:
  ///   - pools: host pools of the client's key.
  ///   - client: the client's tag.
  ///   - terms: settings for every inference of the plan.
  func order(
    for clientRequest: ClientRequest, pools: HostPools, client: String, terms: InferenceTerms
  ) -> PlanOrder {
    state.withLock { state in
      state.dispatches += 1
      state.trace.beginDispatch()
      let trace = state.trace
      var plan = trace.plan
      plan.deadline = max(.milliseconds(1), remaining)
      return PlanOrder(
        plan: plan, conversation: clientRequest.conversation, finished: trace.finished,
        skipped: trace.skipped, dataPolicy: clientRequest.options.dataPolicy, pools: pools,
        models: models, terms: terms,
        request: request,
        documents: clientRequest.options.documents, client: client,
        sinkPrefix: trace.answer, isWhole: !clientRequest.stream, dispatch: state.dispatches)
    }
  }

  /// Ends the span of one dispatch. Its attributes are the plan's reason, the dependencies of
  /// tasks, tasks that departed from the plan, and the outcome of the estimate.
  func endDispatch(_ span: OpenSpan, _ failure: Failure? = nil) {
    let trace = read { $0 }
    if !trace.plan.reason.isEmpty { span.set("reason", trace.plan.reason) }
    if let failure { span.set("error", failure.code.rawValue) }
    if let outcome = estimateOutcome {
      span.set("estimate", outcome.text)
      span.set("estimate_outcome", outcome.verdict.rawValue)
    }
    span.set(trace.spanFacts.attributes())
    span.end(failed: failure != nil)
  }
}
