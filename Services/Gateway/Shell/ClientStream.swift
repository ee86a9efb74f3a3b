import ClusterModel
import GatewayCore
import HTTPTypes
import Hummingbird
import Limits
import NIOCore
import ServiceKit
import Telemetry

/// The body of one streamed response, and the journal of its request.
struct ClientStream {
  private var writer: any ResponseBodyWriter
  private let journal: RequestJournal
  private let answers: InFlightAnswers

  init(_ writer: any ResponseBodyWriter, _ journal: RequestJournal, _ answers: InFlightAnswers) {
    self.writer = writer
    self.journal = journal
    self.answers = answers
  }

  @concurrent
  mutating func send(_ bytes: [UInt8]) async throws(Failure) {
    do {
      try await writer.write(ByteBuffer(bytes: bytes))
    } catch {
      throw .clientLeft
    }
  }

  /// Sends JSON as one event. A large event is made in pieces while it is sent.
  @concurrent
  mutating func send(event json: [UInt8]) async throws(Failure) {
    guard json.count > Limits.heavyBytes.value else {
      try await send(SSE.data(json))
      return
    }
    for piece in SSE.pieces(ofData: json, atMost: Limits.heavyBytes.value) {
      try await send(piece)
    }
  }

  /// Sends a progress line as a comment.
  @concurrent
  mutating func progress(_ line: [UInt8]) async throws(Failure) {
    try await send(SSE.comment(line))
    journal.recordProgress()
  }

  /// Ends the body of a complete answer. Then ends the delivery's span and the journal.
  @concurrent
  mutating func finish(_ delivery: OpenSpan? = nil) async throws(Failure) {
    do {
      try await writer.finish(nil)
    } catch {
      throw .clientLeft
    }
    delivery?.end()
    journal.end(status: 200)
  }

  /// Ends a stream that cannot be completed. Sends one error event and the proper end of the body
  /// without `[DONE]`, and closes the connection. So the client sees the event and no protocol
  /// error.
  ///
  /// - Throws: an error if the client has left.
  @concurrent
  mutating func fail(_ failure: Failure) async throws {
    let failure = answers.explained(failure)
    guard failure.code != .cancelled else {
      journal.end(status: RequestJournal.clientLeftStatus, failure)
      throw failure
    }
    journal.end(status: httpStatus(of: failure).code, failure)
    try await writer.write(ByteBuffer(bytes: SSE.data(ErrorBody(failure).json)))
    ClientConnection.current?.closeAfterAnswer()
    try await writer.finish(nil)
  }
}

extension Failure {
  static let clientLeft = Failure(.cancelled, "the client has left")
}
