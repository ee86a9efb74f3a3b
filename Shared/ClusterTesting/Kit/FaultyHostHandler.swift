import ClusterModel
import Foundation
import NIOCore
import NIOHTTP1

/// One connection of a `FaultyHost`: reads a complete request, then writes its answer token by
/// token.
///
/// @unchecked: all members are accessed only on the channel's event loop; callbacks of gates and
/// timers run there too.
final class FaultyHostHandler: ChannelInboundHandler, @unchecked Sendable {
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  /// Maximum bytes of a request's body, more than any gateway accepts.
  private static let maximumBody = 64 << 20

  private let host: FaultyHost
  private let writer = FaultyHostWriter()
  private var head: HTTPRequestHead?
  private var body: [UInt8] = []
  private var exchange: FaultyHostExchange?

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

  // MARK: - Choosing the answer

  private func answer(_ head: HTTPRequestHead, path: String, channel: any Channel) {
    switch (head.method, path) {
    case (.GET, "/counts"): writer.writeJSON(host.counts, to: channel)
    case (.GET, "/records"): writer.writeJSON(host.records, to: channel)
    case (.GET, "/hostile"): writer.writeJSON(HostileRow.all.map(HostileRowLine.init), to: channel)
    case (.GET, "/faults"): writer.writeJSON(host.faults, to: channel)
    case (.PUT, "/faults"): replaceFaults(channel)
    default: answerAPI(head, path: path, channel: channel)
    }
  }

  private func replaceFaults(_ channel: any Channel) {
    let known = Set(FaultyHostFaults.names)
    let given = (try? JSONSerialization.jsonObject(with: Data(body))) as? [String: Any]
    let unknown = (given ?? [:]).keys.filter { !known.contains($0) }.sorted()
    guard given != nil, unknown.isEmpty,
      let faults = try? JSONDecoder().decode(FaultyHostFaults.self, from: Data(body)),
      faults.hostile.map({ HostileRow.named($0) != nil }) ?? true
    else {
      let names = FaultyHostFaults.names.sorted().joined(separator: ", ")
      let message = "send a JSON object with some of: \(names)"
      writer.write(status: 400, FaultyHostOpenAI.error(message, status: 400), to: channel)
      return
    }
    host.faults = faults
    writer.writeJSON(faults, to: channel)
  }

  private func answerAPI(_ head: HTTPRequestHead, path: String, channel: any Channel) {
    var headers: [String: String] = [:]
    for (name, value) in head.headers { headers[name.lowercased()] = value }
    let request = FaultyHostRequest(
      method: head.method.rawValue, path: path, headers: headers, body: body)
    guard let dialect = host.dialect(of: request),
      let purpose = dialect.purpose(request.method, path)
    else {
      let own = host.configuration.dialect ?? .openai
      writer.write(status: 404, own.error("unknown path \(path)", status: 404), to: channel)
      return
    }
    if let (status, body) = host.refusal(of: request, dialect) {
      writer.write(status: status, body, to: channel)
      return
    }
    let question = FaultyHostQuestion(
      request, dialect: dialect, purpose: purpose, prefill: host.configuration.prefill)
    let (number, met) = host.received(request)
    let exchange = host.exchange(question, number: number, faults: met)
    self.exchange = exchange

    if let row = exchange.faults.hostileRow(for: question) {
      play(row, isSecond: exchange.faults.hostileSecond == true, exchange, channel)
      return
    }
    if exchange.faults.refuse == true {
      fail(exchange, channel)
      return
    }
    if let status = exchange.faults.status {
      let body =
        exchange.faults.statusBody.map { Array($0.utf8) }
        ?? dialect.error("fault: status \(status)", status: status)
      var extra = HTTPHeaders()
      if let seconds = exchange.faults.retryAfter {
        extra.add(name: "retry-after", value: "\(seconds)")
      }
      finish(exchange)
      writer.write(status: status, body, headers: extra, to: channel)
      return
    }
    if let (status, body) = host.answerAtOnce(question) {
      finish(exchange)
      writer.write(status: status, body, to: channel)
      return
    }
    after(host.sample(host.configuration.firstToken), exchange, channel) { [self] in
      if exchange.faults.stallAtToken == 0 { return }
      pass(.beforeFirstToken, exchange, channel) { [self] in
        if exchange.streams { begin(exchange, channel) } else { writeWhole(exchange, channel) }
      }
    }
  }

  // MARK: - Unstreamed answers

  private func writeWhole(_ exchange: FaultyHostExchange, _ channel: any Channel) {
    var delay = TimeAmount.zero
    while exchange.tokens < exchange.pieces.count {
      delay = delay + host.sample(pace(exchange))
      exchange.record.tokens += 1
    }
    exchange.record.tokens = 0
    after(delay, exchange, channel) { [self] in
      let faults = exchange.faults
      var bytes = exchange.wholeBody ?? exchange.voice.body
      if faults.garbage == true || faults.kind == .garbage {
        bytes = Array("<html>garbage\u{1}".utf8)
      }
      if faults.halfCharacterAtToken != nil || faults.kind == .halfCharacter {
        bytes.insert(0xF0, at: bytes.count - 4)
      }
      if let huge = faults.hugeBodyBytes {
        bytes = [UInt8](repeating: UInt8(ascii: " "), count: huge)
      }
      if faults.stallAtToken != nil || faults.kind == .stall { return }
      if faults.kind == .error {
        let error = Array(exchange.voice.errorEvent("fault: error").drop { $0 != 0x7B })
        finish(exchange)
        writer.write(status: 500, error, to: channel)
        return
      }
      let breaks = faults.kind == .drop || faults.kind == .end ? faults.atByte ?? 0 : nil
      if let drop = faults.dropAtByte ?? breaks, drop < bytes.count {
        writer.writeHead(channel, type: "application/json", length: bytes.count)
        self.drop(exchange, after: Array(bytes[..<drop]), channel)
        return
      }
      exchange.record.tokens = exchange.pieces.count
      writer.write(status: 200, bytes, isLast: false, to: channel)
      end(exchange, channel)
    }
  }

  // MARK: - Streamed answers

  private func begin(_ exchange: FaultyHostExchange, _ channel: any Channel) {
    writer.writeHead(channel, type: exchange.voice.streamType, length: nil)
    if exchange.faults.garbage == true {
      send(exchange.voice.garbage, exchange, channel)
      end(exchange, channel)
      return
    }
    if let huge = exchange.faults.hugeBodyBytes {
      let bytes = Array("data: ".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: huge)
      send(bytes, exchange, channel)
      end(exchange, channel)
      return
    }
    guard send(exchange.voice.opening(), exchange, channel) else { return }
    next(exchange, channel)
  }

  private func next(_ exchange: FaultyHostExchange, _ channel: any Channel) {
    let faults = exchange.faults
    if let stall = faults.stallAtToken, exchange.tokens >= stall { return }
    if let at = faults.endAtToken, exchange.tokens >= at {
      end(exchange, channel)
      return
    }
    if let at = faults.errorAtToken, exchange.tokens >= at {
      send(exchange.voice.errorEvent("fault: error event"), exchange, channel)
      end(exchange, channel)
      return
    }
    if exchange.breaksHere, breaks(exchange, channel) { return }
    guard exchange.tokens < exchange.pieces.count else {
      guard send(exchange.voice.closing(), exchange, channel) else { return }
      end(exchange, channel)
      return
    }
    let isHalf =
      faults.halfCharacterAtToken == exchange.tokens
      || faults.kind == .halfCharacter && exchange.breaksHere
    let bytes =
      isHalf
      ? exchange.eventWithHalfCharacter : exchange.voice.event(exchange.pieces[exchange.tokens])
    guard send(bytes, exchange, channel) else { return }
    exchange.record.tokens += 1
    pass(.afterToken(exchange.tokens), exchange, channel) { [self] in
      after(host.sample(pace(exchange)), exchange, channel) { [self] in
        next(exchange, channel)
      }
    }
  }

  private func pace(_ exchange: FaultyHostExchange) -> DelayDistribution {
    exchange.crawls.map { .constant($0) } ?? host.configuration.interToken
  }

  /// Applies the fault at its byte; returns whether the answer ends here.
  private func breaks(_ exchange: FaultyHostExchange, _ channel: any Channel) -> Bool {
    switch exchange.faults.kind {
    case .drop: drop(exchange, after: exchange.unfinishedEvent, channel)
    case .stall: send(exchange.unfinishedEvent, exchange, channel)
    case .garbage:
      send(exchange.voice.garbage, exchange, channel)
      end(exchange, channel, as: .broken)
    case .error:
      send(exchange.voice.errorEvent("fault: error event"), exchange, channel)
      end(exchange, channel, as: .broken)
    case .end: end(exchange, channel, as: .broken)
    case .crawl, .halfCharacter, .status, .busy, .refuse, nil: return false
    }
    return true
  }

  /// Sends bytes; returns false if the connection was dropped at its configured byte.
  @discardableResult
  private func send(_ bytes: [UInt8], _ exchange: FaultyHostExchange, _ channel: any Channel)
    -> Bool
  {
    if let drop = exchange.faults.dropAtByte, exchange.sentBytes + bytes.count > drop {
      self.drop(exchange, after: Array(bytes.prefix(drop - exchange.sentBytes)), channel)
      return false
    }
    guard !bytes.isEmpty else { return true }
    exchange.sentBytes += bytes.count
    writer.writeBody(bytes, channel)
    return true
  }

  /// Ends the answer. It counts as complete once its last byte is written; a client that
  /// disconnects earlier cancels it.
  private func end(
    _ exchange: FaultyHostExchange, _ channel: any Channel,
    as outcome: FaultyHostRecord.Outcome = .completed
  ) {
    let step = Step(exchange: exchange) { [self] in finish(exchange, as: outcome) }
    channel.writeAndFlush(HTTPServerResponsePart.end(nil)).whenSuccess { [self] in go(step) }
  }

  // MARK: - Hostile

  private func play(
    _ row: HostileRow, isSecond: Bool, _ exchange: FaultyHostExchange, _ channel: any Channel
  ) {
    let script = row.script(isSecond: isSecond)
    exchange.hostile = HostileCursor(script, divisor: exchange.faults.hostileDivisor ?? 1)
    channel.writeAndFlush(HTTPServerResponsePart.head(script.head), promise: nil)
    sendNext(exchange, ending: script.ending, channel)
  }

  /// Sends one write at a time, so that a gateway that does not read blocks this host.
  private func sendNext(
    _ exchange: FaultyHostExchange, ending: HostileScript.Ending, _ channel: any Channel
  ) {
    let next = exchange.hostile?.next() ?? .end
    switch next {
    case .send(let bytes):
      exchange.sentBytes += bytes.count
      host.count { $0.hostileBytes += bytes.count }
      let step = Step(exchange: exchange) { [self] in sendNext(exchange, ending: ending, channel) }
      let buffer = channel.allocator.buffer(bytes: bytes)
      channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(buffer))).whenSuccess {
        [self] in
        // The step is not run directly, because writes that succeed immediately would recurse and
        // grow the stack.
        channel.eventLoop.execute { [self] in go(step) }
      }
    case .pause(let milliseconds):
      after(.milliseconds(milliseconds), exchange, channel) { [self] in
        sendNext(exchange, ending: ending, channel)
      }
    case .end:
      switch ending {
      case .proper: end(exchange, channel)
      case .cut: drop(exchange, after: [], channel)
      case .open: break
      }
    }
  }

  // MARK: - The exchange

  /// Resumes after a delay, unless the client has disconnected by then.
  private func after(
    _ delay: TimeAmount, _ exchange: FaultyHostExchange, _ channel: any Channel,
    _ resume: @escaping () -> Void
  ) {
    let step = Step(exchange: exchange, resume: resume)
    guard delay > .zero else {
      // The step is not run directly, because the event loop must detect a disconnect between two
      // tokens, and a long answer must not grow the stack.
      channel.eventLoop.execute { [self] in go(step) }
      return
    }
    channel.eventLoop.scheduleTask(in: delay) { [self] in go(step) }
  }

  private func pass(
    _ point: FaultyHostPoint, _ exchange: FaultyHostExchange, _ channel: any Channel,
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

  /// @unchecked: created and run only on the channel's event loop.
  private final class Step: @unchecked Sendable {
    let exchange: FaultyHostExchange
    let resume: () -> Void

    init(exchange: FaultyHostExchange, resume: @escaping () -> Void) {
      self.exchange = exchange
      self.resume = resume
    }
  }

  private func finish(
    _ exchange: FaultyHostExchange, as outcome: FaultyHostRecord.Outcome = .completed
  ) {
    over(exchange, outcome) { $0.completed += 1 }
  }

  private func over(
    _ exchange: FaultyHostExchange, _ outcome: FaultyHostRecord.Outcome,
    _ change: (inout FaultyHostCounts) -> Void = { _ in }
  ) {
    self.exchange = nil
    exchange.record.outcome = outcome
    exchange.record.ended = NIODeadline.now().uptimeNanoseconds
    host.record(exchange.record)
    host.count {
      $0.active -= 1
      change(&$0)
    }
  }

  /// Closes the connection because of a fault, which does not count as a client's cancel.
  private func fail(_ exchange: FaultyHostExchange, _ channel: any Channel) {
    over(exchange, .broken)
    channel.close(promise: nil)
  }

  /// Sends the last bytes, then closes the connection.
  private func drop(
    _ exchange: FaultyHostExchange, after bytes: [UInt8], _ channel: any Channel
  ) {
    over(exchange, .broken)
    let buffer = channel.allocator.buffer(bytes: bytes)
    channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(buffer))).whenComplete { _ in
      channel.close(promise: nil)
    }
  }

  private func leave(_ exchange: FaultyHostExchange) {
    let phase: FaultyHostCounts.Cancel.Phase =
      !exchange.streams ? .nonStreaming : exchange.tokens == 0 ? .beforeFirstToken : .midStream
    exchange.record.cancelPhase = phase
    over(exchange, .cancelled) {
      // Only the most recent cancels are kept, because a soak has millions of them.
      if $0.cancels.count == 10_000 { $0.cancels.removeFirst() }
      $0.cancels.append(
        .init(
          phase: phase, path: exchange.path, tokens: exchange.tokens,
          afterMilliseconds: Double(exchange.record.ended - exchange.record.began) / 1e6,
          number: exchange.record.number, at: exchange.record.ended))
    }
  }
}
