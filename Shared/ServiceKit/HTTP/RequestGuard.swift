import ClusterModel
import Limits
import NIOCore
import NIOHTTP1
import Overload
import OverloadCore
import Telemetry

/// Refuses requests that arrive too slowly, are too large, cannot be parsed, or have a head that
/// `HTTPRequestLimits` refuses. It answers them itself, unless an answer has begun or an earlier
/// one is pending. The application does not see such a request, or its handler is cancelled.
///
/// Its place is directly after `AnswerFlush`, which follows the HTTP decoder. It uses only the event
/// loop's timers, so that tests control time.
final class RequestGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  private enum Reading {
    /// No byte of the next request has arrived.
    case nothing
    /// A part of a head has arrived.
    case head
    case body(since: NIODeadline, received: Int, declared: Int)
    /// The guard answered the request with an error; further bytes are discarded.
    case refused
  }

  private let limits: HTTPRequestLimits
  private let place: ConnectionPlace?
  private let traceHeader: String?
  private let rejected: (Failure.Code, TraceID?) -> Void
  private let clientGone: () -> Void
  private let hasHungUp: () -> Bool
  private let workAfterAnswer: () -> (() -> Void)?
  private let closesAfterAnswer: () -> Bool
  private var reading = Reading.nothing { didSet { noteActivity() } }
  /// Requests passed to the application whose answer is not complete.
  private var pending = 0 { didSet { noteActivity() } }
  /// Whether the current answer is delayed because its client gets too many.
  private var isDelayed = false { didSet { noteActivity() } }
  private var activity = ConnectionTable.Activity.new
  /// Whether a part of the answer to the oldest pending request has been sent.
  private var answerBegan = false
  private var timer: Scheduled<Void>?
  private var stallTimer: Scheduled<Void>?
  private var context: ChannelHandlerContext?
  private var partsInThisRead = false
  /// The head and the body bytes from the current read, which are passed on together at its end.
  private var gatheredHead: HTTPRequestHead?
  private var gathered: ByteBuffer?
  private var heldClosings: [EventLoopPromise<Void>] = []
  /// Whether the application reads the body of the current request.
  private var readsBody = false
  /// Whether a read of the socket waits until the application reads the body.
  private var readIsHeld = false
  /// Whether a read of bytes to discard waits for its turn.
  private var waitsForTurn = false
  /// Answer forms of the pending requests, oldest first; `arriving` is for the current request.
  private var asked: CircularBuffer<AnswerForm> = []
  private var arriving = AnswerForm()

  /// - Parameters:
  ///   - place: the connection's entry in the registry; `nil` means that it has none.
  ///   - traceHeader: header for a trace id in the guard's answers; `nil` means no header.
  ///   - rejected: called with code and trace of each refused request.
  ///   - clientGone: called when the client no longer waits for answers.
  ///   - hasHungUp: whether the client has closed its side, even if the close is not read yet.
  ///   - workAfterAnswer: returns what is to be done when the current answer has been sent.
  ///   - closesAfterAnswer: whether the connection is to be closed after the current answer.
  init(
    limits: HTTPRequestLimits, place: ConnectionPlace? = nil, traceHeader: String? = nil,
    rejected: @escaping (Failure.Code, TraceID?) -> Void,
    clientGone: @escaping () -> Void, hasHungUp: @escaping () -> Bool = { false },
    workAfterAnswer: @escaping () -> (() -> Void)? = { nil },
    closesAfterAnswer: @escaping () -> Bool = { false }
  ) {
    self.hasHungUp = hasHungUp
    self.workAfterAnswer = workAfterAnswer
    self.closesAfterAnswer = closesAfterAnswer
    self.limits = limits
    self.place = place
    self.traceHeader = traceHeader
    self.rejected = rejected
    self.clientGone = clientGone
  }

  // MARK: - The connection

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    if context.channel.isActive { arm(limits.head, context) }
  }

  func channelActive(context: ChannelHandlerContext) {
    arm(limits.head, context)
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    disarm()
    stallTimer?.cancel()
    clientGone()
    release()
    context.fireChannelInactive()
  }

  func handlerRemoved(context: ChannelHandlerContext) {
    disarm()
    stallTimer?.cancel()
    release()
    self.context = nil
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    stallTimer?.cancel()
    stallTimer = nil
    if !context.channel.isWritable {
      stallTimer = context.eventLoop.assumeIsolated().scheduleTask(in: limits.stall) { [self] in
        rejected(.slowReader, nil)
        clientGone()
        end(context)
      }
    }
    context.fireChannelWritabilityChanged()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if case .some(.inputClosed) = event as? ChannelEvent {
      // A client that closes its side counts as disconnected, because a half-closed connection
      // looks like a closed one until the next write.
      if case .refused = reading {
        end(context)
      } else {
        if pending == 0 { arm(limits.linger, context) }
        clientGone()
      }
    }
    context.fireUserInboundEventTriggered(event)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard let parserError = error as? HTTPParserError else {
      clientGone()
      context.fireErrorCaught(error)
      return
    }
    if case .refused = reading { return }
    if parserError == .headerOverflow {
      refuse(Failure(.headersTooLarge, "The request's headers are too large."), context)
    } else {
      refuse(Failure(.invalidRequest, "This is not an HTTP request that can be read."), context)
    }
  }

  // MARK: - Requests

  /// Called by `FirstByteTap` before each read.
  func bytesWillArrive() { partsInThisRead = false }

  func bytesDidArrive() {
    guard let context, case .nothing = reading, !partsInThisRead else { return }
    reading = .head
    arm(limits.head, context)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    partsInThisRead = true
    switch unwrapInboundIn(data) {
    case .head(var head):
      if case .refused = reading { return }
      arriving = AnswerForm(of: head, limits.access)
      if let failure = limits.refusal(of: head, restriction: place?.limit) {
        refuse(failure, context)
        return
      }
      if !head.isKeepAlive || arriving.isOld || place?.limit != nil {
        // With this header Hummingbird closes the connection after the answer.
        head.headers.replaceOrAdd(name: "connection", value: "close")
      }
      let declared = head.headers["content-length"].first.flatMap { Int($0) } ?? 0
      reading = .body(since: context.eventLoop.now, received: 0, declared: declared)
      readsBody = false
      pending += 1
      asked.append(arriving)
      guard declared <= limits.maxBodyBytes else {
        refuse(limits.bodyTooLarge, context)
        return
      }
      arm(limits.bodyTime(received: 0, declared: declared), context)
      if head.headers["expect"].contains(where: { $0.lowercased() == "100-continue" }) {
        let go = HTTPResponseHead(version: head.version, status: .continue)
        context.writeAndFlush(wrapOutboundOut(.head(go)), promise: nil)
      }
      gatheredHead = head
      return
    case .body(let bytes):
      guard case .body(let since, let received, let declared) = reading else { return }
      let total = received + bytes.readableBytes
      guard total <= limits.maxBodyBytes else {
        refuse(limits.bodyTooLarge, context)
        return
      }
      reading = .body(since: since, received: total, declared: declared)
      gather(bytes, context)
      return
    case .end:
      guard case .body = reading else { return }
      if gatheredHead != nil, hasHungUp() {
        forget(context)
        return
      }
      passGathered(context)
      reading = .nothing
      disarm()
      if pending == 0 { arm(limits.idle, context) }
    }
    context.fireChannelRead(data)
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    passGathered(context)
    context.fireChannelReadComplete()
    // The application no longer reads, and the client's bytes must be discarded.
    if case .refused = reading { readInTurn(context) }
  }

  /// Reads bytes to discard. A client may send megabytes of them, so clients take turns.
  private func readInTurn(_ context: ChannelHandlerContext) {
    guard !waitsForTurn else { return }
    waitsForTurn = true
    let own = NIOLoopBound(self, eventLoop: context.eventLoop)
    LoopTurns.discards(of: context.eventLoop).submit(for: place?.client.turn ?? 0) {
      own.value.waitsForTurn = false
      own.value.context?.read()
    }
  }

  func read(context: ChannelHandlerContext) {
    // Bytes of a refused client are read in turns.
    if case .refused = reading, waitsForTurn { return }
    if limits.holdsBodies, !readsBody, case .body(_, let received, _) = reading,
      received > Limits.smallBody.value
    {
      readIsHeld = true
    } else {
      context.read()
    }
  }

  /// Reads the rest of the current body from the socket.
  private func readBody(_ context: ChannelHandlerContext) {
    guard !readsBody, case .body(_, let received, let declared) = reading else { return }
    readsBody = true
    // The client could not send while its body was held, so the body's time begins again.
    reading = .body(since: context.eventLoop.now, received: received, declared: declared)
    arm(limits.bodyTime(received: received, declared: declared), context)
    if readIsHeld {
      readIsHeld = false
      context.read()
    }
  }

  /// Collects the chunks of one read, so that one-byte chunks do not each wake the application.
  private func gather(_ bytes: ByteBuffer, _ context: ChannelHandlerContext) {
    var bytes = bytes
    if gathered?.writeBuffer(&bytes) == nil { gathered = bytes }
  }

  private func passGathered(_ context: ChannelHandlerContext) {
    let head = gatheredHead.take()
    let bytes = gathered.take()
    guard case .body = reading else { return }
    if let head { context.fireChannelRead(wrapInboundOut(.head(head))) }
    if let bytes { context.fireChannelRead(wrapInboundOut(.body(bytes))) }
  }

  /// Drops a complete request whose client has disconnected, so that a flood of them costs little.
  private func forget(_ context: ChannelHandlerContext) {
    gatheredHead = nil
    gathered = nil
    reading = .refused
    rejected(.cancelled, nil)
    clientGone()
    end(context)
  }

  // MARK: - Eviction

  private func noteActivity() {
    // A delayed answer makes room. Otherwise a flood would take all connections of the server.
    let answering = isDelayed ? ConnectionTable.Activity.receiving : .answering
    let now: ConnectionTable.Activity =
      switch reading {
      case .head: pending > 0 ? answering : .receiving
      case .body: pending > 1 ? answering : .receiving
      case .refused: .refused
      case .nothing: pending > 0 ? answering : activity == .new ? .new : .idle
      }
    guard now != activity else { return }
    activity = now
    place?.change(to: now)
  }

  func triggerUserOutboundEvent(
    context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
  ) {
    if event is ReadBody {
      readBody(context)
      promise?.succeed(())
      return
    }
    if let delay = event as? AnswerDelay {
      isDelayed = delay.begins
      promise?.succeed(())
      return
    }
    guard let request = event as? MakeRoom else {
      context.triggerUserOutboundEvent(event, promise: promise)
      return
    }
    if activity == .answering || activity == .receiving && !request.isIncompleteToo {
      place?.reinstate(activity, context.channel)
    } else {
      ConnectionPlace.recordEviction()
      clientGone()
      end(context)
    }
    promise?.succeed(())
  }

  // MARK: - Answers

  func write(
    context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?
  ) {
    if case .refused = reading {
      promise?.fail(ChannelError.ioOnClosedChannel)
      return
    }
    var promise = promise
    switch unwrapOutboundIn(data) {
    case .head(var head):
      guard head.status.code >= 200 else { break }
      answerBegan = true
      if let form = asked.first, form.changesAnswers {
        form.apply(to: &head)
        context.write(wrapOutboundOut(.head(head)), promise: promise)
        return
      }
    case .body: break
    case .end:
      answerBegan = false
      if let work = workAfterAnswer() {
        let sent = promise ?? context.eventLoop.makePromise(of: Void.self)
        sent.futureResult.assumeIsolated().whenSuccess(work)
        promise = sent
      }
      _ = asked.popFirst()
      pending = max(0, pending - 1)
      guard !closesAfterAnswer() else {
        context.writeAndFlush(data, promise: promise)
        closeAfterAnswer(context)
        return
      }
      if case .nothing = reading, pending == 0 { arm(limits.idle, context) }
      // The application may have answered without the body. It then skips the rest of the body,
      // which must be read for this.
      if pending == 0 { readBody(context) }
    }
    context.write(data, promise: promise)
  }

  func close(
    context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?
  ) {
    if case .refused = reading {
      // The application closes the connection, but the client still has to read the guard's answer.
      if let promise { heldClosings.append(promise) }
      return
    }
    // Do not keep the connection open without limit if the client does not close its side.
    if mode == .output {
      if case .body = reading {
        // The application answered without the rest of the body and does not read it.
        closeAfterAnswer(context, promise: promise)
        return
      }
      arm(limits.linger, context)
    }
    context.close(mode: mode, promise: promise)
  }

  // MARK: - Time

  private func arm(_ time: TimeAmount, _ context: ChannelHandlerContext) {
    timer?.cancel()
    timer = context.eventLoop.assumeIsolated().scheduleTask(in: time) { [self] in
      timer = nil
      timeIsUp(context)
    }
  }

  private func disarm() {
    timer?.cancel()
    timer = nil
  }

  private func timeIsUp(_ context: ChannelHandlerContext) {
    switch reading {
    case .nothing, .refused:
      end(context)
    case .head:
      refuse(
        Failure(.requestTimeout, "The request's head took longer than \(seconds(limits.head))."),
        context)
    case .body(let since, let received, let declared):
      // Without a declared length, the allowed time grows with the received bytes.
      let due = since + limits.bodyTime(received: received, declared: declared)
      guard context.eventLoop.now >= due else {
        arm(due - context.eventLoop.now, context)
        return
      }
      refuse(Failure(.requestTimeout, "The request's body took too long."), context)
    }
  }

  private func seconds(_ time: TimeAmount) -> String { "\(time.nanoseconds / 1_000_000_000) s" }

  // MARK: - Refusing

  private func refuse(_ failure: Failure, _ context: ChannelHandlerContext) {
    // If an answer has begun, or an earlier one is pending, the client would mistake the error for
    // that answer.
    let mayAnswer: Bool
    if case .body = reading {
      mayAnswer = pending == 1 && !answerBegan
    } else {
      mayAnswer = pending == 0
    }
    reading = .refused
    let trace = traceHeader == nil ? nil : TraceContext.fresh().trace
    rejected(failure.code, trace)
    guard mayAnswer else {
      clientGone()
      end(context)
      return
    }
    let answer = RefusalAnswer(failure, form: arriving, traceHeader: traceHeader, trace: trace)
    context.write(wrapOutboundOut(.head(answer.head)), promise: nil)
    context.write(wrapOutboundOut(.body(.byteBuffer(answer.body))), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    closeAfterAnswer(context)
    clientGone()
  }

  /// Closes the server's side of the connection. Bytes of the client are dropped until the client
  /// closes its side, at most for `linger`.
  private func closeAfterAnswer(
    _ context: ChannelHandlerContext, promise: EventLoopPromise<Void>? = nil
  ) {
    reading = .refused
    context.close(mode: .output, promise: promise)
    arm(limits.linger, context)
    // Reads of the application may be held or paused. The client's bytes must be read all the same.
    context.read()
  }

  private func end(_ context: ChannelHandlerContext) {
    disarm()
    let promise = context.eventLoop.makePromise(of: Void.self)
    promise.futureResult.assumeIsolated().whenComplete { [self] _ in release() }
    context.close(mode: .all, promise: promise)
  }

  private func release() {
    let held = heldClosings
    heldClosings = []
    for promise in held { promise.succeed(()) }
  }
}
