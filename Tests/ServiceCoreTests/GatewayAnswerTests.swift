import ClusterModel
import GatewayCore
import Testing
import Text

@Suite("Bodies and chunks that the gateway sends")
struct GatewayAnswerTests {
  private let composer = ChatComposer(id: "chatcmpl-1", model: "tutti/ensemble", created: 5)
  private let head =
    #""id":"chatcmpl-1","object":"chat.completion.chunk","created":5,"#
    + #""model":"tutti/ensemble","choices":"#

  @Test("chunks of one answer share id, model and date")
  func chunks() {
    #expect(
      text(composer.opening())
        == "{\(head)"
        + #"[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#)
    #expect(
      text(composer.delta(TaskDelta(text: "a\"b")))
        == "{\(head)" + #"[{"index":0,"delta":{"content":"a\"b"},"finish_reason":null}]}"#)
    #expect(
      text(composer.delta(TaskDelta(text: "", deltaJSON: bytes(#"{"tool_calls":[ ]}"#))))
        == "{\(head)" + #"[{"index":0,"delta":{"tool_calls":[ ]},"finish_reason":null}]}"#)
    #expect(
      text(composer.closing(finish: "stop", adding: [("tutti", [:])]))
        == "{\(head)" + #"[{"index":0,"delta":{},"finish_reason":"stop"}],"tutti":{}}"#)
    #expect(
      ChatComposer(following: composer.opening()) == composer,
      "an added chunk belongs to its stream")
    #expect(text(SSE.data(bytes("{}"))) == "data: {}\n\n")
  }

  @Test(
    "an event is one line, however its JSON is laid out",
    arguments: [
      "{\n  \"a\": 1\n}", "\r\n{\r\n\"a\":\r1}\n\n", "  {}  ", "\n", "{\"a\":\"\\n\"}",
    ])
  func oneLine(_ json: String) {
    let event = SSE.data(bytes(json))
    #expect(event.starts(with: bytes("data: ")) && event.suffix(2) == [0x0A, 0x0A])
    #expect(!event.dropLast(2).contains { $0 == 0x0A || $0 == 0x0D })
    #expect(
      event.dropFirst(6).filter { $0 > 0x20 } == bytes(json).filter { $0 > 0x20 })
    for length in [1, 3, 1_000] {
      #expect(SSE.pieces(ofData: bytes(json), atMost: length).flatMap { $0 } == event)
    }
  }

  @Test("a refusal replaces the text")
  func refusal() {
    var assembler = MessageAssembler()
    assembler.add(TaskDelta(text: "", deltaJSON: bytes(#"{"refusal":"No."}"#)))
    #expect(
      text(assembler.message.encoded) == #"{"role":"assistant","content":null,"refusal":"No."}"#)
  }

  @Test("deltas become the message a client without a stream gets, tool calls put together")
  func message() {
    var assembler = MessageAssembler()
    assembler.add(TaskDelta(text: "Hel"))
    assembler.add(TaskDelta(text: "lo"))
    #expect(text(assembler.message.encoded) == #"{"role":"assistant","content":"Hello"}"#)

    var calls = MessageAssembler()
    for delta in [
      #"{"tool_calls":[{"index":1,"id":"c2","type":"function","function":{"name":"g"}}]}"#,
      #"{"tool_calls":[{"index":0,"id":"c1","type":"function","#
        + #""function":{"name":"f","arguments":""}}]}"#,
      #"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}"#,
      #"{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}"#,
    ] { calls.add(TaskDelta(text: "", deltaJSON: bytes(delta))) }
    #expect(
      text(calls.message.encoded)
        == #"{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","#
        + #""function":{"name":"f","arguments":"{\"a\":1}"}},{"id":"c2","type":"function","#
        + #""function":{"name":"g","arguments":""}}]}"#)
  }

  @Test("the deltas of an older function call are put together, too")
  func functionCall() {
    var assembler = MessageAssembler()
    for delta in [
      #"{"function_call":{"name":"f","arguments":"{\"a\""}}"#,
      #"{"function_call":{"arguments":":1}"}}"#, #"{"function_call":null}"#,
    ] { assembler.add(TaskDelta(text: "", deltaJSON: bytes(delta))) }
    #expect(
      text(assembler.message.encoded)
        == #"{"role":"assistant","content":null,"function_call":{"name":"f","#
        + #""arguments":"{\"a\":1}"}}"#)
  }
}
