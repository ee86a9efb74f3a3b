import AgentCore
import ClusterModel
import ClusterTesting
import Inference
import Logging
import Synchronization
import Telemetry

@testable import AgentKit

/// Records the events that the dispatcher receives, in order.
final class ToldEvents: Sendable {
  private let events = Mutex<[TaskEvent]>([])

  func take(_ event: TaskEvent) { events.withLock { $0.append(event) } }

  var all: [TaskEvent] { events.withLock { $0 } }

  var text: String {
    all.reduce(into: "") { if case .delta(let delta) = $1 { $0 += delta.text } }
  }

  /// Excerpts in the first `began` event. `nil` means that no host began to answer.
  var excerpts: [DocumentExcerpt]? {
    for case .began(let began) in all { return began.excerpts }
    return nil
  }

  var beginnings: Int { all.count { if case .began = $0 { true } else { false } } }
}

/// One finished task and everything observed of it.
struct PerformedTask {
  var report: TaskReport
  var told: ToldEvents
  var host: FaultyHost
  var attributes: [Attribute]

  /// Bodies of the requests that the host received.
  var bodies: [String] {
    host.requests.filter { $0.method == "POST" }.map { String(decoding: $0.body, as: UTF8.self) }
  }

  func attribute(_ key: String) -> String? { attributes.first { $0.key == key }?.value }
}

let plainRole = Role(
  name: .research, systemPrompt: "Research.",
  profile: ParameterProfile(temperatureMilli: 100, topPMilli: 900, maxTokens: 64),
  citesSources: true)

func order(
  _ contract: OutputContract = .text, isSink: Bool = false, documents: [Document] = [],
  prefix: String = "", question: String = "What is it?", model: ModelID? = nil,
  alternatives: [ModelID] = [], inputs: [TaskOrder.NamedInput] = [],
  allowed: AllowedModels = .all
) -> TaskOrder {
  TaskOrder(
    plan: "p",
    task: PlanTask(
      id: "t", role: .research, instruction: taskInstruction, contract: contract, model: model,
      alternatives: alternatives),
    conversation: Conversation(
      messagesJSON: Array(#"[{"role":"user","content":"\#(question)"}]"#.utf8)),
    inputs: inputs, isSink: isSink, models: allowed, documents: documents, prefix: prefix)
}

let taskInstruction = "Find it, whatever it is, and say it in your own words."

/// Runs the task against a faulty host, and optionally a second one, through the real HTTP client.
func perform(
  _ order: TaskOrder, role: Role = plainRole, models: [String] = ["faulty-model"],
  faults: FaultyHostFaults = .none, resume: ResumeWay = .instruct, context: Int? = nil,
  tier: HostTier = .community, also second: Host? = nil,
  _ answer: @escaping @Sendable (FaultyHostQuestion) -> String
) async throws -> PerformedTask {
  let host = try await FaultyHost.started(
    FaultyHostConfiguration(
      models: models, contextTokens: context, answer: .writer { FaultyHostReply(answer($0)) },
      faults: faults))
  var line = host.host("h")
  line.resume = resume
  line.tier = tier
  let table = HostTable(epoch: 1, revision: 1, hosts: [line] + [second].compactMap(\.self))
  let client = InferenceClient(hosts: { table }, logger: Logger(label: "test"))
  let recorder = TelemetryRecorder(service: "agent", instance: "a")
  let span = recorder.span(.work, in: nil)
  let told = ToldEvents()
  var work = TaskWork(
    order: order, role: role, inference: client, span: span, remaining: .seconds(55)
  ) { told.take($0) }
  let result: Result<TaskReport, Failure>
  do throws(Failure) {
    result = .success(try await work.run().0)
  } catch {
    result = .failure(error)
  }
  try await client.shutdown()
  try await host.stop()
  span.end()
  let attributes = recorder.drain().flatMap(\.spans).flatMap(\.attributes)
  return PerformedTask(report: try result.get(), told: told, host: host, attributes: attributes)
}
