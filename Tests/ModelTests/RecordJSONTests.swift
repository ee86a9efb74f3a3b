import ClusterModel
import Foundation
import Testing

@Suite("JSON of telemetry records")
struct RecordJSONTests {
  private static let trace = TraceID(high: 0, low: 0xA1)

  private func json(_ record: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(record), as: UTF8.self)
  }

  private func decoded<Record: Decodable>(_ json: String) throws -> Record {
    try JSONDecoder().decode(Record.self, from: Data(json.utf8))
  }

  @Test("a log line has names in snake case, and is read as it was written")
  func log() throws {
    let log = LogRecord(
      timeUnixMicroseconds: 5, level: "info", service: "gateway", message: "m", trace: Self.trace,
      attributes: [Attribute("k", "v")])
    let text = try json(log)
    #expect(
      text == #"{"attributes":[{"key":"k","value":"v"}],"level":"info","message":"m","#
        + #""service":"gateway","time_unix_us":5,"trace":"000000000000000000000000000000a1"}"#)
    #expect(try decoded(text) == log)
  }

  @Test("a span has names in snake case, and is read as it was written")
  func span() throws {
    let span = SpanRecord(
      trace: Self.trace, span: SpanID(1), parent: .none, service: "gateway", name: "request",
      startUnixMicroseconds: 5, durationMicroseconds: 7)
    let text = try json(span)
    #expect(
      text == #"{"attributes":[],"duration_us":7,"failed":false,"name":"request","#
        + #""parent":"0000000000000000","service":"gateway","span":"0000000000000001","#
        + #""start_unix_us":5,"trace":"000000000000000000000000000000a1"}"#)
    #expect(try decoded(text) == span)
  }

  @Test("a request has names in snake case, and is read as it was written")
  func request() throws {
    let request = RequestRecord(
      trace: Self.trace, timeUnixMicroseconds: 5, key: "k", endpoint: "/v1/embeddings",
      model: "m", pattern: "direct", stream: false, status: 502, errorCode: "upstream_failed",
      host: "h",
      usage: Usage(promptTokens: 3, cachedTokens: 2, completionTokens: 0),
      firstTokenMilliseconds: 8,
      totalMilliseconds: 9)
    let text = try json(request)
    #expect(
      text == #"{"endpoint":"/v1/embeddings","error_code":"upstream_failed","#
        + #""first_token_ms":8,"host":"h","key":"k","model":"m","pattern":"direct","status":502,"#
        + #""stream":false,"time_unix_us":5,"total_ms":9,"#
        + #""trace":"000000000000000000000000000000a1","#
        + #""usage":{"cached_tokens":2,"completion_tokens":0,"estimated":false,"#
        + #""prompt_tokens":3}}"#)
    #expect(try decoded(text) == request)
  }

  @Test("cached tokens may be absent, and are at most the prompt")
  func cachedTokens() throws {
    for (cached, expected) in [("", 0), (#""cached_tokens":2,"#, 2), (#""cached_tokens":9,"#, 3)] {
      let usage: Usage = try decoded(
        #"{\#(cached)"completion_tokens":1,"estimated":true,"prompt_tokens":3}"#)
      #expect(
        usage
          == Usage(
            promptTokens: 3, cachedTokens: expected, completionTokens: 1, estimated: true))
    }
  }
}
