/// What a request goes through, from the moment it comes in until it is accounted for, in the order in
/// which it first gets there. The phases are the names of spans: whoever opens one says which phase it
/// is, so that a trace reads the same whichever service wrote it.
///
/// A request that is answered directly skips everything from `planning` to `prompting`; a plan comes
/// through `task` … `inference` once for each try of each of its tasks.
public enum LifecyclePhase: String, Codable, CaseIterable, Sendable {
  /// All of them together: the root of every trace. Written by the gateway, as the last span.
  case request
  /// Gateway: a seat is found, the body is read and checked.
  case ingress
  /// Gateway: whether `tutti/auto` is answered directly, and why.
  case gate
  /// Planner: the request becomes a plan.
  case planning
  /// Gateway: a dispatcher has the plan. One for each dispatcher that had it.
  case dispatch
  /// Dispatcher: the plan runs.
  case execution
  /// Dispatcher: an agent has a task. One for each agent that had it.
  case task
  /// Dispatcher: a task's result is computed from its inputs, without a model.
  case merging
  /// Planner: what a task wrote becomes more tasks.
  case expansion
  /// Agent: it works on a task.
  case work
  /// Agent: the prompt is put together.
  case prompting
  /// Gateway or agent: hosts are chosen and race, the answer streams, and goes on at another host where
  /// one breaks off.
  case inference
  /// Gateway: the answer goes out, from its first piece to its end.
  case delivery
  /// Gateway: what it cost is added up and written down.
  case accounting
}
