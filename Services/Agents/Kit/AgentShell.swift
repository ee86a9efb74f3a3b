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
import Wire

/// Does tasks: composes the prompt, asks through `infer()`, tells the dispatcher what comes.
final class AgentShell: Sendable {
  /// An output larger than this would not fit into another task's prompt, nor on the bus.
  static let outputBytes = 1 << 20

  private let role: Role
  private let maxTasks: Int
  private let inference: InferenceClient
  private let context: ServiceContext
  private let running = Mutex(0)

  init(role: Role, maxTasks: Int, inference: InferenceClient, context: ServiceContext) {
    self.role = role
    self.maxTasks = maxTasks
    self.inference = inference
    self.context = context
  }

  func perform(_ request: BusRequest, _ writer: StreamWriter) async throws(Failure) {
    guard case .runTask(let order) = request.body else {
      throw Failure(.unhandled, "an agent does tasks, nothing else")
    }
    let admitted = running.withLock { running -> Bool in
      guard running < maxTasks else { return false }
      running += 1
      return true
    }
    guard admitted else {
      throw Failure(
        .overloaded, "\(context.common.name) does \(counted(maxTasks, "task")) already",
        retryAfter: .seconds(1))
    }
    gauge()
    defer {
      running.withLock { $0 -= 1 }
      gauge()
    }
    let span = context.recorder.span("agent.task", in: request.trace)
    span.set("task", order.task.id.name)
    span.set("role", role.name.rawValue)
    let started = ContinuousClock.now
    do throws(Failure) {
      let (report, attempts) = try await work(on: order, within: request.remaining, span, writer)
      span.set("host", report.host.name)
      span.set("model", report.model.name)
      span.set("completion_tokens", "\(report.usage.completionTokens)")
      for (index, attempt) in attempts.enumerated() {
        span.set("attempt \(index + 1)", attempt.description)
      }
      span.end()
      count("done", since: started)
    } catch {
      span.set("error", error.code.rawValue)
      if !error.message.isEmpty { span.set("reason", error.message) }
      span.end(failed: true)
      count(error.code == .cancelled ? "cancelled" : "failed", since: started)
      throw error
    }
  }

  private func work(
    on order: TaskOrder, within remaining: Duration?, _ span: OpenSpan, _ writer: StreamWriter
  ) async throws(Failure) -> (TaskReport, [AttemptRecord]) {
    let hosts = context.hosts.table
    let model = role.model(
      for: order.task, among: hosts.readyModels.filter(\.looksLikeChat))
    let request = InferenceRequest(
      endpoint: .chatCompletions, model: model,
      body: try RequestComposition.body(for: order, role: role), stream: true,
      trace: span.context)
    let total = Deadlines.standard.total
    let deadlines = order.terms.deadlines(total: remaining.map { min(total, $0) } ?? total)
    let answer = try await inference.infer(
      request,
      constraints: InferenceConstraints(
        race: order.terms.race, deadlines: deadlines, dataPolicy: order.dataPolicy,
        avoid: HostTurn.avoided(by: order, model: model, hosts: hosts),
        seed: order.task.seed))
    let firstToken = Int(answer.firstToken.wholeMilliseconds)
    try writer.send(
      .taskEvent(
        .began(
          TaskBegan(
            host: answer.host, model: answer.model, firstTokenMilliseconds: firstToken))))
    var output = TaskOutput(for: order)
    for try await event in answer {
      switch event {
      case .chunk(let chunk):
        let facts = chunk.facts
        guard !facts.text.isEmpty || facts.deltaJSON != nil else { continue }
        let delta = output.take(facts.text, deltaJSON: facts.deltaJSON)
        guard output.text.utf8.count <= Self.outputBytes else {
          throw Failure(
            .upstreamFailed,
            "\(answer.host) wrote more than \(Self.outputBytes) bytes for one task")
        }
        if let delta { try writer.send(.taskEvent(.delta(delta))) }
      case .body: break
      case .finished(let summary):
        if let delta = output.finish() { try writer.send(.taskEvent(.delta(delta))) }
        let report = TaskReport(
          host: summary.host, model: summary.model, usage: summary.usage,
          firstTokenMilliseconds: Int(summary.firstToken.wholeMilliseconds),
          totalMilliseconds: Int(summary.total.wholeMilliseconds),
          finishReason: summary.finishReason, output: output.text)
        try writer.send(.taskEvent(.finished(report)))
        return (report, summary.attempts)
      }
    }
    throw Failure(.upstreamFailed, "\(answer.host) ended its answer without an end")
  }

  private func gauge() {
    Gauge(label: "tutti_agent_running_tasks").record(running.withLock { $0 })
  }

  private func count(_ outcome: String, since started: ContinuousClock.Instant) {
    let dimensions = [("role", role.name.rawValue), ("outcome", outcome)]
    Counter(label: "tutti_agent_tasks_total", dimensions: dimensions).increment()
    Timer(label: "tutti_agent_task_seconds", dimensions: [("role", role.name.rawValue)])
      .recordNanoseconds(Int64(started.duration(to: .now).inSeconds * 1e9))
  }
}
