import AgentCore
import ClusterModel
import Foundation
import Testing
import Text

private let role = Role(
  name: .critic, systemPrompt: "Review.",
  profile: ParameterProfile(temperatureMilli: 50, topPMilli: 800, maxTokens: 256),
  structuredPrompt: "Review in the form asked for.")

private func order(
  _ task: PlanTask, isSink: Bool = false, inputs: [TaskOrder.NamedInput] = [],
  parameters: [(String, String)] = []
) -> TaskOrder {
  TaskOrder(
    plan: "p", task: task,
    conversation: Conversation(
      messagesJSON: Array(#"[{"role":"user","content":"secret question"}]"#.utf8),
      parameters: parameters.map { .init(name: $0.0, json: Array($0.1.utf8)) }),
    inputs: inputs, isSink: isSink)
}

private func body(
  _ order: TaskOrder, question: TaskDialogue.Question? = nil, notes: [String] = []
) throws -> [String: Any] {
  let bytes = try RequestComposition.body(
    for: order, role: role, question: question, notes: notes)
  return try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
}

private func said(_ body: [String: Any]) throws -> [String] {
  try #require(body["messages"] as? [[String: Any]]).map { $0["content"] as? String ?? "" }
}

@Suite("Requests made from a task's contract, profile and inputs")
struct AgentRequestTests {
  @Test("the client's numbers win over the task's, these over its profile's, these over the role's")
  func sampling() throws {
    for profile in SamplingProfile.allCases {
      let task = PlanTask(id: "t", role: .critic, profile: profile)
      let plain = try body(order(task))
      #expect(plain["temperature"] as? Double == Double(profile.temperatureMilli) / 1_000)
      #expect(plain["top_p"] as? Double == Double(profile.topPMilli) / 1_000)
      for isSink in [true, false] {
        let client = try body(
          order(task, isSink: isSink, parameters: [("temperature", "1.5"), ("top_p", "0.33")]))
        #expect(client["temperature"] as? Double == 1.5)
        #expect(client["top_p"] as? Double == 0.33)
      }
      var own = task
      own.temperatureMilli = 1_234
      #expect(try body(order(own))["temperature"] as? Double == 1.234)
    }
    let bare = try body(order(PlanTask(id: "t", role: .critic)))
    #expect(bare["temperature"] as? Double == 0.05 && bare["top_p"] as? Double == 0.8)
  }

  @Test("members that a task adds are distinguished from the client's")
  func additions() throws {
    let task = PlanTask(id: "t", role: .critic)
    func composed(_ parameters: [(String, String)], _ task: PlanTask) throws -> ComposedRequest {
      try RequestComposition.request(
        for: order(
          task, isSink: true, inputs: [.init(name: "a", text: "x")], parameters: parameters),
        role: role)
    }
    let plain = try composed([], task)
    #expect(
      plain.added == [
        "stream", "stream_options", "system", "temperature", "top_p", "max_tokens", "seed",
      ])
    #expect(plain.mayDropLimit)
    let own = try composed([("temperature", "1"), ("seed", "3"), ("max_tokens", "9")], task)
    #expect(own.added == ["stream", "stream_options", "system", "top_p"] && !own.mayDropLimit)
    // A task's share of the budget must be enforced. Its limit has the name that the client used.
    var short = task
    short.maxTokens = 50
    let share = try composed([("max_completion_tokens", "900")], short)
    #expect(share.added.contains("max_completion_tokens") && !share.mayDropLimit)
    let endless = try composed([("max_tokens", "-1")], short)
    #expect(String(decoding: endless.body, as: UTF8.self).contains(#""max_tokens":50"#))
  }

  @Test("a schema goes to the host as its form and to the model in words")
  func format() throws {
    let schema = #"{"type":"object","required":["verdict"]}"#
    let task = PlanTask(id: "t", role: .critic, contract: .json(schema: schema))
    let sent = try body(order(task))
    let format = try #require(sent["response_format"] as? [String: Any])
    #expect(format["type"] as? String == "json_schema")
    let inner = try #require(format["json_schema"] as? [String: Any])
    #expect(inner["name"] as? String == "output")
    #expect((inner["schema"] as? [String: Any])?["type"] as? String == "object")
    let messages = try said(sent)
    #expect(messages.first == "Review in the form asked for.")
    #expect(messages.last?.hasSuffix(schema) == true)
    let without = try body(order(task), question: .init(hasFormat: false))
    #expect(without["response_format"] == nil)
    #expect(try said(without).last?.hasSuffix(schema) == true)
  }

  @Test("the client's own form goes through untouched, whatever the sink's contract")
  func clientForm() throws {
    let task = PlanTask(id: "t", role: .critic, contract: .json(schema: #"{"type":"array"}"#))
    let own = #"{"type":"json_object"}"#
    let sent = try body(
      order(task, isSink: true, parameters: [("response_format", own), ("tools", "[1]")]))
    #expect((sent["response_format"] as? [String: Any])?["type"] as? String == "json_object")
    #expect(sent["tools"] != nil)
    #expect(try said(sent).last == "secret question")
    #expect(try body(order(task, isSink: true))["response_format"] == nil)
  }

  @Test("a schema that is no JSON object is not sent")
  func badSchema() throws {
    let task = PlanTask(id: "t", role: .critic, contract: .json(schema: "nonsense"))
    #expect(try body(order(task))["response_format"] == nil)
  }

  @Test("a repair shows the model its output and the mistakes in it")
  func repair() throws {
    let task = PlanTask(id: "t", role: .critic, contract: .choice(["yes", "no"]))
    let sent = try body(
      order(task),
      question: .init(hasFormat: false, repair: .init(output: "perhaps", mistake: "no such word")))
    let messages = try said(sent)
    #expect(messages.count == 4)
    #expect(messages[2] == "perhaps")
    #expect(messages[3].contains("no such word") && messages[3].contains("yes, no"))
    #expect(
      (sent["messages"] as? [[String: Any]])?.map { $0["role"] as? String }
        == ["system", "user", "assistant", "user"])
  }

  @Test("a task that reads no conversation is given its instruction and inputs alone")
  func noConversation() throws {
    let task = PlanTask(
      id: "t", role: .critic, instruction: "Shorten this.", readsConversation: false)
    let messages = try said(body(order(task, inputs: [.init(name: "Text", text: "long")])))
    let fence = Fence(seed: 0)
    #expect(
      messages == [
        "Review.", "Shorten this.\n\n\(fence.explanation)\n\nText:\n\(fence.enclosing("long"))",
      ])
    let failure = #expect(throws: Failure.self) {
      try body(order(PlanTask(id: "t", role: .critic, readsConversation: false)))
    }
    #expect(failure?.code == .invalidRequest)
  }

  @Test("the agent's own findings come before the instruction")
  func notes() throws {
    let task = PlanTask(id: "t", role: .critic, instruction: "Judge.")
    let messages = try said(body(order(task), notes: ["Sources: none", ""]))
    #expect(messages.last == "secret question\n\nSources: none\n\nJudge.")
  }

  // MARK: - Weights

  private func weighed(_ weights: [Int?]) throws -> String {
    let inputs = weights.enumerated().map {
      TaskOrder.NamedInput(name: "Answer \($0 + 1)", text: "x", weightMilli: $1)
    }
    let text = try said(body(order(PlanTask(id: "t", role: .critic), inputs: inputs))).last ?? ""
    return text.components(separatedBy: "\n\n").first {
      $0.contains("say") || $0.contains("differ")
    }
      ?? ""
  }

  @Test("the agreement of the inputs is stated in words, and dissent is named")
  func weights() throws {
    #expect(try weighed([950, 940, 930]) == "All three say much the same.")
    #expect(
      try weighed([500, 90, 500])
        == "Two of three say much the same. Answer 2 says something else: "
        + "do not pass over what may be right in it.")
    #expect(
      try weighed([100, 120, 80])
        == "Three texts follow that differ from each other. Judge each by what it says.")
    #expect(
      try weighed([333, 333, 333, 333])
        == "Four texts follow; some of them say much the same, others differ. "
        + "Judge each by what it says.")
    #expect(
      try weighed([500, 500, 0, 40, 500])
        .hasPrefix("Three of five say much the same. Answer 3 and Answer 4 say something else"))
    #expect(try weighed([nil, nil, nil]) == "")
    #expect(try weighed([700]) == "")
  }

  @Test("neither numbers of weights nor ids of tasks reach the model")
  func noNumbers() throws {
    let text = try weighed([500, 90, 500])
    #expect(!text.contains("500") && !text.contains("milli"))
  }

  // MARK: - A given prefix

  @Test("an output continues another agent's text without repeating it")
  func prefix() {
    for (prefix, rest, whole) in [
      ("The sum", " is 4.", "The sum is 4."), ("Two\n\n", "\n\nThree", "Two\n\nThree"),
      ("a <", "b", "a <b"), ("end ", "and", "end and"), ("", "\n\nx", "x"),
    ] {
      var order = order(PlanTask(id: "t", role: .coordinator), isSink: true)
      order.prefix = prefix
      var output = TaskOutput(for: order)
      var deltas = output.take(rest)?.text ?? ""
      deltas += output.finish()?.text ?? ""
      #expect(output.text == prefix + deltas)
      #expect(output.text == whole, "\(prefix)|\(rest)")
    }
  }

  @Test("only the client's answer has a prefix")
  func noPrefix() {
    var order = order(PlanTask(id: "t", role: .coordinator))
    order.prefix = "Half"
    #expect(TaskOutput(for: order).text == "")
  }

  // MARK: - Vectors

  @Test("a vector is requested from an embedding model, and an error names the lack of one")
  func vectors() throws {
    let task = PlanTask(id: "t", role: .critic, instruction: "a text", contract: .vector)
    #expect(
      try EmbeddingTask.model(for: task, among: ["nomic-embed-text", "bge-m3"])
        == "nomic-embed-text")
    let failure = #expect(throws: Failure.self) {
      try EmbeddingTask.model(for: task, among: [])
    }
    #expect(failure?.code == .noEligibleHost)
    #expect(
      String(decoding: try EmbeddingTask.body(for: order(task)), as: UTF8.self)
        == #"{"input":"a text"}"#)
    let answer = #"{"data":[{"index":0,"embedding":[0.5, -1]}]}"#
    #expect(try EmbeddingTask.vector(in: Array(answer.utf8)) == "[0.5, -1]")
    for bad in ["", "{}", #"{"data":[]}"#, #"{"data":[{"embedding":"AAAA"}]}"#] {
      #expect(throws: Failure.self) { try EmbeddingTask.vector(in: Array(bad.utf8)) }
    }
  }
}
