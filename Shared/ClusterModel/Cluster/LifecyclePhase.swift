/// Phase of a request's life, used as span name.
///
/// Code that opens a span names its phase, so traces of all services read the same.
///
/// A directly answered request skips `planning` … `prompting`. A request for a real model or
/// `tutti/fast` also has no `ingress` and `gate` spans. Each attempt of a task at an agent passes
/// `task`, `work`, `prompting` and `inference`.
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
  /// Gateway: sends the answer, from its first chunk to its end.
  case delivery
  /// Gateway: adds up and records the cost of the request.
  case accounting
}
