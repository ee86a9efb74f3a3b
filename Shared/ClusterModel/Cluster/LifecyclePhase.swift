/// Stage of a request, and the name of its span.
///
/// Code that opens a span names its phase, so traces of all services read the same.
///
/// Not every phase has a span. `prompting` and `inference` belong to the span `work` of a task,
/// otherwise to `request`. A directly answered request has only the span `request`, and for
/// `tutti/auto` also `ingress` and `gate`.
public enum LifecyclePhase: String, Codable, CaseIterable, Sendable {
  /// All phases together: the root span of every trace. The gateway writes it last.
  case request
  /// Gateway: admits the request, then reads and checks its body.
  case ingress
  /// Gateway: decides if `tutti/auto` is answered directly, and why.
  case gate
  /// Planner: turns the request into a plan.
  case planning
  /// Gateway: a dispatcher has the plan. One span per dispatcher that had it.
  case dispatch
  /// Dispatcher: runs the plan.
  case execution
  /// Dispatcher: an agent has a task. One span per agent that had it.
  case task
  /// Dispatcher: computes a task's result from its inputs without a model.
  case merging
  /// Planner: turns a task's output into more tasks.
  case expansion
  /// Agent: works on a task.
  case work
  /// Agent: builds the prompt.
  case prompting
  /// Gateway or agent: chooses and races hosts, streams the answer, and fails over if a host breaks
  /// off.
  case inference
  /// Gateway: streams a plan's answer, from its first chunk to its end.
  case delivery
  /// Gateway: records the tokens and the cost of a plan.
  case accounting
}
