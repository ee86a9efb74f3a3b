import Bus
import ClusterModel
import DispatcherCore
import ServiceKit
import Telemetry

extension PlanRunner {
  /// Waits for the client's turn, runs the task at an agent and passes on its events.
  ///
  /// The task waits for its host first. A task that held an agent while it waited for a busy host
  /// would block tasks whose host is idle. The end of the task is handled after the host and the
  /// agent are free.
  func follow(_ start: TaskStart) async {
    let asked = now
    let work = HostWork(start, expectedTokens: PlanRunLimits.standard.expectedTokens)
    let end = await shell.turns.withHost(for: work, client: client) { placement in
      await self.work(on: start, asked: asked, placement)
    }
    if let end = end ?? nil { handle(end) }
  }

  /// - Returns: the event that ends the attempt, and the report of a task that succeeded. A
  ///   cancelled attempt ends without an event.
  private func work(
    on start: TaskStart, asked: Instant, _ placement: TaskPlacement
  ) async -> (PlanRunEvent?, TaskReport?) {
    guard await shell.turns.pass(start.role, client: client) else { return (nil, nil) }
    defer { shell.turns.end(start.role) }
    guard let agent = shell.reserve(start) else { return (.noAgent(start.attempt), nil) }
    defer { shell.release(agent) }
    handle(.assigned(start.attempt, agent: agent))
    // If no time is left, the deadline's own timer ends the attempt.
    let remaining = max(.milliseconds(1), start.remaining - asked.duration(to: now))
    let span = span(start, agent: agent)
    if let host = placement.host { span.set("wanted_host", host.name) }
    if let model = placement.model { span.set("wanted_model", model.name) }
    do throws(Failure) {
      let stream = shell.context.bus.stream(
        .runTask(start.order.placed(placement)), to: .peer(agent), deadline: remaining,
        trace: span.context)
      let report = try await passOn(stream, of: start.attempt, from: agent)
      let facts = TaskSpanFacts(
        host: report.host, firstTokenMilliseconds: report.firstTokenMilliseconds,
        completionTokens: report.usage.completionTokens)
      span.set(facts.attributes)
      span.end()
      return (.finished(start.attempt, report), report)
    } catch {
      span.set(TaskSpanFacts(error: error.code.rawValue).attributes)
      span.end(failed: true)
      return (Task.isCancelled ? nil : .failed(start.attempt, error), nil)
    }
  }

  private func span(_ start: TaskStart, agent: PeerID) -> OpenSpan {
    let span = shell.context.recorder.span(.task, in: trace)
    let facts = TaskSpanFacts(
      task: start.attempt.task, role: start.role, agent: agent.name,
      attempt: start.attempt.number)
    span.set(facts.attributes)
    if !start.order.prefix.isEmpty {
      span.set("prefix_bytes", "\(start.order.prefix.utf8.count)")
    }
    return span
  }

  /// - Returns: the agent's final report.
  private func passOn(
    _ stream: BusStream, of attempt: Attempt, from agent: PeerID
  ) async throws(Failure) -> TaskReport {
    for try await body in stream {
      guard case .taskEvent(let event) = body else {
        throw Failure(.internalError, "\(agent.name) sent a message that is not a task event")
      }
      switch event {
      case .began(let began): handle(.began(attempt, began))
      case .delta(let delta): handle(.delta(attempt, delta))
      case .finished(let report): return report
      }
    }
    throw Failure(.upstreamFailed, "\(agent.name) stopped without an answer")
  }
}
