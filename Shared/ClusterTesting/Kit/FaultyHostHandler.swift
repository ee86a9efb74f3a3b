import Foundation
import NIOCore
import NIOHTTP1

/// One connection of a `FaultyHost`: reads a request whole, then writes its answer token by token.
///
/// @unchecked: every member is only touched on the channel's event loop; what comes back from a
/// gate or a timer is executed there.
final class FaultyHostHandler: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  /// Larger than anything a gateway lets through.
  private static let maximumBody = 64 << 20

  private let host: FaultyHost
  private var head: HTTPRequestHead?
  private var body: [UInt8] = []
  private var exchange: Exchange?

  /// One request being answered.
  private final class Exchange {
    let path: String
    let streams: Bool
    let faults: FaultyHostFaults
    let start = NIODeadline.now()
    var tokens = 0
    var sentBytes = 0

    init(path: String, streams: Bool, faults: FaultyHostFaults) {
      self.path = path
      self.streams = streams
      self.faults = faults
    }
  }

  init(host: FaultyHost) { self.host = host }

  func channelActive(context: ChannelHandlerContext) {
    host.connected(context.channel)
    context.fireChannelActive()
  }

  func channelInactive(context: ChannelHandlerContext) {
    host.disconnected(context.channel)
    if let exchange { leave(exchange) }
    exchange = nil
    context.fireChannelInactive()
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    context.close(promise: nil)
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    switch unwrapInboundIn(data) {
    case .head(let head):
      self.head = head
      body = []
    case .body(let buffer):
      body += buffer.readableBytesView
      if body.count > Self.maximumBody { context.close(promise: nil) }
    case .end:
      guard let head else { return }
      self.head = nil
      let path = String(head.uri.prefix { $0 != "?" })
      answer(head, path: path, channel: context.channel)
    }
  }

  // MARK: - Which answer

  private func answer(_ head: HTTPRequestHead, path: String, channel: any Channel) {
    switch (head.method, path) {
    case (.GET, "/counts"):
      writeJSON(host.counts, to: channel)
    case (.GET, "/faults"):
      writeJSON(host.faults, to: channel)
    case (.PUT, "/faults"):
      replaceFaults(channel)
    case (.GET, "/v1/models"), (.POST, "/v1/chat/completions"), (.POST, "/v1/completions"),
      (.POST, "/v1/embeddings"):
      answerAPI(head, path: path, channel: channel)
    default:
      write(
        status: 404, FaultyHostAnswer.error("unknown path \(path)", status: 404), to: channel)
    }
  }

  private func replaceFaults(_ channel: any Channel) {
    let known = Set(FaultyHostFaults.names)
    let given = (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any]
    let unknown = (given ?? [:]).keys.filter { !known.contains($0) }.sorted()
    guard given != nil, unknown.isEmpty,
      let faults = try? JSONDecoder().decode(FaultyHostFaults.self, from: Data(body))
    else {
      let names = FaultyHostFaults.names.sorted().joined(separator: ", ")
      let message = "send a JSON object with some of: \(names)"
      write(status: 400, FaultyHostAnswer.error(message, status: 400), to: channel)
      return
    }
    host.faults = faults
    writeJSON(faults, to: channel)
  }

  private func answerAPI(_ head: HTTPRequestHead, path: String, channel: any Channel) {
    var headers: [String: String] = [:]
    for (name, value) in head.headers { headers[name.lowercased()] = value }
    let asked = (try? JSONDecoder().decode(AskedOptions.self, from: Data(body))) ?? AskedOptions()
    let (number, faults) = host.received(
      FaultyHostRequest(
        method: head.method.rawValue, path: path, headers: headers, body: body))
    let exchange = Exchange(
      path: path, streams: asked.stream == true && path != "/v1/embeddings", faults: faults)
    self.exchange = exchange

    if faults.refuse == true {
      fail(exchange, channel)
      return
    }
    if let status = faults.status {
      let body =
        faults.statusBody.map { Array($0.utf8) }
        ?? FaultyHostAnswer.error("fault: status \(status)", status: status)
      var extra = HTTPHeaders()
      if let seconds = faults.retryAfter { extra.add(name: "retry-after", value: "\(seconds)") }
      finish(exchange)
      write(status: status, body, headers: extra, to: channel)
      return
    }
    if path == "/v1/models" {
      finish(exchange)
      let models = host.configuration.models.map {
        #"{"id":\#(FaultyHostAnswer.quoted($0)),"object":"model","created":1,"owned_by":"faulty"}"#
      }
      write(
        status: 200,
        Array(#"{"object":"list","data":[\#(models.joined(separator: ","))]}"#.utf8), to: channel)
      return
    }

    let answer = makeAnswer(asked, path: path, number: number)
    after(host.sample(host.configuration.firstToken), exchange, channel) { [self] in
      if faults.stallAtToken == 0 { return }
      pass(.beforeFirstToken, exchange, channel) { [self] in
        if exchange.streams {
          begin(exchange, answer, channel)
        } else {
          writeWhole(exchange, answer, channel)
        }
      }
    }
  }

  private func makeAnswer(_ asked: AskedOptions, path: String, number: Int) -> FaultyHostAnswer {
    let text =
      switch host.configuration.answer {
      case .text(let text): text
      case .echo: String(decoding: body, as: UTF8.self)
      }
    let tokens = host.configuration.tokens.split(text)
    let limit = asked.maxCompletionTokens ?? asked.maxTokens ?? tokens.count
    return FaultyHostAnswer(
      isChat: path == "/v1/chat/completions",
      model: asked.model ?? host.configuration.models.first ?? "", number: number,
      tokens: Array(tokens.prefix(max(limit, 0))),
      finishReason: tokens.count > limit ? "length" : "stop",
      includeUsage: asked.streamOptions?.includeUsage == true)
  }

  // MARK: - Not streamed

  private func writeWhole(
    _ exchange: Exchange, _ answer: FaultyHostAnswer, _ channel: any Channel
  ) {
    var delay = TimeAmount.zero
    let inter = exchange.faults.crawlMilliseconds.map { DelayDistribution.constant($0) }
    for _ in answer.tokens { delay = delay + host.sample(inter ?? host.configuration.interToken) }
    after(delay, exchange, channel) { [self] in
      var bytes = exchange.path == "/v1/embeddings" ? answer.embeddings : answer.body
      if exchange.faults.garbage == true { bytes = Array("<html>garbage\u{1}".utf8) }
      if exchange.faults.halfCharacterAtToken != nil { bytes.insert(0xF0, at: bytes.count - 4) }
      if let huge = exchange.faults.hugeBodyBytes {
        bytes = [UInt8](repeating: UInt8(ascii: " "), count: huge)
      }
      if exchange.faults.stallAtToken != nil { return }
      if let drop = exchange.faults.dropAtByte, drop < bytes.count {
        writeHead(channel, length: bytes.count)
        self.drop(exchange, after: Array(bytes[..<drop]), channel)
        return
      }
      write(status: 200, bytes, ending: exchange, to: channel)
    }
  }

  // MARK: - Streamed

  private func begin(_ exchange: Exchange, _ answer: FaultyHostAnswer, _ channel: any Channel) {
    writeHead(channel, length: nil)
    if exchange.faults.garbage == true {
      send(Array("data: <html>garbage\n\n".utf8), exchange, channel)
      end(exchange, channel)
      return
    }
    if let huge = exchange.faults.hugeBodyBytes {
      let bytes = Array("data: ".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: huge)
      send(bytes, exchange, channel)
      end(exchange, channel)
      return
    }
    guard send(answer.opening, exchange, channel) else { return }
    next(exchange, answer, channel)
  }

  private func next(_ exchange: Exchange, _ answer: FaultyHostAnswer, _ channel: any Channel) {
    let faults = exchange.faults
    if let stall = faults.stallAtToken, exchange.tokens >= stall { return }
    if let at = faults.endAtToken, exchange.tokens >= at {
      end(exchange, channel)
      return
    }
    if let at = faults.errorAtToken, exchange.tokens >= at {
      let error = FaultyHostAnswer.error("fault: error event", status: 500)
      send(Array("data: ".utf8) + error + [0x0A, 0x0A], exchange, channel)
      end(exchange, channel)
      return
    }
    guard exchange.tokens < answer.tokens.count else {
      guard send(answer.closing + answer.done, exchange, channel) else { return }
      end(exchange, channel)
      return
    }
    let bytes = answer.token(
      exchange.tokens, halfCharacter: faults.halfCharacterAtToken == exchange.tokens)
    guard send(bytes, exchange, channel) else { return }
    exchange.tokens += 1
    pass(.afterToken(exchange.tokens), exchange, channel) { [self] in
      let inter = faults.crawlMilliseconds.map { DelayDistribution.constant($0) }
      after(host.sample(inter ?? host.configuration.interToken), exchange, channel) { [self] in
        next(exchange, answer, channel)
      }
    }
  }

  /// False when the connection was dropped at its byte.
  @discardableResult
  private func send(_ bytes: [UInt8], _ exchange: Exchange, _ channel: any Channel) -> Bool {
    if let drop = exchange.faults.dropAtByte, exchange.sentBytes + bytes.count > drop {
      self.drop(exchange, after: Array(bytes.prefix(drop - exchange.sentBytes)), channel)
      return false
    }
    exchange.sentBytes += bytes.count
    writeBody(bytes, channel)
    return true
  }

  /// The answer is whole when its last byte went out; a client that leaves before cancels it.
  private func end(_ exchange: Exchange, _ channel: any Channel) {
    let step = Step(exchange: exchange) { [self] in finish(exchange) }
    channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenSuccess { [self] in go(step) }
  }

  // MARK: - The exchange

  /// Goes on later, unless the client has left by then.
  private func after(
    _ delay: TimeAmount, _ exchange: Exchange, _ channel: any Channel,
    _ resume: @escaping () -> Void
  ) {
    let step = Step(exchange: exchange, resume: resume)
    guard delay > .zero else {
      // Not at once: the event loop must see between two tokens that a client has left, and a long
      // answer must not pile up on the stack.
      channel.eventLoop.execute { [self] in go(step) }
      return
    }
    channel.eventLoop.scheduleTask(in: delay) { [self] in go(step) }
  }

  private func pass(
    _ point: FaultyHostPoint, _ exchange: Exchange, _ channel: any Channel,
    _ resume: @escaping () -> Void
  ) {
    guard let gate = host.gate(at: point) else {
      resume()
      return
    }
    let step = Step(exchange: exchange, resume: resume)
    gate.pass { [self] in channel.eventLoop.execute { [self] in go(step) } }
  }

  private func go(_ step: Step) {
    if exchange === step.exchange { step.resume() }
  }

  /// @unchecked: made and run on the channel's event loop only.
  private final class Step: @unchecked Sendable {
    let exchange: Exchange
    let resume: () -> Void

    init(exchange: Exchange, resume: @escaping () -> Void) {
      self.exchange = exchange
      self.resume = resume
    }
  }

  private func finish(_ exchange: Exchange) {
    self.exchange = nil
    host.count {
      $0.active -= 1
      $0.completed += 1
    }
  }

  /// A fault ends the connection; it is nobody's cancel.
  private func fail(_ exchange: Exchange, _ channel: any Channel) {
    self.exchange = nil
    host.count { $0.active -= 1 }
    channel.close(promise: nil)
  }

  /// The last bytes go out before the connection goes down.
  private func drop(_ exchange: Exchange, after bytes: [UInt8], _ channel: any Channel) {
    self.exchange = nil
    host.count { $0.active -= 1 }
    let buffer = channel.allocator.buffer(bytes: bytes)
    channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(buffer))).whenComplete { _ in
      channel.close(promise: nil)
    }
  }

  private func leave(_ exchange: Exchange) {
    let waited = NIODeadline.now() - exchange.start
    let phase: FaultyHostCounts.Cancel.Phase =
      !exchange.streams ? .nonStreaming : exchange.tokens == 0 ? .beforeFirstToken : .midStream
    host.count {
      $0.active -= 1
      // A soak with millions of cancels keeps the last ones.
      if $0.cancels.count == 10_000 { $0.cancels.removeFirst() }
      $0.cancels.append(
        .init(
          phase: phase, path: exchange.path, tokens: exchange.tokens,
          afterMilliseconds: Double(waited.nanoseconds) / 1e6))
    }
  }

  // MARK: - Writing

  private func writeHead(_ channel: any Channel, length: Int?) {
    var headers = HTTPHeaders()
    if let length {
      headers.add(name: "content-type", value: "application/json")
      headers.add(name: "content-length", value: "\(length)")
    } else {
      headers.add(name: "content-type", value: "text/event-stream")
    }
    let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: headers)
    channel.write(HTTPServerResponsePart.head(head), promise: nil)
  }

  private func writeBody(_ bytes: [UInt8], _ channel: any Channel) {
    let buffer = channel.allocator.buffer(bytes: bytes)
    channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(buffer)), promise: nil)
  }

  private func writeJSON(_ value: some Encodable, to channel: any Channel) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    write(status: 200, Array((try? encoder.encode(value)) ?? Data()), to: channel)
  }

  private func write(
    status: Int, _ bytes: [UInt8], headers: HTTPHeaders = HTTPHeaders(),
    ending exchange: Exchange? = nil, to channel: any Channel
  ) {
    var headers = headers
    headers.add(name: "content-type", value: "application/json")
    headers.add(name: "content-length", value: "\(bytes.count)")
    let head = HTTPResponseHead(
      version: .http1_1, status: HTTPResponseStatus(statusCode: status), headers: headers)
    channel.write(HTTPServerResponsePart.head(head), promise: nil)
    channel.write(
      HTTPServerResponsePart.body(.byteBuffer(channel.allocator.buffer(bytes: bytes))),
      promise: nil)
    if let exchange {
      end(exchange, channel)
    } else {
      channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
    }
  }
}
