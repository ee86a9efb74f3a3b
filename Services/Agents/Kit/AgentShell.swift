import Limits
import AgentCore
import Bus
import BusCore
import ClusterModel
import Inference
import InferenceCore
import Metrics
import ServiceKit
import Synchronization
import Telemetry

/// Runs a limited number of tasks at the same time, each as a `TaskWork`.
final class AgentShell: Sendable {
  private let role: Role
  private let inference: InferenceClient
  private let context: ServiceContext
  private let tasks: Mutex<TaskCount>

  init(role: Role, maxTasks: Int, inference: InferenceClient, context: ServiceContext) {
    self.role = role
    tasks = Mutex(TaskCount(configured: maxTasks))
    self.inference = inference
    self.context = context
  }

  /// Applies values that admins set at run time.
  func apply(_ overrides: RuntimeOverrides) {
    tasks.withLock { $0.apply(overrides) }
  }

  /// Maximum wait for the host table. A restarted agent may receive tasks before it has the table.
  private static let tableWait = Duration.seconds(5)

  func perform(_ request: BusRequest, _ writer: StreamWriter) async throws(Failure) {
    guard case .runTask(let order) = request.body else {
      throw Failure(.unhandled, "an agent only does tasks")
    }
    let (isAdmitted, running) = tasks.withLock { ($0.begin(), $0.running) }
    guard isAdmitted else {
      throw Failure(
        .overloaded, "\(context.common.name) does \(counted(running, "task")) already",
        retryAfter: .seconds(1))
    }
    gauge()
    defer {
      tasks.withLock { $0.end() }
      gauge()
    }
    let patience = min(request.remaining ?? Self.tableWait, Self.tableWait)
    guard await context.hosts.waitForTable(within: patience) else {
      throw Failure(
        .overloaded,
        "\(context.common.name) has no host table yet; is tutti-registry running?",
        retryAfter: .seconds(1))
    }
    let span = context.recorder.span(.work, in: request.trace)
    span.set(TaskSpanFacts(task: order.task.id, role: role.name).attributes)
    let started = ContinuousClock.now
    do throws(Failure) {
      var work = TaskWork(
        order: order, role: role, inference: inference, span: span, remaining: request.remaining
      ) { event throws(Failure) in try writer.send(.taskEvent(event)) }
      let (report, attempts) = try await work.run()
      let facts = TaskSpanFacts(
        host: report.host, model: report.model, promptTokens: report.usage.promptTokens,
        completionTokens: report.usage.completionTokens)
      span.set(facts.attributes)
      span.set(AttemptFacts.attributes(attempts.map(\.facts)))
      span.end()
      count("done", since: started)
    } catch {
      let facts = TaskSpanFacts(
        error: error.code.rawValue, reason: error.message.isEmpty ? nil : error.message)
      span.set(facts.attributes)
      span.end(failed: true)
      count(error.code == .cancelled ? "cancelled" : "failed", since: started)
      throw error
    }
  }

  private func gauge() {
    Gauge(label: "tutti_agent_running_tasks").record(tasks.withLock(\.running))
  }

  private func count(_ outcome: String, since started: ContinuousClock.Instant) {
    let dimensions = [("role", role.name.rawValue), ("outcome", outcome)]
    Counter(label: "tutti_agent_tasks_total", dimensions: dimensions).increment()
    Timer(label: "tutti_agent_task_seconds", dimensions: [("role", role.name.rawValue)])
      .record(duration: started.duration(to: .now))
  }
}
