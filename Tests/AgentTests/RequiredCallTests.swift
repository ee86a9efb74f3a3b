import ClusterModel
import ClusterTesting
import Testing

@Suite("A task whose answer must call a tool")
struct RequiredCallTests {
  /// An order whose answer must call `weather`.
  private func calling(_ choice: String = #""required""#) -> TaskOrder {
    var calling = order(isSink: true)
    let tools = #"""
      [{"type":"function","function":{"name":"weather","parameters":{"type":"object",
      "required":["city"],"properties":{"city":{"type":"string"}}}}}]
      """#
    calling.conversation.parameters = [
      .init(name: "tools", json: Array(tools.utf8)),
      .init(name: "tool_choice", json: Array(choice.utf8)),
    ]
    return calling
  }

  @Test("prose in place of a required call is held, and the call is asked for as JSON")
  func repairedCall() async throws {
    let done = try await perform(calling()) { question in
      String(decoding: question.request.body, as: UTF8.self).contains("json_schema")
        ? #"{"name":"weather","arguments":{"city":"Oslo"}}"# : "It rains in Oslo."
    }
    #expect(done.told.text.isEmpty && done.report.output.isEmpty)
    #expect(done.report.finishReason == "tool_calls" && done.report.contractMet)
    var calls: [String] = []
    for case .delta(let delta) in done.told.all {
      calls.append(String(decoding: delta.deltaJSON ?? [], as: UTF8.self))
    }
    #expect(calls.count == 1 && calls[0].contains(#""name":"weather""#))
    #expect(done.bodies.map { $0.contains(#""tool_choice":"required""#) } == [true, false])
    #expect(done.told.beginnings == 1 && done.report.inferences.count == 2)
    #expect(done.attribute("contract") == "met")
  }

  @Test("prose in place of a required call is reported as a broken contract, with its tokens")
  func missingCall() async throws {
    let done = try await perform(calling()) { _ in "It rains in Oslo." }
    #expect(!done.report.contractMet && done.report.output.isEmpty && done.told.text.isEmpty)
    #expect(done.report.inferences.count == 2 && done.report.usage.completionTokens > 0)
    #expect(done.attribute("contract") == "broken")
  }

  @Test("prose is passed on if the model may choose whether to call a tool")
  func optionalCall() async throws {
    let done = try await perform(calling(#""auto""#)) { _ in "It rains in Oslo." }
    #expect(done.told.text == "It rains in Oslo." && done.bodies.count == 1)
  }
}
