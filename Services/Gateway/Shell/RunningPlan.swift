import ClusterModel
import GatewayCore
import Synchronization

/// A running plan, shared by the task that receives the dispatcher's events and the task that
/// writes to the client.
final class RunningPlan: Sendable {
  /// The token budget. `nil` means no limit.
  let budget: TokenBudget?
  /// The request that the plan was made from.
  private let asked: PlanRequest
  private let reservation: PlanReservation
  private struct State {
    var trace: PlanTrace
    /// Time from start to finish. `nil` means that the plan has not ended.
    var took: Duration?
    /// Dispatchers that received the plan.
    var dispatches = 0
  }
  private let state: Mutex<State>
  private let began = ContinuousClock.now
  private let end: ContinuousClock.Instant

  init(_ plan: Plan, asked: PlanRequest, budget: TokenBudget?, reservation: PlanReservation) {
    self.asked = asked
    self.reservation = reservation
    self.budget = budget
    state = Mutex(State(trace: PlanTrace(plan)))
    end = began.advanced(by: plan.deadline)
  }

  /// Time since the plan began, on the plan's own clock.
  var now: Instant { Instant(sinceStart: began.duration(to: .now)) }

  /// Time until the deadline.
  var left: Duration { ContinuousClock.now.duration(to: end) }

  func record(_ event: PlanEvent) {
    // Measured before the lock, and not after a slow client has read everything.
    let took = began.duration(to: .now)
    state.withLock {
      $0.trace.record(event)
      if case .finished = event { $0.took = took }
    }
  }

  func read<Value: Sendable>(_ body: (PlanTrace) -> Value) -> Value {
    state.withLock { body($0.trace) }
  }

  /// The learned correction of estimates with which the plan was made.
  var correction: EstimateCorrection { asked.correction }

  /// `nil` means that the plan has no estimate or has not ended.
  var estimateOutcome: EstimateOutcome? {
    state.withLock { state in
      state.took.flatMap {
        EstimateOutcome(
          state.trace, took: $0, dispatches: state.dispatches, correction: asked.correction)
      }
    }
  }

  /// The remaining part of the plan, for a dispatcher.
  func order(for exchange: GatewayShell.Exchange, terms: InferenceTerms) -> PlanOrder {
    state.withLock { state in
      state.dispatches += 1
      let trace = state.trace
      var plan = trace.plan
      plan.deadline = max(.milliseconds(1), left)
      return PlanOrder(
        plan: plan, conversation: exchange.request.conversation, finished: trace.finished,
        skipped: trace.skipped, dataPolicy: exchange.request.options.dataPolicy, terms: terms,
        request: asked,
        documents: exchange.request.options.documents, client: exchange.client,
        sinkPrefix: trace.answer, isWhole: !exchange.request.stream)
    }
  }
}
