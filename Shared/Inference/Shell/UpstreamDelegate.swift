import AsyncHTTPClient
import ClusterModel
import ContentCoding
import Foundation
import InferenceCore
import Limits
import Metrics
import NIOCore
import NIOHTTP1
import Overload
import OverloadCore
import Synchronization

/// Passes the response of one host to its session. Each turn of the event loop reads only a bounded
/// number of bytes. Large events and bodies are read on the thread for heavy work.
///
/// AsyncHTTPClient passes a part of the body and gets a future. Until this future is done, it reads
/// no further and does not report the end of the response. It may report an error at any time, so
/// the delegate holds the error until the part is done.
final class UpstreamDelegate: HTTPClientResponseDelegate, Sendable {
  typealias Response = Void

  /// The result of reading some bytes.
  private struct Read {
    var items: [UpstreamItem] = []
    /// Whether the host sent signs (`UpstreamReader.signs`).
    var hasSigns = false
    var oddEvents = 0
  }

  private struct State {
    /// Reader of the body. `nil` means that the response head has not arrived.
    var reader: UpstreamReader?
    /// Decoder of a compressed answer. `nil` means that the answer is not compressed.
    var decoder: BodyDecoder?
    /// Whether the coding is unknown or the body does not follow it. Further bytes are then not
    /// read.
    var isUnreadable = false
    var status = 0
    /// Sends the request again on a new connection, if this connection is closed before the
    /// response head. `nil` means that the request is not sent again.
    var again: (@Sendable () -> Void)?
    /// Bytes read since the event loop last turned to other work.
    var turn = 0
    var received = 0
    /// Pace of a stream after its first `streamBurst` bytes. `nil` means that fewer bytes have
    /// arrived, or that the answer is no stream.
    var pace: StreamPace?
    /// Whether the stream exceeds the rate that every stream is granted.
    var isFast = false
    /// Whether more bytes have arrived than an event loop should assemble.
    var isLong = false
    /// Whether a part of the body was passed and is not completely read yet.
    var isReading = false
    /// An error that was reported while a part was being read. It is handled after the part.
    var failure: (any Error)?
    /// Account for the memory that the reader needs for a large event or body. `nil` means none.
    var account: MemoryAccount?
    /// Number of signs that were already reported to the session.
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
  private let host: String
  private let reading: UpstreamReading
  private let secret: String?
  private let limits: UpstreamLimits
  /// Only one thread at a time uses the state: the event loop, or the thread for heavy work while
  /// the event loop waits. So no thread waits for the lock.
  private let state: Mutex<State>

  /// - Parameters:
  ///   - host: The host's base URL.
  ///   - secret: The host's secret, which the host may repeat in an error message.
  ///   - again: sends the request on a new connection. `nil` means that this connection is new.
  init(
    session: InferenceSession, attempt: AttemptID, host: String, reading: UpstreamReading,
    secret: String?, limits: UpstreamLimits, again: (@Sendable () -> Void)? = nil
  ) {
    self.host = host
    state = Mutex(State(again: again))
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
    let coding = Result { () throws(UnknownCoding) in
      try ContentCoding(header: head.headers["content-encoding"])
    }
    state.withLock {
      $0.again = nil
      $0.status = status
      if case .success(let coding) = coding, coding != .identity {
        $0.decoder = BodyDecoder(coding)
      }
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
    session.received(status: status, PassedHeader.all(in: head.headers), from: attempt)
    if case .failure(let unknown) = coding {
      giveUpReading(
        "its answer is compressed as \(unknown.name); known are \(ContentCoding.known)")
    }
    return task.eventLoop.makeSucceededVoidFuture()
  }

  func didReceiveBodyPart(
    task: HTTPClient.Task<Void>, _ buffer: ByteBuffer
  ) -> EventLoopFuture<Void> {
    // `read` is `nil` if the part is compressed or must not be read in this turn of the event loop.
    let (read, isCoded) = state.withLock { state -> (Read?, Bool) in
      if state.isUnreadable { return (Read(), false) }
      if let decoder = state.decoder {
        decoder.push(buffer.readableBytesView)
        state.isReading = true
        return (nil, true)
      }
      count(buffer.readableBytes, &state)
      guard state.turn <= Limits.turnBytes.value, !state.isFast,
        !Self.isHeavy(state, buffer.readableBytes)
      else {
        state.isReading = true
        return (nil, false)
      }
      return (state.read { $0?.append(buffer.readableBytesView) }, false)
    }
    if let read {
      return session.received(items(of: read), from: attempt)
        ?? task.eventLoop.makeSucceededVoidFuture()
    }
    let done = task.eventLoop.makePromise(of: Void.self)
    if isCoded {
      readDecoded(done)
    } else {
      readSlices(buffer, done)
    }
    return done.futureResult
  }

  /// Counts bytes of the answer. Called before they are read.
  private func count(_ bytes: Int, _ state: inout State) {
    state.received += bytes
    state.turn += bytes
    if state.received > Limits.heavyBytes.value, !state.isLong {
      state.isLong = true
      session.answerIsLong.store(true, ordering: .relaxed)
    }
    keepPace(bytes, &state)
  }

  func didFinishRequest(task: HTTPClient.Task<Void>) throws {
    session.pool.kept.keep(host, at: .now())
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
      // The decoder may still hold one or two bytes, because it needs more bytes to recognise the
      // coding.
      state.decoder?.finish()
      let rest = (try? state.decoder?.pull(Limits.turnBytes.value)) ?? []
      return state.read { reader in
        (rest.isEmpty ? [] : reader?.append(rest) ?? []) + (reader?.end() ?? [])
      }
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
    let failure = Self.failure(error, hasHead: state.withLock { $0.reader != nil })
    if failure.kind == .lostBeforeHead, let again = state.withLock({ $0.again.take() }) {
      again()
      return
    }
    // The part of an error's body that arrived explains the failure, even if its end is missing.
    let items = state.withLock { state in
      state.account = nil
      return state.reader?.cutShort() ?? []
    }
    _ = session.received(Credentials.hide(secret, in: items), from: attempt)
    session.failed(failure, attempt)
  }

  /// Stops reading a body that cannot be decoded. The attempt fails. Exception: an error response
  /// is reported as usual, because its status is cause enough.
  private func giveUpReading(_ why: String) {
    let status = state.withLock { state in
      state.isUnreadable = true
      state.decoder = nil
      return state.status
    }
    guard status < 400 else { return }
    session.failed(AttemptFailure(.garbage, why), attempt)
  }

  /// The items of a result, without the host's secret. Also reports comments and pings to the
  /// session, and counts odd events.
  private func items(of read: Read) -> [UpstreamItem] {
    if read.hasSigns { session.receivedSign(from: attempt) }
    if read.oddEvents > 0 {
      Counter(label: "tutti_inference_odd_events_total").increment(by: read.oddEvents)
    }
    return Credentials.hide(secret, in: read.items)
  }

  // MARK: - Reading

  /// Measures the pace of a stream. The time of its first `streamBurst` bytes does not count.
  private func keepPace(_ bytes: Int, _ state: inout State) {
    guard reading.streams, state.received > Limits.streamBurst.value else { return }
    let now = session.client.now
    var pace = state.pace ?? StreamPace(at: now)
    state.isFast = !pace.take(bytes, at: now)
    state.pace = pace
  }

  /// Whether the next bytes may complete an event or body that is too large for an event loop.
  private static func isHeavy(_ state: State, _ bytes: Int) -> Bool {
    (state.reader?.pendingBytes ?? 0) + min(bytes, Limits.turnBytes.value) > Limits.heavyBytes.value
  }

  private func items(_ bytes: some Collection<UInt8>) -> [UpstreamItem] {
    items(of: state.withLock { state -> Read in state.read { $0?.append(bytes) } })
  }

  /// Reads a part of the body in slices, each in its own turn of the event loop. If the rest is
  /// heavy, the thread for heavy work reads it as one slice.
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
    pass(slice.readableBytesView, isHeavy: isHeavy, done) { self.readSlices(left, done) }
  }

  /// Reads a compressed part. It is decoded slice by slice.
  private func readDecoded(_ done: EventLoopPromise<Void>) {
    let slice = state.withLock { state -> Result<[UInt8], BrokenCoding> in
      do throws(BrokenCoding) {
        let bytes = try state.decoder?.pull(Limits.turnBytes.value) ?? []
        count(bytes.count, &state)
        return .success(bytes)
      } catch {
        return .failure(error)
      }
    }
    switch slice {
    case .failure(let broken):
      giveUpReading("its answer \(broken)")
      finishPart(done)
    case .success(let bytes) where bytes.isEmpty: finishPart(done)
    case .success(let bytes): passDecoded(bytes, done)
    }
  }

  private func passDecoded(_ bytes: [UInt8], _ done: EventLoopPromise<Void>) {
    let (isHeavy, isFast) = state.withLock { (Self.isHeavy($0, bytes.count), $0.isFast) }
    if !isHeavy, isFast,
      let wait = session.client.fastStreams.take(bytes.count, at: session.client.now)
    {
      done.futureResult.eventLoop.scheduleTask(in: TimeAmount(wait)) {
        self.passDecoded(bytes, done)
      }
      return
    }
    pass(bytes, isHeavy: isHeavy, done) { self.readDecoded(done) }
  }

  /// Reads a slice, and then runs the continuation in another turn of the event loop.
  ///
  /// - Parameter isHeavy: whether the slice is read on the thread for heavy work.
  private func pass(
    _ slice: some Collection<UInt8> & Sendable, isHeavy: Bool, _ done: EventLoopPromise<Void>,
    _ continuation: @escaping @Sendable () -> Void
  ) {
    let loop = done.futureResult.eventLoop
    let next: @Sendable (EventLoopFuture<Void>?) -> Void = { later in
      let turn: @Sendable () -> Void = {
        self.state.withLock { $0.turn = 0 }
        continuation()
      }
      let submit: @Sendable () -> Void = {
        self.session.pool.turns.submit(for: self.session.asker?.value ?? 0, turn)
      }
      if let later {
        later.whenComplete { _ in submit() }
      } else {
        submit()
      }
    }
    guard isHeavy else {
      next(session.received(items(slice), from: attempt))
      return
    }
    let isTaken = session.aside {
      guard self.hold(slice.count) else {
        self.session.step(.abandon(self.session.client.memory.overloaded))
        loop.execute { self.finishPart(done) }
        return
      }
      let items = self.items(slice)
      _ = self.hold(0)
      next(self.session.receivedOutside(items, from: self.attempt))
    }
    if !isTaken { finishPart(done) }
  }

  /// Charges the process's memory budget for the bytes that the reader holds. Copies of the bytes
  /// count too.
  ///
  /// - Parameter more: number of bytes that are added to the reader next.
  /// - Returns: `false` if the budget is exhausted.
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
    // An `IOError` means that the connection was open before. If no connection can be opened, the
    // error is a `NIOConnectionError`.
    if error is IOError {
      return AttemptFailure(
        .lostBeforeHead, "the connection was reset before an answer (\(error))")
    }
    return AttemptFailure(.connect, "it cannot be reached (\(error))")
  }
}
