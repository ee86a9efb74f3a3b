import ClusterModel
import Foundation
import Testing
import Text

@testable import AgentCore

private let tools = #"""
  [{"type":"function","function":{"name":"weather","description":"The weather of a city.",
  "parameters":{"type":"object","required":["city"],"properties":{"city":{"type":"string"}}}}},
  {"type":"function","function":{"name":"time","parameters":{"type":"object"}}}]
  """#

private let anyTool = #""required""#
private let weather = #"{"type":"function","function":{"name":"weather"}}"#

private func taskOrder(_ choice: String = anyTool, sparesTokens: Bool = false) -> TaskOrder {
  TaskOrder(
    plan: "plan-1", task: PlanTask(id: "answer", role: .coordinator),
    conversation: Conversation(
      messagesJSON: Array(#"[{"role":"user","content":"Is it raining?"}]"#.utf8),
      parameters: [
        .init(name: "tools", json: Array(tools.utf8)),
        .init(name: "tool_choice", json: Array(choice.utf8)),
        .init(name: "response_format", json: Array(#"{"type":"text"}"#.utf8)),
      ]), isSink: true, sparesTokens: sparesTokens)
}

private func begun(_ order: TaskOrder) throws -> ToolDialogue {
  ToolDialogue(try #require(order.toolContract), for: order)
}

private func prose(_ text: String) -> HeldAnswer {
  var answer = HeldAnswer()
  answer.take(TaskDelta(text: text))
  answer.finishReason = "stop"
  return answer
}

private func call(_ name: String, _ arguments: String...) -> HeldAnswer {
  var answer = HeldAnswer()
  for (place, piece) in arguments.enumerated() {
    let function: JSON =
      place == 0
      ? ["name": .string(name), "arguments": .string(piece)] : ["arguments": .string(piece)]
    let delta: JSON = ["tool_calls": [["index": 0, "function": function]]]
    answer.take(TaskDelta(text: "", deltaJSON: delta.encoded))
  }
  answer.finishReason = "tool_calls"
  return answer
}

/// The calls of an answer that is passed on. `nil` means that the step is another one.
private func calls(_ step: ToolDialogue.Step) -> [ToolCall]? {
  guard case .finish(let answer, _) = step else { return nil }
  return answer.calls.all
}

private func question(_ step: ToolDialogue.Step) throws -> TaskDialogue.Question {
  guard case .ask(let question) = step else {
    throw Failure(.internalError, "the step is no question: \(step)")
  }
  return question
}

private let rain = ToolCall(name: "weather", arguments: #"{"city":"Oslo"}"#)

@Suite("An answer that must call a tool")
struct ToolDialogueTests {
  @Test("only the task that writes the answer has the contract")
  func contract() {
    var inner = taskOrder()
    #expect(inner.toolContract?.tools.map(\.name) == ["weather", "time"])
    inner.isSink = false
    #expect(inner.toolContract == nil)
    #expect(taskOrder(#""auto""#).toolContract == nil)
  }

  @Test("a call that fits is passed on as it came")
  func fits() throws {
    for answer in [
      call("weather", #"{"city":"#, #""Oslo"}"#), call("time", ""), call("time", "{}"),
    ] {
      var dialogue = try begun(taskOrder())
      #expect(dialogue.answered(answer) == .finish(answer, mistake: nil))
    }
  }

  @Test(
    "a call that a model wrote as text becomes a call",
    arguments: [
      #"{"name":"weather","arguments":{"city":"Oslo"}}"#,
      #"{"name":"weather","parameters":{"city":"Oslo"}}"#,
      #"{"name":"weather","arguments":"{\"city\":\"Oslo\"}"}"#,
      #"{"type":"function","function":{"name":"weather","arguments":{"city":"Oslo"}}}"#,
      #"{"tool_calls":[{"function":{"name":"weather","arguments":{"city":"Oslo"}}}]}"#,
      #"[{"name":"weather","arguments":{"city":"Oslo"}}]"#,
      #"[TOOL_CALLS][{"name":"weather","arguments":{"city":"Oslo"}}]"#,
      #"<tool_call>{"name":"weather","arguments":{"city":"Oslo"}}</tool_call>"#,
      "Let me see.\n```json\n{\"name\":\"weather\",\"arguments\":{\"city\":\"Oslo\"}}\n```",
      #"<function=weather>{"city":"Oslo"}</function>"#,
      #"{"weather":{"city":"Oslo"}}"#,
      #"{"thought":"hm"} {"name":"weather","arguments":{"city":"Oslo"}}"#,
    ])
  func text(_ text: String) throws {
    var dialogue = try begun(taskOrder())
    let step = dialogue.answered(prose(text))
    let found = try #require(calls(step), "\(step)")
    #expect(found.count == 1 && found.first?.name == "weather")
    let arguments = try #require(found.first?.arguments)
    let city = try JSONSerialization.jsonObject(with: Data(arguments.utf8)) as? [String: String]
    #expect(city == ["city": "Oslo"])
    guard case .finish(let answer, _) = step else { return }
    #expect(answer.text.isEmpty && answer.finishReason == "tool_calls")
    let delta = String(decoding: answer.deltas.first?.deltaJSON ?? [], as: UTF8.self)
    #expect(delta.contains(#""id":"call_plan1_0""#), "\(delta)")
  }

  @Test("arguments without a name are a call of the named function, if it requires arguments")
  func bare() throws {
    var named = try begun(taskOrder(weather))
    #expect(calls(named.answered(prose(#"Here: {"city":"Oslo"}"#))) == [rain])
    var free = try begun(taskOrder())
    #expect(calls(free.answered(prose(#"{"city":"Oslo"}"#))) == nil)
  }

  @Test(
    "text that is no permitted call is not made one",
    arguments: [
      "It rains in Oslo.", "", "{}", #"{"name":"delete","arguments":{}}"#,
      #"{"name":"weather","arguments":{}}"#, #"{"name":"weather","arguments":{"city":1}}"#,
      #"{"name":"weather","arguments":{"city":"#, "[[[[", #"{"name":7}"#,
    ])
  func noCall(_ text: String) throws {
    var dialogue = try begun(taskOrder())
    let repair = try question(dialogue.answered(prose(text)))
    #expect(repair.hasFormat && repair.call != nil)
    guard case .fail(let failure) = dialogue.answered(prose(text)) else {
      Issue.record("prose was passed on: \(text)")
      return
    }
    #expect(failure.code == .upstreamFailed && failure.message.contains("2 attempts"))
  }

  @Test("several calls in one text are several calls, but a named function is called once")
  func several() throws {
    let text = String(
      repeating: #"<tool_call>{"name":"weather","arguments":{"city":"Oslo"}}"#, count: 2)
    var free = try begun(taskOrder())
    #expect(calls(free.answered(prose(text))) == [rain, rain])
    var named = try begun(taskOrder(weather))
    #expect(calls(named.answered(prose(text))) == [rain])
  }

  @Test("a call after hundreds of other objects is not searched for")
  func bounded() throws {
    let call = #"{"name":"time","arguments":{}}"#
    for (others, isFound) in [(200, true), (300, false)] {
      var dialogue = try begun(taskOrder())
      let text = String(repeating: "{} ", count: others) + call
      #expect((calls(dialogue.answered(prose(text))) != nil) == isFound)
    }
  }

  @Test("a custom tool is called by a call only, and its text is not asked for as JSON")
  func custom() throws {
    let contract = try #require(
      try ToolContract.of { name in
        name == "tool_choice"
          ? Array(anyTool.utf8)
          : Array(#"[{"type":"custom","custom":{"name":"shell"}}]"#.utf8)
      })
    var written = ToolDialogue(contract, for: taskOrder())
    let step = written.answered(prose(#"{"name":"shell","arguments":{}}"#))
    guard case .fail(let failure) = step else {
      Issue.record("the step is \(step)")
      return
    }
    #expect(failure.message.contains("1 attempt"))
    var answer = HeldAnswer()
    let delta =
      #"{"tool_calls":[{"index":0,"type":"custom","custom":{"name":"shell","input":"ls"}}]}"#
    answer.take(TaskDelta(text: "", deltaJSON: Array(delta.utf8)))
    var called = ToolDialogue(contract, for: taskOrder())
    #expect(called.answered(answer) == .finish(answer, mistake: nil))
  }

  @Test("a call with wrong arguments is repaired once, then the client gets it")
  func flawed() throws {
    let wrong = call("weather", #"{"town":"Oslo"}"#)
    var mended = try begun(taskOrder())
    let repair = try question(mended.answered(wrong))
    #expect(repair.repair?.mistake.contains("\"city\" is missing") == true)
    #expect(
      calls(mended.answered(prose(#"{"name":"weather","arguments":{"city":"Oslo"}}"#))) == [rain])
    var kept = try begun(taskOrder())
    _ = kept.answered(wrong)
    guard case .finish(wrong, let mistake) = kept.answered(prose("It rains.")) else {
      Issue.record("the call was dropped")
      return
    }
    #expect(mistake?.contains("city") == true)
    var failed = try begun(taskOrder())
    _ = failed.answered(wrong)
    #expect(calls(failed.failed(Failure(.upstreamFailed, "gone"))) == wrong.calls.all)
  }

  @Test("a call of another function is never passed on")
  func foreign() throws {
    var dialogue = try begun(taskOrder(weather))
    for _ in 0..<2 {
      let step = dialogue.answered(call("time", "{}"))
      #expect(calls(step) == nil)
    }
  }

  @Test("a host that cannot be made to call a tool is asked for the call as JSON")
  func refused() throws {
    for code in [Failure.Code.invalidRequest, .noEligibleHost] {
      var dialogue = try begun(taskOrder())
      let refusal = Failure(code, "cannot be made to call a tool")
      let first = try question(dialogue.failed(refusal))
      #expect(first.call != nil && first.hasFormat && first.repair == nil)
      let second = try question(dialogue.failed(Failure(.invalidRequest, "no response_format")))
      #expect(second.call != nil && !second.hasFormat)
      #expect(dialogue.failed(Failure(.invalidRequest, "again")) == .fail(refusal))
    }
    var cancelled = try begun(taskOrder())
    let end = Failure(.cancelled, "")
    #expect(cancelled.failed(end) == .fail(end))
  }

  @Test("a token budget permits no second prompt")
  func budget() throws {
    var dialogue = try begun(taskOrder(sparesTokens: true))
    guard case .fail(let failure) = dialogue.answered(prose("It rains.")) else {
      Issue.record("a repair was asked for")
      return
    }
    #expect(failure.message.contains("budget"))
  }

  @Test("the question for a call as JSON has a schema in place of the tools")
  func request() throws {
    let order = taskOrder()
    var dialogue = try begun(order)
    let first = dialogue.begin()
    let role = Role(
      name: .coordinator, systemPrompt: "Answer.",
      profile: ParameterProfile(temperatureMilli: 100, topPMilli: 900, maxTokens: 64))
    func body(_ question: TaskDialogue.Question) throws -> [String: Any] {
      let bytes = try RequestComposition.body(for: order, role: role, question: question)
      return try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    }
    let asked = try body(first)
    #expect(asked["tools"] != nil && asked["tool_choice"] as? String == "required")
    let repair = try body(try question(dialogue.answered(prose("It rains."))))
    for name in ToolContract.members { #expect(repair[name] == nil, "\(name)") }
    let format = try #require(repair["response_format"] as? [String: Any])
    let schema = try #require(
      (format["json_schema"] as? [String: Any])?["schema"] as? [String: Any])
    #expect((schema["anyOf"] as? [Any])?.count == 2)
    let messages = try #require(repair["messages"] as? [[String: Any]])
    #expect(messages.dropLast().last?["content"] as? String == "It rains.")
    let last = try #require(messages.last?["content"] as? String)
    #expect(last.contains("- weather: The weather of a city.") && last.contains("- time"))
  }

  @Test("a schema with references is not put into another schema")
  func references() throws {
    let contract = try #require(
      try ToolContract.of { name in
        name == "tool_choice"
          ? Array(anyTool.utf8)
          : Array(
            ##"[{"function":{"name":"f","parameters":{"$ref":"#/$defs/a","$defs":{"a":{}}}}}]"##
              .utf8)
      })
    let format = String(decoding: ResponseFormat.json(for: contract).encoded, as: UTF8.self)
    #expect(!format.contains("$ref") && format.contains(#""enum":["f"]"#))
  }

  @Test("calls without an index, with repeated names or with an object as arguments are read")
  func habits() {
    func read(_ deltas: String...) -> [ToolCall] {
      var calls = ToolCalls()
      for delta in deltas { calls.take(Array(delta.utf8)) }
      return calls.all
    }
    #expect(
      read(
        #"{"tool_calls":[{"function":{"name":"a","arguments":"{"}}]}"#,
        #"{"tool_calls":[{"function":{"arguments":"}"}}]}"#,
        #"{"tool_calls":[{"function":{"name":"b","arguments":{"x":1}}}]}"#)
        == [
          ToolCall(name: "a", arguments: "{}"), ToolCall(name: "b", arguments: #"{"x":1}"#),
        ])
    #expect(
      read(
        #"{"tool_calls":[{"index":3,"function":{"name":"a","arguments":"{"}}]}"#,
        #"{"tool_calls":[{"index":3,"function":{"name":"a","arguments":"}"}}]}"#)
        == [ToolCall(name: "a", arguments: "{}")])
    #expect(
      read(
        #"{"function_call":{"name":"a","arguments":"{"}}"#,
        #"{"function_call":{"arguments":"}"}}"#)
        == [ToolCall(name: "a", arguments: "{}")])
    #expect(read("{", "[]", #"{"tool_calls":7}"#, #"{"content":"x"}"#).isEmpty)
  }
}
