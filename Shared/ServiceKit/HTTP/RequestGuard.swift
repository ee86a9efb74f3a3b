import ClusterModel
import HTTPTypes
import Limits
import NIOCore
import NIOHTTP1
import OverloadCore
import Telemetry

/// How long a client may take, and how much it may send.
struct RequestLimits: Sendable {
  /// From a request's first byte (for a new connection: from its beginning) to the end of the head.
  var head: TimeAmount
  /// From the end of the head to the end of the body, plus `bodyPerMiB` for each MiB of it.
  var body: TimeAmount
  var bodyPerMiB: TimeAmount
  /// Between two requests on one connection.
  var idle: TimeAmount
  var maxBodyBytes: Int
  /// Answered also on a connection beyond all shares.
  var reservedPaths: Set<String> = []
  /// `nil` means that every name and page is answered.
  var access: HTTPAccess?
  /// How long we go on reading, and throwing away, what a client sends after it was refused.
  /// Closing at once would reset the connection, and the client would never see why.
  var linger: TimeAmount = .seconds(2)
  /// How long the connection may stay unwritable because the client does not read.
  var stall: TimeAmount = .milliseconds(Int64(Limits.readerStall.value))
}

/// Watches one connection for requests that arrive too slowly, are too large, or cannot be parsed,
/// and answers those itself: the application never sees them.
///
/// Stands right behind the HTTP decoder. All times come from the event loop's own timers, so that a
/// test's loop decides how late it is.
final class RequestGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  private enum Reading {
    /// No byte of the next request is there.
    case nothing
    /// Some bytes of a head are there.
    case head
    case body(since: NIODeadline, received: Int, declared: Int)
    /// The request was answered with an error by us; whatever still comes is thrown away.
    case refused
  }

  private let limits: RequestLimits
  private let place: ConnectionPlace?
  private let traceHeader: String?
  private let rejected: (Failure.Code, TraceID?) -> Void
  private let clientGone: () -> Void
  private let hasHungUp: () -> Bool
  private var reading = Reading.nothing { didSet { noteActivity() } }
  /// Requests handed to the application whose answer is not complete.
  private var pending = 0 { didSet { noteActivity() } }
  private var activity = ConnectionTable.Activity.idle
  /// Some of the answer to the oldest of them is out.
  private var answerBegan = false
  private var timer: Scheduled<Void>?
  private var stallTimer: Scheduled<Void>?
  private var context: ChannelHandlerContext?
  private var partsInThisRead = false
  /// The head and the body of a request from this read, as far as they were not passed on.
  private var gatheredHead: HTTPRequestHead?
  private var gathered: ByteBuffer?
  private var heldClosings: [EventLoopPromise<Void>] = []
  /// What the answers depend on, of each request handed on, the oldest first; and of the one that
  /// arrives.
  private var asked: CircularBuffer<AnswerForm> = []
  private var arriving = AnswerForm()

  /// - Parameters:
  ///   - place: among the server's connections; `nil` means that the connection is the only one.
  ///   - traceHeader: gets a trace id in each answer from here; nil: there is none.
  ///   - rejected: a request was refused here, with this code and trace.
  ///   - clientGone: nobody waits for answers on this connection any more.
  ///   - hasHungUp: whether the client has ended its side, which is seen before it is read.
  init(
    limits: RequestLimits, place: ConnectionPlace? = nil, traceHeader: String? = nil,
    rejected: @escaping (Failure.Code, TraceID?) -> Void,
    clientGone: @escaping () -> Void, hasHungUp: @escaping () -> Bool = { false }
  ) {
    self.hasHungUp = hasHungUp
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
      // A client that ends its side has hung up: a half-closed connection and a closed one look
      // the same from here until something is written.
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

  /// Called by `FirstByteTap` around each read.
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
      if let failure = refusal(of: head) {
        refuse(failure, context)
        return
      }
      if !head.isKeepAlive || arriving.isOld || place?.limit != nil {
        // Said in the words that Hummingbird reads: a client of HTTP/1.0 says nothing, and waits for
        // the end of the connection.
        head.headers.replaceOrAdd(name: "connection", value: "close")
      }
      let declared = head.headers["content-length"].first.flatMap { Int($0) } ?? 0
      reading = .body(since: context.eventLoop.now, received: 0, declared: declared)
      pending += 1
      asked.append(arriving)
      guard declared <= limits.maxBodyBytes else {
        refuseBody(context)
        return
      }
      arm(bodyTime(received: 0, declared: declared), context)
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
        refuseBody(context)
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
  }

  /// The application is woken once for each read, not once for each chunk: a chunk may be one byte.
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

  /// The request came whole, and its client has left: a flood of such requests costs little.
  private func forget(_ context: ChannelHandlerContext) {
    gatheredHead = nil
    gathered = nil
    reading = .refused
    rejected(.cancelled, nil)
    clientGone()
    end(context)
  }

  /// Why a request is answered here, by its head alone.
  private func refusal(of head: HTTPRequestHead) -> Failure? {
    let hosts = head.headers["host"].count
    guard hosts <= 1 else {
      return Failure(.invalidRequest, "The request has \(hosts) Host headers; it may have one.")
    }
    if head.version == .http1_0 || head.version == .http0_9 {
      if head.headers.contains(name: "transfer-encoding") {
        return Failure(
          .invalidRequest, "HTTP/1.0 has no Transfer-Encoding: send a Content-Length, or HTTP/1.1.")
      }
    } else if hosts == 0 {
      return Failure(.invalidRequest, "The request has no Host header.")
    }
    if let failure = limits.access?.refusal(
      host: head.headers["host"].first, origin: head.headers["origin"].first)
    {
      return failure
    }
    guard let limit = place?.limit else { return nil }
    let path = head.uri.prefix { $0 != "?" }
    guard !limits.reservedPaths.contains(String(path)) else { return nil }
    let isOwn = limit.name != Limits.connections.name
    return Failure(
      isOwn ? .rateLimited : .overloaded,
      "\(isOwn ? "This client has" : "The server has") \(limit.value) connections already and none "
        + "of them is idle (limit \(limit.name)); try again in a moment.", retryAfter: .seconds(1))
  }

  // MARK: - Room for others

  private func noteActivity() {
    let now: ConnectionTable.Activity =
      switch reading {
      case .head: pending > 0 ? .answering : .receiving
      case .body: pending > 1 ? .answering : .receiving
      case .refused: .receiving
      case .nothing: pending > 0 ? .answering : .idle
      }
    guard now != activity else { return }
    activity = now
    place?.change(to: now)
  }

  func triggerUserOutboundEvent(
    context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?
  ) {
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
      _ = asked.popFirst()
      pending = max(0, pending - 1)
      if case .nothing = reading, pending == 0 { arm(limits.idle, context) }
    }
    context.write(data, promise: promise)
  }

  func close(
    context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?
  ) {
    if case .refused = reading {
      // The application gave up on the connection, but the client still has our answer to read.
      if let promise { heldClosings.append(promise) }
      return
    }
    // A client that does not close its side either must not keep the connection for ever.
    if mode == .output { arm(limits.linger, context) }
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
      // Of a body without a declared length one knows only what came.
      let due = since + bodyTime(received: received, declared: declared)
      guard context.eventLoop.now >= due else {
        arm(due - context.eventLoop.now, context)
        return
      }
      refuse(Failure(.requestTimeout, "The request's body took too long."), context)
    }
  }

  private func bodyTime(received: Int, declared: Int) -> TimeAmount {
    let bytes = Int64(max(received, declared))
    let extra = bytes * (limits.bodyPerMiB.nanoseconds / 1_024) / 1_024
    return limits.body + .nanoseconds(extra)
  }

  private func seconds(_ time: TimeAmount) -> String { "\(time.nanoseconds / 1_000_000_000) s" }

  // MARK: - Refusing

  private func refuseBody(_ context: ChannelHandlerContext) {
    let mebibytes = Double(limits.maxBodyBytes) / 1_048_576
    let limit = mebibytes >= 1 ? "\(Int(mebibytes)) MiB" : "\(limits.maxBodyBytes) bytes"
    refuse(
      Failure(.requestTooLarge, "The request's body is too large: the limit is \(limit)."), context)
  }

  private func refuse(_ failure: Failure, _ context: ChannelHandlerContext) {
    // In the middle of an answer, or behind one that is still to come, an error would be read as
    // something else.
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
    let body = ByteBuffer(bytes: ErrorBody(failure).json)
    let status = httpStatus(for: failure.code)
    var headers: HTTPHeaders = [
      "content-length": String(body.readableBytes), "connection": "close",
    ]
    for field in errorHeaders(for: failure) {
      headers.add(name: field.name.canonicalName, value: field.value)
    }
    if let traceHeader, let trace { headers.add(name: traceHeader, value: trace.description) }
    var head = HTTPResponseHead(
      version: .http1_1, status: HTTPResponseStatus(statusCode: status.code), headers: headers)
    arriving.apply(to: &head)
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    context.write(wrapOutboundOut(.body(.byteBuffer(body))), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    context.close(mode: .output, promise: nil)
    arm(limits.linger, context)
    clientGone()
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

/// Stands before the HTTP decoder and tells the guard that bytes came, which the decoder keeps to
/// itself until a head is complete.
final class FirstByteTap: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  private let requestGuard: RequestGuard

  init(_ requestGuard: RequestGuard) { self.requestGuard = requestGuard }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    requestGuard.bytesWillArrive()
    context.fireChannelRead(data)
    requestGuard.bytesDidArrive()
  }
}
