import AgentCore
import ClusterModel
import ClusterTesting
import Inference
import Logging
import Synchronization
import Telemetry
import Testing

@testable import AgentKit

private let drafts = [
  "The old bridge over the river was closed for repairs in March of that year.",
  "Since spring nobody has been able to cross the water there, as they mend it.",
  "The old bridge over the river was praised for beauty in March of that year.",
]

/// Embeds the drafts: the first two mean the same, the third differs.
@Sendable private func meaning(_ text: String) -> [Double] {
  switch text {
  case drafts[0]: [1, 0, 0]
  case drafts[1]: [0.95, 0.05, 0]
  case drafts[2]: [0, 1, 0]
  default: [0, 0, 1]
  }
}

/// The dispatcher's order to merge the drafts, with weights that it computed from their words.
private func merge(sparesTokens: Bool = false) -> TaskOrder {
  let weights = [300, 100, 300]
  return TaskOrder(
    plan: "p",
    task: PlanTask(
      id: "answer", role: .coordinator, instruction: "Write one reply from these drafts.",
      inputs: (1...3).map { Edge(from: TaskID("draft-\($0)"), name: "Draft \($0)") },
      merge: .synthesise),
    conversation: Conversation(
      messagesJSON: Array(#"[{"role":"user","content":"What of the bridge?"}]"#.utf8)),
    inputs: drafts.enumerated().map {
      TaskOrder.NamedInput(name: "Draft \($0 + 1)", text: $1, weightMilli: weights[$0])
    },
    isSink: true, sparesTokens: sparesTokens)
}

private struct Merged {
  var report: TaskReport
  var text: String
  var attributes: [Attribute]
  var prompt: String
  /// Requests to the embedding host.
  var embeddings: [FaultyHostRequest]

  func attribute(_ key: String) -> String? { attributes.first { $0.key == key }?.value }
}

/// Runs the task with one chat host and, if `embedder` is given, an embedding host.
private func perform(
  _ order: TaskOrder, embedder: FaultyHostConfiguration?, dialect: HostDialect? = nil,
  trust: DataPolicy = .local, patience: Duration = .seconds(20), chatTags: [String] = []
) async throws -> Merged {
  let chat = try await FaultyHost.started(
    FaultyHostConfiguration(models: ["chat-7b"], answer: .text("It was closed.")))
  var chatHost = chat.host("chat", trust: .local)
  chatHost.tags = chatTags
  var hosts = [chatHost]
  var embedding: FaultyHost?
  if let embedder {
    let host = try await FaultyHost.started(embedder)
    var line = host.host("embed")
    line.trust = trust
    if let dialect { line.dialect = dialect }
    hosts.append(line)
    embedding = host
  }
  let table = HostTable(epoch: 1, revision: 1, hosts: hosts)
  let client = InferenceClient(hosts: { table }, logger: Logger(label: "test"))
  let recorder = TelemetryRecorder(service: "agent", instance: "a")
  let span = recorder.span(.work, in: nil)
  let said = Mutex("")
  var work = TaskWork(
    order: order,
    role: Role(
      name: .coordinator, systemPrompt: "Merge.",
      profile: ParameterProfile(temperatureMilli: 100, topPMilli: 900, maxTokens: 64)),
    inference: client, span: span, remaining: .seconds(550)
  ) { event in
    if case .delta(let delta) = event { said.withLock { $0 += delta.text } }
  }
  work.consensusPatience = patience
  let result: Result<TaskReport, Failure>
  do throws(Failure) {
    result = .success(try await work.run().0)
  } catch {
    result = .failure(error)
  }
  try await client.shutdown()
  try await chat.stop()
  try await embedding?.stop()
  span.end()
  return Merged(
    report: try result.get(), text: said.withLock { $0 },
    attributes: recorder.drain().flatMap(\.spans).flatMap(\.attributes),
    prompt: chat.requests.filter { $0.method == "POST" }
      .map { String(decoding: $0.body, as: UTF8.self) }.joined(),
    embeddings: embedding?.requests.filter { $0.method == "POST" } ?? [])
}

private func embedder(
  _ faults: FaultyHostFaults = .none, dialect: HostDialect? = nil,
  vector: @escaping @Sendable (String) -> [Double] = meaning
) -> FaultyHostConfiguration {
  FaultyHostConfiguration(
    models: ["nomic-embed-text"], vector: vector, dialect: dialect, faults: faults)
}

@Suite("Agreement of drafts, by words and by an embedding model")
struct ConsensusWorkTests {
  @Test(
    "a draft that sounds alike but means something else is named, in the prompt and in the trace",
    arguments: [HostDialect.openai, .ollama])
  func embedding(_ dialect: HostDialect) async throws {
    let merged = try await perform(
      merge(), embedder: embedder(dialect: dialect == .ollama ? .ollama : nil), dialect: dialect)
    #expect(merged.attribute("agreement") == "words and embedding")
    #expect(merged.attribute("agreement_reason") == nil)
    #expect(merged.attribute("dissent") == "Draft 3 (draft-3)")
    #expect(merged.attribute("agreement_weights")?.hasPrefix("Draft 1 0.") == true)
    #expect(merged.prompt.contains("Two of three say much the same. Draft 3 says something else"))
    #expect(merged.embeddings.count == 1, "one request for all drafts")
    #expect(merged.text == "It was closed." && merged.report.host == "chat")
    #expect(merged.report.usage.promptTokens == 14, "both questions are paid for")
    #expect(merged.report.inferences.map(\.model) == ["nomic-embed-text", "chat-7b"])
    #expect(merged.report.inferences.flatMap(\.attempts).map(\.host) == ["embed", "chat"])
    #expect(merged.report.inferences.map(\.usage).reduce(.zero, +) == merged.report.usage)
  }

  @Test("an embedding model that the plan may not use gets no drafts")
  func notAllowed() async throws {
    var order = merge()
    order.models = AllowedModels(["chat-7b"])
    let merged = try await perform(order, embedder: embedder())
    #expect(merged.attribute("agreement") == "words" && merged.embeddings.isEmpty)
    order.models = AllowedModels(["chat-7b", "nomic-embed-text"])
    let compared = try await perform(order, embedder: embedder())
    #expect(compared.attribute("agreement") == "words and embedding")
  }

  @Test("where no host embeds, words decide, and the trace says why")
  func none() async throws {
    let merged = try await perform(merge(), embedder: nil)
    #expect(merged.attribute("agreement") == "words")
    #expect(merged.attribute("agreement_reason")?.contains("embedding model") == true)
    #expect(!merged.prompt.contains("Draft 3 says something else"))
    #expect(merged.text == "It was closed." && merged.report.usage.promptTokens == 7)
  }

  @Test(
    "a host that fails to embed costs the answer nothing",
    arguments: [
      FaultyHostFaults(refuse: true), FaultyHostFaults(status: 500),
      FaultyHostFaults(status: 400), FaultyHostFaults(garbage: true),
      FaultyHostFaults(dropAtByte: 10),
    ])
  func down(_ faults: FaultyHostFaults) async throws {
    let merged = try await perform(merge(), embedder: embedder(faults))
    #expect(merged.attribute("agreement") == "words")
    #expect(merged.attribute("agreement_reason") != nil)
    #expect(merged.text == "It was closed." && merged.report.finishReason == "stop")
  }

  @Test("a host that does not answer in time is left alone, and words decide")
  func slow() async throws {
    let merged = try await perform(
      merge(), embedder: embedder(FaultyHostFaults(stallAtToken: 0)),
      patience: .seconds(5))
    #expect(merged.embeddings.count == 1)
    #expect(merged.attribute("agreement") == "words")
    #expect(merged.text == "It was closed.")
  }

  @Test("vectors that do not distinguish texts are not used")
  func constant() async throws {
    let merged = try await perform(merge(), embedder: embedder { _ in [0.25, -0.5, 1] })
    #expect(merged.attribute("agreement") == "words")
    #expect(merged.attribute("agreement_reason")?.contains("cannot be compared") == true)
  }

  @Test("a host that may not see the data is not asked")
  func policy() async throws {
    var order = merge()
    order.dataPolicy = .local
    let merged = try await perform(order, embedder: embedder(), trust: .any)
    #expect(merged.embeddings.isEmpty && merged.attribute("agreement") == "words")
  }

  @Test("a host outside the key's host pools is not asked")
  func pools() async throws {
    var order = merge()
    order.pools = HostPools(["gpu"])
    let merged = try await perform(order, embedder: embedder(), chatTags: ["gpu"])
    #expect(merged.embeddings.isEmpty && merged.attribute("agreement") == "words")
    await #expect(throws: Failure.self) { try await perform(order, embedder: nil) }
  }

  @Test("a plan with a budget of tokens spends none on it")
  func budget() async throws {
    let merged = try await perform(merge(sparesTokens: true), embedder: embedder())
    #expect(merged.embeddings.isEmpty && merged.attribute("agreement") == "words")
  }

  @Test("a task other than a merge of three drafts requests no vectors")
  func plain() async throws {
    var order = merge()
    for index in order.inputs.indices { order.inputs[index].weightMilli = nil }
    let merged = try await perform(order, embedder: embedder())
    #expect(merged.embeddings.isEmpty && merged.attribute("agreement") == nil)
  }
}
