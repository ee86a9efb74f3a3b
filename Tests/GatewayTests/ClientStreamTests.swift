import ClusterModel
import GatewayCore
import Telemetry
import Testing

@testable import GatewayService

@Suite("Stream to a client")
struct ClientStreamTests {
  private let recorder = TelemetryRecorder(service: "gateway", instance: "g")
  private let answers = InFlightAnswers()
  private let received = FakeClient.Received()
  private let journal: RequestJournal

  init() { journal = RequestJournal("/v1/chat/completions", recorder: recorder) }

  private func stream() -> ClientStream {
    ClientStream(FakeClient(received: received), journal, answers)
  }

  private func records() -> [RequestRecord] { recorder.drain().flatMap(\.requests) }

  @Test("an event is one data line")
  func event() async throws {
    var client = stream()
    try await client.send(event: Array("{\"a\":\n1}\n".utf8))
    #expect(received.pieces == ["data: {\"a\": 1}\n\n"])
  }

  @Test("a large event is written in pieces that make one data line")
  func largeEvent() async throws {
    let json = "{\"a\":\"\(String(repeating: "x", count: 200_000))\"}"
    var client = stream()
    try await client.send(event: Array(json.utf8))
    #expect(received.pieces.count > 3)
    #expect(received.text == "data: \(json)\n\n")
  }

  @Test("a progress line is a comment, and the time of the first one is recorded")
  func progress() async throws {
    var client = stream()
    #expect(journal.times.firstProgress == nil)
    try await client.progress(Array("tutti {}".utf8))
    #expect(received.text == ": tutti {}\n\n")
    #expect(journal.times.firstProgress != nil)
  }

  @Test("a finished stream ends the body and the journal, and the delivery before it")
  func finish() async throws {
    var client = stream()
    try await client.finish(journal.phase(.delivery))
    #expect(received.hasEnd)
    #expect(received.pieces.isEmpty)
    let batches = recorder.drain()
    #expect(batches.flatMap(\.requests).map(\.status) == [200])
    #expect(batches.flatMap(\.spans).map(\.name) == ["delivery", "request"])
  }

  @Test("a failed stream ends properly after one error event, without [DONE]")
  func fail() async throws {
    var client = stream()
    try await client.fail(Failure(.upstreamFailed, "no host is left"))
    #expect(
      received.pieces == [
        #"data: {"error":{"message":"no host is left","type":"server_error","param":null,"#
          + #""code":"upstream_failed"}}"# + "\n\n"
      ])
    #expect(received.hasEnd)
    let records = records()
    #expect(records.map(\.status) == [502])
    #expect(records.map(\.errorCode) == ["upstream_failed"])
  }

  @Test("a stream that the shutdown ended sends the shutdown error")
  func shutdown() async throws {
    answers.endAll()
    var client = stream()
    try await client.fail(.clientLeft)
    #expect(received.text.contains(InFlightAnswers.ended.message))
    #expect(received.hasEnd)
    #expect(records().map(\.status) == [503])
  }

  @Test("a client that left gets no error event, and its request is recorded with status 499")
  func clientLeft() async throws {
    var client = stream()
    await #expect(throws: Failure.clientLeft) { try await client.fail(.clientLeft) }
    #expect(received.pieces.isEmpty)
    #expect(!received.hasEnd)
    #expect(records().map(\.status) == [499])
  }

  @Test("a write that fails means that the client has left")
  func writeFails() async throws {
    var client = stream()
    received.leave()
    await #expect(throws: Failure.clientLeft) { try await client.send([1]) }
    await #expect(throws: Failure.clientLeft) { try await client.progress([1]) }
    await #expect(throws: Failure.clientLeft) { try await client.finish() }
    #expect(journal.times.firstProgress == nil)
    #expect(records().isEmpty)
  }
}
