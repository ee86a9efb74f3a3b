import AgentCore
import ClusterModel
import ClusterTesting
import Testing

@testable import AgentKit

private let schema = #"{"type":"object","required":["verdict"]}"#

@Suite("A task from its order to its report")
struct TaskWorkTests {
  @Test("a text is passed on as it comes and reported as it is")
  func text() async throws {
    let done = try await perform(order()) { _ in "It is a fox." }
    #expect(done.report.output == "It is a fox." && done.report.contractMet)
    #expect(done.told.text == "It is a fox.")
    #expect(done.told.all.last == .finished(done.report))
    #expect(done.attribute("model_choice") == "the only one offered")
    #expect(!done.bodies[0].contains("response_format"))
    let answer = try #require(done.report.inferences.first)
    #expect(answer.model == "faulty-model" && answer.usage == done.report.usage)
    #expect(answer.attempts.map(\.host) == ["h"] && answer.attempts.map(\.outcome) == [.delivered])
  }

  @Test(
    "a host that refuses what the task added does the task without it, and the trace says so",
    arguments: [
      (
        #"{"error":{"message":"Unsupported value: 'temperature'","param":"temperature"}}"#,
        "temperature", "without temperature"
      ),
      (
        #"{"error":{"message":"Your organization must be verified to stream","param":"stream"}}"#,
        #""stream""#, "not streamed"
      ),
      (
        #"{"error":{"message":"System role not supported","type":"BadRequestError"}}"#,
        #""role":"system""#, "system text in the user's message"
      ),
    ])
  func refusedAddition(_ refusal: String, _ addition: String, _ told: String) async throws {
    let faults = FaultyHostFaults(status: 400, statusBody: refusal, remaining: 1)
    let done = try await perform(order(), faults: faults) { _ in "It is a fox." }
    #expect(done.report.output == "It is a fox." && done.told.text == "It is a fox.")
    #expect(done.bodies.map { $0.contains(addition) } == [true, false])
    #expect(done.bodies[1].contains("Research.") && done.bodies[1].contains("top_p"))
    #expect(done.attribute("left_out") == told)
  }

  @Test("text before the mark is for the model only, and without a mark all text counts")
  func marked() async throws {
    var marked = order()
    marked.task.mark = "My reply now:"
    let said = "A is vague.\nMY REPLY NOW: It is a fox."
    let done = try await perform(marked) { _ in said }
    #expect(done.report.output == "It is a fox.")
    #expect(try await perform(order()) { _ in said }.report.output == said)
    #expect(try await perform(marked) { _ in "It is a fox." }.report.output == "It is a fox.")
    let empty = "It is a fox. My reply now:"
    #expect(try await perform(marked) { _ in empty }.report.output == empty)
  }

  @Test("when no host answers with the plan's model, the next one that may is asked")
  func alternatives() async throws {
    let gone = order(model: "gone-7b", alternatives: ["lost-7b", "faulty-model"])
    let done = try await perform(gone) { _ in "It is a fox." }
    #expect(done.report.output == "It is a fox." && done.report.model == "faulty-model")
    #expect(done.attribute("without gone-7b")?.contains("gone-7b") == true)
    await #expect(throws: Failure.self) {
      try await perform(order(model: "gone-7b", alternatives: ["lost-7b"])) { _ in "A fox." }
    }
  }

  @Test(
    "a task without a model is done by one that the plan may use, whatever its host lists first",
    arguments: [["open-70b", "priced-7b"], ["open", "priced-7b"], ["open", "priced"]])
  func allowed(_ models: [String]) async throws {
    let priced = try #require(models.last)
    let limited = order(allowed: AllowedModels([ModelID(priced), "elsewhere"]))
    let done = try await perform(limited, models: models) { _ in "It is a fox." }
    #expect(done.report.model == ModelID(priced))
    #expect(done.bodies.count == 1 && done.bodies[0].contains(#""\#(priced)""#))
  }

  @Test("a fallback host answers if only it offers a model that the plan may use")
  func allowedAtFallback() async throws {
    let other = Host(
      id: "open", url: "http://127.0.0.1:9", state: .ready, models: [ModelOffer(id: "open-70b")])
    let done = try await perform(
      order(allowed: AllowedModels(["priced-7b"])), models: ["priced-7b"], tier: .fallback,
      also: other
    ) { _ in "It is a fox." }
    #expect(done.report.model == "priced-7b" && done.report.host == "h")
  }

  @Test("if no host offers a model that the plan may use, no host is asked")
  func noneAllowed() async throws {
    let failure = await #expect(throws: Failure.self) {
      try await perform(order(allowed: AllowedModels(["elsewhere"]))) { _ in "It is a fox." }
    }
    #expect(failure?.code == .noEligibleHost)
    #expect(failure?.message.contains("that the plan may use") == true)
  }

  @Test(
    "when every host of the plan's model is busy, the next one is asked", arguments: [429, 503])
  func busyModel(status: Int) async throws {
    let busy = try await FaultyHost.started(
      FaultyHostConfiguration(
        models: ["busy-7b"], answer: .writer { _ in FaultyHostReply("A dog.") },
        faults: FaultyHostFaults(status: status)))
    let task = order(model: "busy-7b", alternatives: ["faulty-model"])
    let done = try await perform(task, also: busy.host("busy")) { _ in "It is a fox." }
    try await busy.stop()
    #expect(done.report.model == "faulty-model" && done.report.host == "h")
    #expect(done.attribute("without busy-7b")?.contains("busy") == true)
    #expect(!busy.requests.isEmpty)
  }

  @Test(
    "an answer that begins with its own instruction fails before a word of it is passed on",
    arguments: ["Draft 1:\nIt is a fox.", taskInstruction, "What is it?\n\n\(taskInstruction)"])
  func echo(_ text: String) async throws {
    let merge = order(
      isSink: true,
      inputs: [.init(name: "Draft 1", text: "A fox."), .init(name: "Draft 2", text: "A dog.")])
    let error = await #expect(throws: Failure.self) {
      try await perform(merge) { _ in text }
    }
    #expect(error?.message.contains("repeats its prompt") == true)
    // An answer that only resembles an echo at first is passed on completely.
    let done = try await perform(merge) { _ in "Draft 12 of it is a fox." }
    #expect(done.told.text == "Draft 12 of it is a fox.")
  }

  @Test("an answer that begins with its instruction about the drafts does not count")
  func agreementEcho() async throws {
    let drafts = ["A fox.", "Two dogs, I think.", "Nobody knows what it is."]
    let merge = order(
      isSink: true,
      inputs: drafts.enumerated().map { place, text in
        .init(name: "Draft \(place + 1)", text: text, weightMilli: 200 * (place + 1))
      })
    let note = RequestComposition.agreementText(merge, nil)
    try #require(note.utf8.count > 40)
    let error = await #expect(throws: Failure.self) {
      try await perform(merge) { question in
        question.messages.contains { $0.text.contains(note) } ? note : "It was not told."
      }
    }
    #expect(error?.message.contains("repeats its prompt") == true)
  }

  @Test("JSON is asked for in the host's way and taken out of the prose around it")
  func json() async throws {
    let done = try await perform(order(.json(schema: schema))) { _ in
      "Sure:\n```json\n{\"verdict\":\"good\"}\n```\n"
    }
    #expect(done.report.output == #"{"verdict":"good"}"# && done.report.contractMet)
    #expect(done.bodies.count == 1)
    #expect(done.bodies[0].contains(#""type":"json_schema""#))
    #expect(done.attribute("contract") == "met")
  }

  @Test("a host that refuses the form is asked once more without it")
  func refused() async throws {
    let done = try await perform(
      order(.json(schema: schema)), faults: FaultyHostFaults(status: 400, remaining: 1)
    ) { _ in #"{"verdict":"good"}"# }
    #expect(done.report.contractMet)
    #expect(done.bodies.map { $0.contains("response_format") } == [true, false])
  }

  @Test("a mistake is mended once, and only the first text was passed on")
  func repair() async throws {
    let done = try await perform(order(.json(schema: schema))) { question in
      question.messages.contains { $0.role == "assistant" }
        ? #"{"verdict":"mended"}"# : "I would say it is good."
    }
    #expect(done.report.output == #"{"verdict":"mended"}"# && done.report.contractMet)
    #expect(done.told.text == "I would say it is good.")
    #expect(done.told.beginnings == 1)
    #expect(done.bodies.count == 2)
    #expect(done.bodies[1].contains("there is no JSON in it"))
    #expect(done.report.usage.promptTokens == 14, "both questions are paid for")
    #expect(done.report.inferences.map(\.usage).reduce(.zero, +) == done.report.usage)
    #expect(done.report.inferences.flatMap(\.attempts).map(\.host) == ["h", "h"])
    #expect(done.attribute("questions") == "2")
  }

  @Test("an output that cannot be repaired is reported as it is, and marked as wrong")
  func broken() async throws {
    let done = try await perform(order(.choice(["yes", "no"]))) { _ in "Hard to tell." }
    #expect(done.report.output == "Hard to tell." && !done.report.contractMet)
    #expect(done.bodies.count == 2)
    #expect(done.attribute("contract") == "broken")
  }

  @Test("a choice comes out as its word")
  func choice() async throws {
    let done = try await perform(order(.choice(["yes", "no"]))) { _ in "**Yes**, clearly." }
    #expect(done.report.output == "yes" && done.report.contractMet)
  }

  @Test("a vector comes from a model that embeds; without one the failure says so")
  func vector() async throws {
    let done = try await perform(
      order(.vector), models: ["chat-model", "nomic-embed-text"]
    ) { _ in "" }
    #expect(done.report.output == "[0.25,-0.5,1]" && done.report.contractMet)
    #expect(done.report.model == "nomic-embed-text")
    let failure = await #expect(throws: Failure.self) {
      try await perform(order(.vector)) { _ in "" }
    }
    await #expect(throws: Failure.self) {
      try await perform(
        order(.vector, allowed: AllowedModels(["chat-model"])),
        models: ["chat-model", "nomic-embed-text"]
      ) { _ in "" }
    }
    #expect(failure?.code == .noEligibleHost)
    #expect(failure?.message.contains("embedding model") == true)
  }

  @Test("the answer continues a lost agent's text without repeating it")
  func prefix() async throws {
    let whole = "The quick brown fox jumps over the lazy dog."
    let done = try await perform(
      order(isSink: true, prefix: "The quick brown"), resume: .trailingAssistant
    ) { question in
      guard case .after(let said) = question.start else { return "It was asked anew." }
      return String(whole.dropFirst(said.count))
    }
    #expect(done.told.text == " fox jumps over the lazy dog.")
    #expect(done.report.output == whole)
  }

  @Test("a critic's prompt has the wrong sums")
  func critic() async throws {
    var order = order()
    order.inputs = [.init(name: "Draft", text: "Together 17 + 25 = 43 people.")]
    var role = plainRole
    role.checksInputs = true
    let done = try await perform(order, role: role) { _ in "Mend the sum." }
    #expect(done.bodies[0].contains("is wrong; it is 42."))
  }

  @Test("a critic that accepts a wrong sum asks for its repair all the same")
  func certain() async throws {
    let review =
      #"{"type":"object","required":["verdict","issues"],"properties":{"verdict":{"enum":["accept","#
      + #""repair"]},"issues":{"type":"array"}}}"#
    var order = order(.json(schema: review))
    order.inputs = [.init(name: "Draft", text: "Together 17 + 25 = 43 people.")]
    var role = plainRole
    role.checksInputs = true
    for said in [#"{"verdict":"accept","issues":[]}"#, "All is well."] {
      let done = try await perform(order, role: role) { _ in said }
      #expect(done.report.contractMet)
      #expect(done.report.output.contains(#""verdict":"repair""#))
      #expect(done.report.output.contains("it is 42"))
    }
  }

  @Test("the agent chooses one of several models, requests it, and gives the reason")
  func model() async throws {
    var role = plainRole
    role.preferredModels = ["coder"]
    let done = try await perform(order(), role: role, models: ["llama-8b", "qwen-coder-7b"]) { _ in
      "x"
    }
    #expect(done.report.model == "qwen-coder-7b")
    #expect(done.attribute("model_choice")?.contains("coder") == true)
    let named = try await perform(
      order(model: "llama-8b"), role: role, models: ["llama-8b", "qwen-coder-7b"]
    ) { _ in "x" }
    #expect(named.report.model == "llama-8b")
  }
}
