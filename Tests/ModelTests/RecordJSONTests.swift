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

  @Test("a log line is one object with its attributes as members, and is read as it was written")
  func log() throws {
    let log = LogRecord(
      timeUnixMicroseconds: 5, level: "info", service: "gateway", message: "m", trace: Self.trace,
      attributes: [Attribute("host", "h"), Attribute("k", "v")])
    let text = try json(log)
    #expect(
      text == #"{"host":"h","k":"v","level":"info","message":"m","service":"gateway","#
        + #""time":"1970-01-01T00:00:00.000005Z","trace_id":"000000000000000000000000000000a1"}"#)
    #expect(try decoded(text) == log)
    let bare = LogRecord(timeUnixMicroseconds: 5, level: "info", service: "s", message: "m")
    #expect(try decoded(json(bare)) == bare)
  }

  @Test("an attribute cannot replace a field, and a name is written once")
  func logNames() {
    let log = LogRecord(
      timeUnixMicroseconds: 5, level: "info", service: "s", message: "m",
      attributes: [
        Attribute("_level", "1"), Attribute("level", "2"), Attribute("trace_id", "3"),
        Attribute("k", "4"), Attribute("k", "5"),
      ])
    #expect(
      log.members.map(\.key) == [
        "time", "level", "service", "message", "_level", "_trace_id", "k", "_k",
      ])
  }

  @Test(
    "a log line without a time, or with a member that is no text, is refused",
    arguments: [
      #"{"level":"info","message":"m","service":"s"}"#,
      #"{"level":"info","message":"m","service":"s","time":5}"#,
      #"{"level":"info","message":"m","service":"s","time":"yesterday"}"#,
      #"{"level":"info","message":"m","service":"s","time":"1970-01-01T00:00:00Z","k":1}"#,
    ])
  func badLog(_ text: String) {
    #expect(throws: DecodingError.self) { try decoded(text) as LogRecord }
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
        + #""start":"1970-01-01T00:00:00.000005Z","trace":"000000000000000000000000000000a1"}"#)
    #expect(try decoded(text) == span)
  }

  @Test("a request has names in snake case, and is read as it was written")
  func request() throws {
    let request = RequestRecord(
      trace: Self.trace, timeUnixMicroseconds: 5, key: "k", endpoint: "/v1/embeddings",
      model: "m", pattern: "direct", stream: false, status: 502, errorCode: "upstream_failed",
      host: "h",
      usage: Usage(promptTokens: 3, cachedTokens: 2, completionTokens: 0),
      finishReason: "stop", cost: CreditAmount(millionths: 12_300),
      shares: [
        HostShare(
          host: "h", model: "m", promptTokens: 3, completionTokens: 0,
          cost: CreditAmount(millionths: 1_000_000)),
        HostShare(host: "g", model: "m", promptTokens: 3, completionTokens: 0),
      ],
      firstTokenMilliseconds: 8,
      totalMilliseconds: 9)
    let text = try json(request)
    #expect(
      text == #"{"cost":"0.0123","endpoint":"/v1/embeddings","error_code":"upstream_failed","#
        + #""finish_reason":"stop","first_token_ms":8,"host":"h","host_cost":null,"key":"k","#
        + #""model":"m","pattern":"direct","shares":["#
        + #"{"completion_tokens":0,"host":"h","host_cost":"1","model":"m","prompt_tokens":3},"#
        + #"{"completion_tokens":0,"host":"g","host_cost":null,"model":"m","prompt_tokens":3}],"#
        + #""status":502,"stream":false,"time":"1970-01-01T00:00:00.000005Z","total_ms":9,"#
        + #""trace":"000000000000000000000000000000a1","#
        + #""usage":{"cached_tokens":2,"completion_tokens":0,"estimated":false,"#
        + #""prompt_tokens":3,"total_tokens":3}}"#)
    #expect(try decoded(text) == request)
  }

  @Test("an amount in JSON is a string of credits, and any other form is refused")
  func amounts() throws {
    for (millionths, text) in [
      (0, "0"), (1, "0.000001"), (150_000, "0.15"), (3_000_000, "3"),
      (.max, "9223372036854.775807"),
    ] as [(Int64, String)] {
      #expect(CreditAmount(millionths: millionths).description == text)
      #expect(CreditAmount(text)?.millionths == millionths)
    }
    for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "0.0000001", "1.2.3", "9223372036855"] {
      #expect(CreditAmount(text) == nil, "\(text)")
    }
    #expect(CreditAmount(millionths: -4) == .zero)
    #expect(
      CreditAmount(millionths: .max).addingCapped(CreditAmount(millionths: 1)).millionths == .max)
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
