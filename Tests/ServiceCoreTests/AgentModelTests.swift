import AgentCore
import ClusterModel
import Testing

@Suite("Which model an agent takes")
struct AgentModelTests {
  private func role(
    _ appetite: ModelAppetite = .balanced, prefers: [String] = []
  ) -> Role {
    Role(
      name: .code, systemPrompt: "s",
      profile: ParameterProfile(temperatureMilli: 100, topPMilli: 900, maxTokens: 200),
      preferredModels: prefers, appetite: appetite)
  }

  private func choose(
    _ offered: [OfferedModel], _ role: Role, task: PlanTask = PlanTask(id: "t", role: .code),
    within: Duration? = nil
  ) -> ModelPreference.Choice {
    ModelPreference.choose(for: task, role: role, among: offered, within: within)
  }

  private let mixed: [OfferedModel] = [
    .init(id: "SmolLM2-135M-Instruct", tokensPerSecond: 200),
    .init(id: "llama3.1:8b", tokensPerSecond: 40), .init(id: "Qwen2.5-72B", tokensPerSecond: 8),
  ]

  @Test("the task's own model wins over everything")
  func own() {
    let task = PlanTask(id: "t", role: .code, model: "llama3.1:8b")
    let choice = choose(mixed, role(.able, prefers: ["qwen"]), task: task)
    #expect(choice == .init(model: "llama3.1:8b", reason: "the plan names it"))
  }

  @Test("a model made for the role is taken before a larger one")
  func preferred() {
    let offered = mixed + [.init(id: "qwen2.5-coder:7b"), .init(id: "starcoder-1b")]
    let choice = choose(offered, role(.able, prefers: ["coder", "code"]))
    #expect(choice.model == "qwen2.5-coder:7b")
    #expect(choice.reason == "\"coder\" suits a code agent")
  }

  @Test("an able role takes the largest model, a quick one the fastest, with a reason")
  func appetite() {
    let able = choose(mixed, role(.able))
    #expect(able.model == "Qwen2.5-72B")
    #expect(able.reason == "able, of 3, 72B, 8 tokens/s")
    #expect(choose(mixed, role(.quick)).model == "SmolLM2-135M-Instruct")
  }

  @Test("the kind of a task counts more than its role")
  func byTask() {
    let choice = PlanTask(id: "t", role: .code, contract: .choice(["a", "b"]))
    #expect(choose(mixed, role(.able), task: choice).model == "SmolLM2-135M-Instruct")
    let hard = PlanTask(id: "t", role: .code, profile: .reasoning)
    #expect(choose(mixed, role(.quick), task: hard).model == "Qwen2.5-72B")
  }

  @Test("a model that cannot be done in time is left, unless none can")
  func inTime() {
    // 200 tokens at 8 tokens/s take 25 s.
    #expect(choose(mixed, role(.able), within: .seconds(10)).model == "llama3.1:8b")
    #expect(choose(mixed, role(.able), within: .seconds(60)).model == "Qwen2.5-72B")
    #expect(choose(mixed, role(.able), within: .milliseconds(1)).model == "Qwen2.5-72B")
  }

  @Test("of two alike the one with a free host is taken")
  func free() {
    let offered = [
      OfferedModel(id: "a-8b", tokensPerSecond: 40, freeHosts: 0),
      OfferedModel(id: "b-8b", tokensPerSecond: 40, freeHosts: 1),
    ]
    #expect(choose(offered, role(.able)).model == "b-8b")
  }

  @Test("if models do not differ, the choice of the host decides")
  func open() {
    #expect(choose([.init(id: "x"), .init(id: "y")], role()).model == nil)
    #expect(choose([.init(id: "x")], role()).model == nil)
    #expect(choose([], role(prefers: ["code"])).model == nil)
  }

  @Test("base models and models for code are not asked what any model can answer")
  func general() {
    let offered: [OfferedModel] = [
      .init(id: "big-base-70b"), .init(id: "coder-33b"), .init(id: "chat-3b"),
      .init(id: "chat-1b"),
    ]
    #expect(choose(offered, role(.able)).model == "chat-3b")
  }

  @Test(
    "the size is read from the name, and nothing else is taken for it",
    arguments: [
      ("SmolLM2-135M-Instruct-Q4_K_M", "135M"), ("llama3.1:70b", "70B"), ("Mixtral-8x7B", "56B"),
      ("qwen2.5-1.5b-instruct", "1.5B"), ("Qwen2.5-7B-Instruct-1M", "7B"),
      ("Qwen3-30B-A3B", "30B"), ("gemma-3n-e4b", "4B"), ("gemma2:9b-4bit-128k", "9B"),
    ])
  func size(name: String, size: String) {
    let choice = choose([.init(id: ModelID(name)), .init(id: "other-1m")], role(.able))
    #expect(choice.model == ModelID(name))
    #expect(choice.reason == "able, of 2, \(size)")
  }

  @Test("names without a size have none")
  func noSize() {
    let names = ["gpt-4o", "claude-sonnet-4", "phi-3-mini", "x", "7-of-9", "b", "99999999b"]
    #expect(choose(names.map { .init(id: ModelID($0)) }, role(.able)).model == nil)
  }
}
