import AsyncHTTPClient
import ClusterModel
import Foundation
import InferenceCore
import Limits
import Metrics
import NIOCore
import NIOHTTP1
import Overload
import OverloadCore
import Synchronization

/// Carries the answer of one host to its session, a bounded number of bytes in each turn of the event
/// loop. Large events and bodies are read on the thread for heavy work.
///
/// AsyncHTTPClient reads no further until the future of a part is done, and reports the end of the
/// response after it. An error it reports at any time: it waits here until the part is done.
final class UpstreamDelegate: HTTPClientResponseDelegate, Sendable {
  typealias Response = Void

  /// The result of reading some bytes.
  private struct Read {
    var items: [UpstreamItem] = []
    /// It sent comments or pings.
    var hasSigns = false
    var oddEvents = 0
  }

  private struct State {
    /// `nil` until the head is there.
    var reader: UpstreamReader?
    /// Bytes read since the event loop last turned to other work.
    var turn = 0
    var received = 0
    /// Of a stream that brought more than its burst.
    var pace: StreamPace?
    /// It is faster than a stream may be without asking.
    var isFast = false
    /// More has come than an event loop should assemble.
    var isLong = false
    /// Some of a part is still to be read.
    var isReading = false
    /// Reported while a part was being read.
    var failure: (any Error)?
    /// For what the reader holds of a large event or body.
    var account: MemoryAccount?
    /// Comments, pings and odd events that were reported.
    var signs = 0
    var oddEvents = 0

    mutating func read(_ body: (inout UpstreamReader?) -> [UpstreamItem]?) -> Read {
      var read = Read(items: body(&reader) ?? [])
      let (newSigns, newOddEvents) = (reader?.signs ?? 0, reader?.oddEvents ?? 0)
      read.hasSigns = newSigns > signs
      read.oddEvents = newOddEvents - oddEvents
      (signs, oddEvents) = (newSigns, newOddEvents)
      return read
    }
  }

  private let session: InferenceSession
  private let attempt: AttemptID
  private let reading: UpstreamReading
  private let secret: String?
  private let limits: UpstreamLimits
  /// Used by one thread at a time: the event loop, or the thread for heavy work while the event loop
  /// waits for it. The lock is never waited for.
  private let state = Mutex(State())

  /// - Parameter secret: the host's own; a complaint of the host may repeat it.
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
    state.withLock {
      $0.reader = UpstreamReader(
        reading, status: status,
        retryAfter: head.headers.first(name: "retry-after-ms").flatMap {
          RetryAfter.duration(milliseconds: $0)
        }
          ?? head.headers.first(name: "retry-after").flatMap {
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
    // `nil` means that it takes more than what is left of this turn.
    let read = state.withLock { state -> Read? in
      state.received += buffer.readableBytes
      state.turn += buffer.readableBytes
      if state.received > Limits.heavyBytes.value, !state.isLong {
        state.isLong = true
        session.answerIsLong.store(true, ordering: .relaxed)
      }
      keepPace(buffer.readableBytes, &state)
      guard state.turn <= Limits.turnBytes.value, !state.isFast,
        !Self.isHeavy(state, buffer.readableBytes)
      else {
        state.isReading = true
        return nil
      }
      return state.read { $0?.append(buffer.readableBytesView) }
    }
    if let read {
      return session.received(items(of: read), from: attempt)
        ?? task.eventLoop.makeSucceededVoidFuture()
    }
    let done = task.eventLoop.makePromise(of: Void.self)
    readSlices(buffer, done)
    return done.futureResult
  }

  func didFinishRequest(task: HTTPClient.Task<Void>) throws {
    let (isLong, isOver) = state.withLock { state in
      (Self.isHeavy(state, 0), state.reader == nil)
    }
    guard !isOver else { return }
    guard isLong else {
      _ = session.received(end(), from: attempt)
      return
    }
    session.aside { _ = self.session.receivedOutside(self.end(), from: self.attempt) }
  }

  private func end() -> [UpstreamItem] {
    let read = state.withLock { state -> Read in
      state.account = nil
      return state.read { $0?.end() }
    }
    return items(of: read)
  }

  func didReceiveError(task: HTTPClient.Task<Void>, _ error: any Error) {
    let waits = state.withLock { state in
      if state.isReading { state.failure = error }
      return state.isReading
    }
    if !waits { fail(error) }
  }

  private func fail(_ error: any Error) {
    // An error's body is cause enough, even if the connection was lost before its end.
    let (hasHead, items) = state.withLock { state in
      state.account = nil
      return (state.reader != nil, state.reader?.cutShort() ?? [])
    }
    _ = session.received(Credentials.hide(secret, in: items), from: attempt)
    session.failed(Self.failure(error, hasHead: hasHead), attempt)
  }

  /// The items of a result. Comments and pings are reported to the session, and odd events are counted.
  private func items(of read: Read) -> [UpstreamItem] {
    if read.hasSigns { session.receivedSign(from: attempt) }
    if read.oddEvents > 0 {
      Counter(label: "tutti_inference_odd_events_total").increment(by: read.oddEvents)
    }
    return Credentials.hide(secret, in: read.items)
  }

  // MARK: - Reading

  /// Streams that stay within their burst cost no look at the clock.
  private func keepPace(_ bytes: Int, _ state: inout State) {
    guard reading.streams, state.received > Limits.streamBurst.value else { return }
    let now = session.client.now
    var pace = state.pace ?? StreamPace(at: now)
    state.isFast = !pace.take(bytes, at: now)
    state.pace = pace
  }

  /// Whether the next bytes may complete an event or body too large for an event loop.
  private static func isHeavy(_ state: State, _ bytes: Int) -> Bool {
    (state.reader?.pendingBytes ?? 0) + min(bytes, Limits.turnBytes.value) > Limits.heavyBytes.value
  }

  private func items(_ bytes: some Collection<UInt8>) -> [UpstreamItem] {
    items(of: state.withLock { state -> Read in state.read { $0?.append(bytes) } })
  }

  /// Reads a part in slices, each in a turn of its own; all of it at once on the thread for heavy work.
  private func readSlices(_ buffer: ByteBuffer, _ done: EventLoopPromise<Void>) {
    var rest = buffer
    let isHeavy = state.withLock { Self.isHeavy($0, buffer.readableBytes) }
    let length = isHeavy ? rest.readableBytes : min(rest.readableBytes, Limits.turnBytes.value)
    let loop = done.futureResult.eventLoop
    if length > 0, !isHeavy, state.withLock(\.isFast),
      let wait = session.client.fastStreams.take(length, at: session.client.now)
    {
      loop.scheduleTask(in: TimeAmount(wait)) { self.readSlices(buffer, done) }
      return
    }
    guard length > 0, let slice = rest.readSlice(length: length) else {
      finishPart(done)
      return
    }
    let left = rest
    let next: @Sendable (EventLoopFuture<Void>?) -> Void = { later in
      let turn: @Sendable () -> Void = {
        self.state.withLock { $0.turn = 0 }
        self.readSlices(left, done)
      }
      if let later {
        later.whenComplete { _ in turn() }
      } else {
        loop.execute(turn)
      }
    }
    guard isHeavy else {
      next(session.received(items(slice.readableBytesView), from: attempt))
      return
    }
    let isTaken = session.aside {
      guard self.hold(slice.readableBytes) else {
        self.session.step(.abandon(self.session.client.memory.overloaded))
        loop.execute { self.finishPart(done) }
        return
      }
      let items = self.items(slice.readableBytesView)
      _ = self.hold(0)
      next(self.session.receivedOutside(items, from: self.attempt))
    }
    if !isTaken { finishPart(done) }
  }

  /// Charges the process with what the reader holds, and with what is made of it.
  private func hold(_ more: Int) -> Bool {
    let (account, bytes) = state.withLock { state in
      if state.account == nil { state.account = session.client.memory.account() }
      return (state.account, (state.reader?.pendingBytes ?? 0) + more)
    }
    return account?.set(bytes.multipliedCapped(by: Limits.readCopies.value)) ?? true
  }

  private func finishPart(_ done: EventLoopPromise<Void>) {
    let failure = state.withLock { state in
      state.isReading = false
      state.turn = 0
      return state.failure.take()
    }
    if let failure { fail(failure) }
    done.succeed()
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
