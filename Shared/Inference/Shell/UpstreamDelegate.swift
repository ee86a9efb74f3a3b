import AsyncHTTPClient
import ClusterModel
import Foundation
import InferenceCore
import NIOCore
import NIOHTTP1
import Synchronization

/// Carries what one host answers to its session.
final class UpstreamDelegate: HTTPClientResponseDelegate, Sendable {
  typealias Response = Void

  private let session: InferenceSession
  private let attempt: AttemptID
  private let reading: UpstreamReading
  private let secret: String?
  private let limits: UpstreamLimits
  /// nil until the head is there. Called on one event loop; the lock is never waited for.
  private let reader = Mutex<UpstreamReader?>(nil)

  /// - Parameter secret: what the host was sent as its own; it may say it again when it complains.
  init(
    session: InferenceSession, attempt: AttemptID, reading: UpstreamReading, secret: String?,
    limits: UpstreamLimits
  ) {
    self.session = session
    self.attempt = attempt
    self.secret = secret
    var reading = reading
    reading.created = Int(Date().timeIntervalSince1970)
    self.reading = reading
    self.limits = limits
  }

  func didReceiveHead(
    task: HTTPClient.Task<Void>, _ head: HTTPResponseHead
  ) -> EventLoopFuture<Void> {
    let status = Int(head.status.code)
    reader.withLock {
      $0 = UpstreamReader(
        reading, status: status,
        retryAfter: head.headers.first(name: "retry-after").flatMap {
          RetryAfter.duration($0, now: Int(Date().timeIntervalSince1970))
        },
        limits: limits)
    }
    session.received(status: status, from: attempt)
    return task.eventLoop.makeSucceededVoidFuture()
  }

  func didReceiveBodyPart(
    task: HTTPClient.Task<Void>, _ buffer: ByteBuffer
  ) -> EventLoopFuture<Void> {
    session.received(
      Credentials.hide(
        secret, in: reader.withLock { $0?.append(buffer.readableBytesView) ?? [] }), from: attempt)
    return task.eventLoop.makeSucceededVoidFuture()
  }

  func didFinishRequest(task: HTTPClient.Task<Void>) throws {
    session.received(
      Credentials.hide(secret, in: reader.withLock { $0?.end() ?? [] }), from: attempt)
  }

  func didReceiveError(task: HTTPClient.Task<Void>, _ error: any Error) {
    // What came of an error's body before the connection went is cause enough.
    let (hasHead, items) = reader.withLock { reader in
      (reader != nil, reader?.cutShort() ?? [])
    }
    session.received(Credentials.hide(secret, in: items), from: attempt)
    session.failed(Self.failure(error, hasHead: hasHead), attempt)
  }

  private static func failure(_ error: any Error, hasHead: Bool) -> AttemptFailure {
    if hasHead { return AttemptFailure(.lost, "the connection was lost (\(error))") }
    switch error as? HTTPClientError {
    case .remoteConnectionClosed:
      return AttemptFailure(
        .lostBeforeHead, "the connection was closed before an answer (\(error))")
    case .connectTimeout:
      return AttemptFailure(.connect, "there was no connection within 5 s")
    default: break
    }
    // A connection that never came to be is a NIOConnectionError; this one was there.
    if error is IOError {
      return AttemptFailure(
        .lostBeforeHead, "the connection was reset before an answer (\(error))")
    }
    return AttemptFailure(.connect, "it cannot be reached (\(error))")
  }
}
