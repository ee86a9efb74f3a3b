import ClusterModel
import Limits
import Testing

@testable import InferenceCore

private typealias Stream = HostileStream

@Suite("Work to translate a hostile request")
struct HostileRequestTests {
  private static func order(_ body: String, _ dialect: HostDialect) -> UpstreamOrder {
    UpstreamOrder(
      InferenceRequest(
        endpoint: .chatCompletions, model: "m", body: Array(body.utf8), stream: true,
        trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3))),
      Candidate(host: Host(id: "h", url: "http://h", dialect: dialect), model: "m"), nil, nil)
  }

  private static func work(
    _ body: String, _ dialect: HostDialect
  ) throws(AdapterRefusal) -> Int {
    let order = order(body, dialect)
    var fields = try RequestFields(order.request.body)
    if dialect == .anthropic {
      _ = try AnthropicAdapter.request(order, &fields)
    } else {
      _ = try OllamaAdapter.chat(order, &fields)
    }
    return fields.allowance.worked
  }

  static let shapes: [@Sendable (Int) -> String] = [
    { #"{"messages":\#(Stream.list($0) { _ in #"{"role":"user","content":"a"}"# })}"# },
    {
      #"{"messages":[{"role":"user","content":\#(Stream.list($0) { _ in #"{"type":"text","text":"a"}"# })}]}"#
    },
    {
      #"{"messages":[{"role":"assistant","tool_calls":\#(Stream.list($0) { #"{"id":"c\#($0)","function":{"name":"f","arguments":"{}"}}"# })}]}"#
    },
    {
      #"{"messages":[{"role":"user","content":"a"}],"tools":\#(Stream.list($0) { #"{"type":"function","function":{"name":"f\#($0)"}}"# })}"#
    },
    { #"{"messages":[{"role":"user","content":"\#(String(repeating: "\\n", count: $0))"}]}"# },
  ]

  @Test("work is linear in the size", arguments: shapes.indices, [HostDialect.anthropic, .ollama])
  func linear(_ shape: Int, _ dialect: HostDialect) throws {
    let half = try Self.work(Self.shapes[shape](2_000), dialect)
    let whole = try Self.work(Self.shapes[shape](4_000), dialect)
    #expect(Double(whole) <= 2.2 * Double(half), "\(half) → \(whole)")
  }

  @Test(
    "no body ends the process, and floods are refused",
    arguments: [
      #"{"messages":[]}"#, #"{"messages":{}}"#, #"{"messages":[[]]}"#,
      #"{"messages":[{"role":7}]}"#,
      #"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:"}}]}]}"#,
      #"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:;base64,"}}]}]}"#,
      #"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,;base64"}}]}]}"#,
      #"{"messages":[],"max_tokens":-9223372036854775808}"#, #"{"messages":[],"n":1e300}"#,
      #"{"messages":[],"temperature":1e999,"stop":[""]}"#,
      #"{"messages":[],"stop":\#(Stream.list(5_000) { _ in "\"a\"" })}"#,
      #"{"messages":[],"options":{\#(Stream.members(2_000))}}"#,
      #"{"messages":\#(Stream.list(70_000) { _ in #"{"role":"user"}"# })}"#,
      #"{"messages":[{"role":"a\#(String(repeating: "\u{301}", count: 10_000))"}]}"#,
      #"{"messages":[{"role":"user","content":"\ud800"}]}"#,
    ], HostDialect.allCases)
  func bodies(_ body: String, _ dialect: HostDialect) {
    for prefix in [nil, "Once"] {
      do throws(AdapterRefusal) {
        _ = try said(body, to: dialect, from: prefix)
      } catch {
        #expect(error.reason.utf8.count < 600)
      }
    }
  }

  @Test(
    "a request asks for as many choices as prompts times n",
    arguments: [
      (#"{}"#, 1), (#"{"n":3}"#, 3), (#"{"n":0}"#, 1), (#"{"n":-9223372036854775808}"#, 1),
      (#"{"n":9223372036854775807,"prompt":["a","b"]}"#, 4_096), (#"{"prompt":"a"}"#, 1),
      (#"{"prompt":["a","b"],"n":2}"#, 4), (#"{"prompt":[1,2,3]}"#, 1),
      (#"{"prompt":[[1,2],[3]]}"#, 2), (#"{"prompt":[]}"#, 1), (#"{"n":2,"best_of":9}"#, 2),
    ])
  func choices(_ body: String, _ choices: Int) throws {
    let request = try said(body, to: .openai, endpoint: .completions)
    #expect(request.reading.choices == choices)
  }

  @Test(
    "a request asks for as many embeddings as it has texts",
    arguments: [
      (#"{"input":"a"}"#, 1), (#"{"input":["a","b"]}"#, 2), (#"{"input":[1,2,3]}"#, 1),
      (#"{"input":[[1],[2]]}"#, 2), (#"{"input":[]}"#, nil), (#"{}"#, nil),
    ] as [(String, Int?)])
  func vectors(_ body: String, _ vectors: Int?) throws {
    let request = try said(body, to: .openai, endpoint: .embeddings)
    #expect(request.reading.vectors == vectors)
  }

  @Test("arrays of digits are measured without being stored")
  func digits() {
    let body = Array(#"{"input":\#(Stream.list(200_000) { _ in "1" })}"#.utf8)
    #expect(EmbeddingInput.longestTokens(in: body) == 200_000)
  }
}
