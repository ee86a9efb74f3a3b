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
  private let trace: Mutex<PlanTrace>
  private let began = ContinuousClock.now
  private let end: ContinuousClock.Instant

  init(_ plan: Plan, asked: PlanRequest, budget: TokenBudget?) {
    self.asked = asked
    self.budget = budget
    trace = Mutex(PlanTrace(plan))
    end = began.advanced(by: plan.deadline)
  }

  /// Since it began, on this plan's own clock.
  var now: Instant { Instant(sinceStart: began.duration(to: .now)) }

  /// Until it has to be done.
  var left: Duration { ContinuousClock.now.duration(to: end) }

  func record(_ event: PlanEvent) { trace.withLock { $0.record(event) } }

  func read<Value: Sendable>(_ body: (PlanTrace) -> Value) -> Value { trace.withLock { body($0) } }

  /// What is left of it, for a dispatcher.
  func order(for exchange: GatewayShell.Exchange, terms: InferenceTerms) -> PlanOrder {
    trace.withLock { trace in
      var plan = trace.plan
      plan.deadline = max(.milliseconds(1), left)
      return PlanOrder(
        plan: plan, conversation: exchange.request.conversation, finished: trace.finished,
        dataPolicy: exchange.request.options.dataPolicy, terms: terms, request: asked,
        documents: exchange.request.options.documents, client: exchange.client,
        sinkPrefix: trace.answer)
    }
  }
}
