import ClusterModel
import GatewayCore
import Synchronization

/// A plan while it runs, as two tasks see it: the one that hears the dispatcher, and the one that
/// writes to the client.
final class RunningPlan: Sendable {
  /// What it may cost; nil: anything.
  let budget: TokenBudget?
  /// What it was made from.
  private let asked: PlanRequest
  private let place: PlanPlace
  private struct State {
    var trace: PlanTrace
    /// How long it took; nil: it has not ended.
    var took: Duration?
    /// Dispatchers that were given it.
    var dispatches = 0
  }
  private let state: Mutex<State>
  private let began = ContinuousClock.now
  private let end: ContinuousClock.Instant

  init(_ plan: Plan, asked: PlanRequest, budget: TokenBudget?, place: PlanPlace) {
    self.asked = asked
    self.place = place
    self.budget = budget
    state = Mutex(State(trace: PlanTrace(plan)))
    end = began.advanced(by: plan.deadline)
  }

  /// Since it began, on this plan's own clock.
  var now: Instant { Instant(sinceStart: began.duration(to: .now)) }

  /// Until it has to be done.
  var left: Duration { ContinuousClock.now.duration(to: end) }

  func record(_ event: PlanEvent) {
    // Before the lock, and not when a slow reader has got it all.
    let took = began.duration(to: .now)
    state.withLock {
      $0.trace.record(event)
      if case .finished = event { $0.took = took }
    }
  }

  func read<Value: Sendable>(_ body: (PlanTrace) -> Value) -> Value {
    state.withLock { body($0.trace) }
  }

  /// What was learned of earlier estimates when it was made.
  var correction: EstimateCorrection { asked.correction }

  /// nil: nothing was estimated, or it has not ended.
  var estimateOutcome: EstimateOutcome? {
    state.withLock { state in
      state.took.flatMap {
        EstimateOutcome(
          state.trace, took: $0, dispatches: state.dispatches, correction: asked.correction)
      }
    }
  }

  /// What is left of it, for a dispatcher.
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
