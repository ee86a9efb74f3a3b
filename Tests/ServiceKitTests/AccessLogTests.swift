import ClusterModel
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOEmbedded
import Telemetry
import Testing

@testable import ServiceKit

@Suite("Log of requests")
struct AccessLogTests {
  private struct Left: Error {}

  /// Takes an answer, or breaks off after the first piece of its body.
  private struct Writer: ResponseBodyWriter {
    var breaksOff = false

    mutating func write(_ buffer: ByteBuffer) async throws {
      if breaksOff { throw Left() }
    }

    consuming func finish(_ trailingHeaders: HTTPFields?) async throws {}
  }

  private let recorder = TelemetryRecorder(service: "gateway", instance: "g")
  private let trace = HTTPField.Name("x-trace")

  private func responder(logs: Bool = true) -> ServiceResponder {
    let sink = LogSink(service: "gateway", format: .json, recorder: recorder, write: { _ in })
    let logger = Logger(label: "test") { _ in TelemetryLogHandler(sink: sink, level: .info) }
    let router = makeRouter()
    router.get("/stream") { _, _ in
      Response(
        status: .ok,
        body: ResponseBody { writer in
          try await writer.write(ByteBuffer(string: "two "))
          try await writer.write(ByteBuffer(string: "words"))
          try await writer.finish(nil)
        })
    }
    router.get("/fails") { _, _ -> Response in throw Failure(.upstreamFailed, "no answer") }
    router.get("/health") { _, _ in Response(status: .ok) }
    return ServiceResponder(
      router, traceHeader: trace,
      accessLog: logs ? AccessLog(logger: logger, quietPaths: ["/health"]) : nil)
  }

  private func response(_ path: String, logs: Bool = true) async throws -> Response {
    try await responder(logs: logs).respond(
      to: Request(
        head: HTTPRequest(method: .get, scheme: "http", authority: "localhost", path: path),
        body: RequestBody(buffer: ByteBuffer())),
      context: BasicRequestContext(
        source: ApplicationRequestContextSource(
          channel: EmbeddedChannel(), logger: Logger(label: "x") { _ in SwiftLogNoOpLogHandler() })
      ))
  }

  private func lines() -> [(facts: [String: String], trace: TraceID?)] {
    recorder.drain().flatMap(\.logs).filter { $0.message == "request" }.map { line in
      (
        Dictionary(uniqueKeysWithValues: line.attributes.map { ($0.key, $0.value) }), line.trace
      )
    }
  }

  @Test("a request is logged after the last byte of its answer, without its query")
  func answered() async throws {
    let response = try await response("/stream?key=secret")
    #expect(lines().isEmpty)
    try await response.body.write(Writer())
    let lines = lines()
    let line = try #require(lines.first)
    #expect(lines.count == 1)
    #expect(line.facts["method"] == "GET" && line.facts["path"] == "/stream", "\(line)")
    #expect(line.facts["status"] == "200" && line.facts["bytes"] == "9", "\(line)")
    #expect(line.facts["ms"] != nil && line.facts["cut"] == nil, "\(line)")
    let name = try #require(trace)
    #expect(line.trace != nil && response.headers[name] == line.trace?.description)
  }

  @Test("errors and unknown paths are logged with their status")
  func refused() async throws {
    for (path, status) in [("/fails", "502"), ("/nowhere", "404")] {
      let response = try await response(path)
      #expect(response.headers[.contentLength] != nil)
      try await response.body.write(Writer())
      #expect(lines().map { $0.facts["status"] } == [status], "\(path)")
    }
  }

  @Test("an answer that the client did not read to its end, or not at all, is logged as cut")
  func cut() async throws {
    let response = try await response("/stream")
    await #expect(throws: Left.self) { try await response.body.write(Writer(breaksOff: true)) }
    #expect(lines().map { $0.facts["cut"] } == ["true"])
    _ = try await self.response("/stream")
    #expect(lines().map { $0.facts["cut"] } == ["true"])
  }

  @Test("health is not logged, and nothing is logged without the setting")
  func quiet() async throws {
    try await response("/health").body.write(Writer())
    try await response("/stream", logs: false).body.write(Writer())
    #expect(lines().isEmpty)
  }
}
