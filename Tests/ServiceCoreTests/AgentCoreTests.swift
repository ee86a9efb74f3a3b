import AgentCore
import ClusterModel
import Foundation
import Testing
import Text

@Suite("An agent's request")
struct AgentCoreTests {
  let role = Role(
    name: .critic, systemPrompt: "Review.",
    profile: ParameterProfile(temperatureMilli: 50, topPMilli: 900, maxTokens: 256),
    preferredModels: ["coder"])

  func order(
    _ messages: String, isSink: Bool = false, instruction: String = "",
    inputs: [TaskOrder.NamedInput] = [], parameters: [(String, String)] = [],
    maxTokens: Int? = nil, temperature: Int? = nil, model: ModelID? = nil
  ) -> TaskOrder {
    TaskOrder(
      plan: "p",
      task: PlanTask(
        id: "secret-task-id", role: .critic, instruction: instruction, model: model,
        maxTokens: maxTokens, temperatureMilli: temperature, seed: 0xFFFF_FFFF_0000_0007),
      conversation: Conversation(
        messagesJSON: Array(messages.utf8),
        parameters: parameters.map { .init(name: $0.0, json: Array($0.1.utf8)) }),
      inputs: inputs, isSink: isSink)
  }

  func body(_ order: TaskOrder) throws -> [String: Any] {
    let bytes = try RequestComposition.body(for: order, role: role)
    return try #require(
      try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
  }

  func messages(_ order: TaskOrder) throws -> [[String: Any]] {
    try #require(try body(order)["messages"] as? [[String: Any]])
  }

  @Test("the role's prompt comes first, the client's messages follow byte for byte")
  func systemFirst() throws {
    let client = #"{"role": "user",  "content": "caf\u00e9 \ud83d\ude00", "x": [1.50]}"#
    let bytes = try RequestComposition.body(for: order("[\(client)]"), role: role)
    let text = String(decoding: bytes, as: UTF8.self)
    #expect(text.contains(#"[{"role":"system","content":"Review."},\#(client)]"#))
  }

  @Test("a client's own system message stays first and takes the role's prompt in")
  func systemJoined() throws {
    let said = try messages(
      order(#"[{"role":"system","content":"Be kind."},{"role":"user","content":"hi"}]"#))
    #expect(said.count == 2)
    #expect(said[0]["content"] as? String == "Be kind.\n\nReview.")
  }

  @Test("a client's developer message takes the role's prompt in and stays the developer's")
  func developerJoined() throws {
    let said = try messages(
      order(#"[{"role":"developer","content":"Be kind."},{"role":"user","content":"hi"}]"#))
    #expect(said.count == 2)
    #expect(said[0]["role"] as? String == "developer")
    #expect(said[0]["content"] as? String == "Be kind.\n\nReview.")
  }

  @Test("instruction and inputs join the user's last message, labelled, without the task's id")
  func closing() throws {
    let said = try messages(
      order(
        #"[{"role":"user","content":"hi"}]"#, instruction: "Merge these.",
        inputs: [.init(name: "Draft 1", text: "one"), .init(name: "Draft 2", text: "two")]))
    #expect(said.count == 2)
    let fence = Fence(seed: 0xFFFF_FFFF_0000_0007)
    #expect(
      said[1]["content"] as? String
        == "hi\n\nMerge these.\n\n\(fence.explanation)\n\nDraft 1:\n\(fence.enclosing("one"))"
        + "\n\nDraft 2:\n\(fence.enclosing("two"))")
    #expect(!"\(said)".contains("secret-task-id"))
  }

  @Test("after an assistant's message the instruction is a message of its own")
  func closingAfterAssistant() throws {
    let said = try messages(
      order(
        #"[{"role":"user","content":"hi"},{"role":"assistant","content":"yes"}]"#,
        instruction: "Go on."))
    #expect(said.map { $0["role"] as? String } == ["system", "user", "assistant", "user"])
  }

  @Test("a message made of parts gets one more part")
  func contentParts() throws {
    let said = try messages(
      order(
        #"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:x"}}]}]"#,
        instruction: "Describe."))
    let parts = try #require(said[1]["content"] as? [[String: Any]])
    #expect(parts.count == 2)
    #expect(parts[1]["text"] as? String == "Describe.")
  }

  @Test("a client's parameters win over the role's profile")
  func clientWins() throws {
    let sent = try body(
      order(
        #"[{"role":"user","content":"hi"}]"#, parameters: [("temperature", "1.25")],
        temperature: 700))
    #expect(sent["temperature"] as? Double == 1.25)
    #expect(sent["top_p"] as? Double == 0.9)
  }

  @Test("a task's temperature wins over the role's, and prints exactly")
  func taskTemperature() throws {
    let sent = try RequestComposition.body(
      for: order(#"[{"role":"user","content":"hi"}]"#, temperature: 1_005), role: role)
    #expect(String(decoding: sent, as: UTF8.self).contains(#""temperature":1.005"#))
    let own = try RequestComposition.body(
      for: order(#"[{"role":"user","content":"hi"}]"#), role: role)
    #expect(String(decoding: own, as: UTF8.self).contains(#""temperature":0.050"#))
  }

  @Test("only the sink takes what shapes the answer")
  func sinkParameters() throws {
    let parameters = [
      ("stop", #"["\n"]"#), ("tools", "[]"), ("response_format", #"{"type":"json_object"}"#),
      ("max_tokens", "9"), ("n", "1"), ("model", #""tutti/ensemble""#), ("stream", "false"),
    ]
    let member = try body(order(#"[{"role":"user","content":"hi"}]"#, parameters: parameters))
    #expect(member["stop"] == nil && member["tools"] == nil && member["response_format"] == nil)
    #expect(member["max_tokens"] as? Int == 256)
    let sink = try body(
      order(#"[{"role":"user","content":"hi"}]"#, isSink: true, parameters: parameters))
    #expect(sink["stop"] as? [String] == ["\n"])
    #expect(sink["tools"] != nil && sink["response_format"] != nil)
    #expect(sink["max_tokens"] as? Int == 9)
    #expect(sink["n"] == nil && sink["model"] == nil)
    #expect(sink["stream"] as? Bool == true)
  }

  @Test("an answer without a limit is as long as its model makes it, also in a plan")
  func unlimited() throws {
    let messages = #"[{"role":"user","content":"hi"}]"#
    #expect(try body(order(messages, isSink: true))["max_tokens"] == nil)
    var merging = order(messages, isSink: true)
    merging.inputs = [TaskOrder.NamedInput(name: "Draft 1", text: "hello")]
    #expect(try body(merging)["max_tokens"] as? Int == 256)
  }

  @Test("a client that limits completion tokens in the newer way is not limited twice")
  func completionTokens() throws {
    let sink = try body(
      order(
        #"[{"role":"user","content":"hi"}]"#, isSink: true,
        parameters: [("max_completion_tokens", "77")]))
    #expect(sink["max_completion_tokens"] as? Int == 77)
    #expect(sink["max_tokens"] == nil)
  }

  @Test(
    "a body that is not a conversation is refused",
    arguments: ["", "{}", "[]", "[", #""text""#, "[{]"])
  func notMessages(text: String) {
    let failure = #expect(throws: Failure.self) {
      try RequestComposition.body(for: order(text), role: role)
    }
    #expect(failure?.code == .invalidRequest)
  }

  // MARK: - Passed-on output

  @Test("an output is passed on normalised, and what is held back comes at the end")
  func normalisedOutput() {
    var output = TaskOutput(for: order("[]", isSink: true))
    #expect(output.take("<think>Hm.") == nil)
    #expect(output.take("</think>\n\nYes,") == TaskDelta(text: "Yes,"))
    #expect(output.take(" a <|im_") == TaskDelta(text: " a"))
    #expect(output.finish() == TaskDelta(text: " <|im_"))
    #expect(output.finish() == nil)
    #expect(output.text == "Yes, a <|im_")
  }

  @Test("tool calls pass, and the text with them is normalised")
  func normalisedDelta() {
    var output = TaskOutput(for: order("[]", isSink: true))
    let delta = #"{"tool_calls":[{"index":0}], "content":"Hi</s>"}"#
    #expect(
      output.take("Hi</s>", deltaJSON: Array(delta.utf8))
        == TaskDelta(
          text: "Hi", deltaJSON: Array(#"{"tool_calls":[{"index":0}], "content":"Hi"}"#.utf8)))
    let plain = Array(#"{"reasoning_content":"Hm."}"#.utf8)
    #expect(output.take("", deltaJSON: plain) == TaskDelta(text: "", deltaJSON: plain))
  }

  @Test("reasoning stays where the client asked for it, and only in the answer")
  func reasoningAskedFor() {
    for isSink in [true, false] {
      var output = TaskOutput(
        for: order("[]", isSink: isSink, parameters: [("include_reasoning", "true")]))
      _ = output.take("<think>Hm.</think>Yes.")
      _ = output.finish()
      #expect(output.text == (isSink ? "<think>Hm.</think>Yes." : "Yes."))
    }
  }
}
