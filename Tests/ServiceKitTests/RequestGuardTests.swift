import ClusterModel
import NIOCore
import NIOEmbedded
import NIOHTTP1
import OverloadCore
import Testing

@testable import ServiceKit

/// Half-closes as a socket does; an embedded channel alone would close completely. Counts the reads
/// of the socket.
private final class HalfClosing: ChannelOutboundHandler {
  typealias OutboundIn = ByteBuffer
  private(set) var outputIsClosed = false
  private(set) var reads = 0

  func read(context: ChannelHandlerContext) {
    reads += 1
    context.read()
  }

  func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
    if mode == .output {
      outputIsClosed = true
      promise?.succeed(())
    } else {
      context.close(mode: mode, promise: promise)
    }
  }
}

/// One connection on an event loop whose time the test advances.
final class GuardedTestConnection {
  let channel = EmbeddedChannel()
  private(set) var rejections: [Failure.Code] = []
  private(set) var clientGone = 0
  private(set) var answers = 0
  var hasHungUp = false
  var closesAfterAnswer = false
  private let socket = HalfClosing()

  var outputIsClosed: Bool { socket.outputIsClosed }
  var reads: Int { socket.reads }

  /// - Parameter registry: the server's connections. `nil` means that the connection is the only
  ///   one.
  init(
    maxBody: Int = 100, maxHeaderBytes: Int = 1_024, holdsBodies: Bool = false,
    registry: ConnectionRegistry? = nil, client: ClientID = .local
  ) throws {
    var decoderLimits = NIOHTTPDecoderLimitConfiguration()
    decoderLimits.maxHeaderFieldSize = maxHeaderBytes
    decoderLimits.maxHeaderListSize = maxHeaderBytes
    decoderLimits.maxHeaderFieldCount = 10
    let limits = HTTPRequestLimits(
      head: .seconds(10), body: .seconds(30), bodyPerMiB: .seconds(1), idle: .seconds(75),
      maxBodyBytes: maxBody, holdsBodies: holdsBodies)
    let requestGuard = RequestGuard(
      limits: limits, place: registry?.open(channel, of: client), traceHeader: "x-tutti-trace",
      rejected: { [self] code, _ in rejections.append(code) },
      clientGone: { [self] in clientGone += 1 }, hasHungUp: { [self] in hasHungUp },
      workAfterAnswer: { [self] in { [self] in answers += 1 } },
      closesAfterAnswer: { [self] in closesAfterAnswer })
    let pipeline = channel.pipeline.syncOperations
    try pipeline.addHandler(socket)
    try pipeline.addHandler(FirstByteTap(requestGuard))
    try pipeline.addHandler(HTTPResponseEncoder())
    try pipeline.addHandler(
      ByteToMessageHandler(
        HTTPRequestDecoder(leftOverBytesStrategy: .dropBytes, limitConfiguration: decoderLimits)))
    try pipeline.addHandler(AnswerFlush())
    try pipeline.addHandler(requestGuard)
    channel.connect(to: try SocketAddress(unixDomainSocketPath: "/t"), promise: nil)
  }

  func receive(_ text: String) { _ = try? channel.writeInbound(ByteBuffer(string: text)) }

  func wait(_ seconds: Int64) { channel.embeddedEventLoop.advanceTime(by: .seconds(seconds)) }

  /// The request parts that reach the application.
  var parts: [HTTPServerRequestPart] {
    var parts: [HTTPServerRequestPart] = []
    while let part = try? channel.readInbound(as: HTTPServerRequestPart.self) {
      parts.append(part)
    }
    return parts
  }

  /// The bytes that reach the client.
  var answer: String {
    var text = ""
    while let bytes = try? channel.readOutbound(as: ByteBuffer.self) {
      text += String(buffer: bytes)
    }
    return text
  }

  func respond() {
    let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-length": "0"])
    channel.write(HTTPServerResponsePart.head(head), promise: nil)
    channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
  }
}

@Suite("Bodies that the application does not read")
struct UnreadBodyTests {
  private let head = "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n"
  private let part = String(repeating: "x", count: 10_000)

  @Test("the rest of a large body stays in the socket until the application reads it")
  func held() throws {
    let connection = try GuardedTestConnection(maxBody: 1 << 20, holdsBodies: true)
    connection.receive(head + part)
    #expect(connection.parts.count == 2)
    let reads = connection.reads
    connection.channel.read()
    connection.channel.read()
    #expect(connection.reads == reads)
    // The client had no chance to send in this time.
    connection.wait(29)
    connection.channel.triggerUserOutboundEvent(ReadBody(), promise: nil)
    #expect(connection.reads == reads + 1)
    connection.channel.read()
    #expect(connection.reads == reads + 2)
    connection.wait(29)
    #expect(connection.rejections.isEmpty && connection.channel.isActive)
  }

  @Test("a small body is read without a call of the application")
  func small() throws {
    let connection = try GuardedTestConnection(maxBody: 1 << 20, holdsBodies: true)
    connection.receive("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 8000\r\n\r\nx")
    let reads = connection.reads
    connection.channel.read()
    #expect(connection.reads == reads + 1)
  }

  @Test("a body that is not needed is read and skipped after the answer")
  func skipped() throws {
    let connection = try GuardedTestConnection(maxBody: 1 << 20, holdsBodies: true)
    connection.receive(head + part)
    connection.channel.read()
    let reads = connection.reads
    connection.respond()
    #expect(connection.reads > reads)
    _ = connection.parts
    for _ in 0..<9 { connection.receive(part) }
    connection.receive("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    let heads = connection.parts.count { if case .head = $0 { true } else { false } }
    #expect(heads == 1)
  }

  @Test("the rest of a body that is refused while it is held is discarded before the close")
  func refused() throws {
    let connection = try GuardedTestConnection(maxBody: 1 << 20, holdsBodies: true)
    connection.receive(head + part)
    connection.channel.read()
    let reads = connection.reads
    connection.wait(31)
    #expect(connection.rejections == [.requestTimeout] && connection.outputIsClosed)
    #expect(connection.reads > reads)
    connection.wait(2)
    #expect(!connection.channel.isActive)
  }

  @Test("after an answer without its body the rest is discarded, and the connection closes soon")
  func discarded() throws {
    let connection = try GuardedTestConnection(maxBody: 1 << 20, holdsBodies: true)
    connection.receive(head + part)
    connection.respond()
    _ = connection.parts
    connection.channel.close(mode: .output, promise: nil)
    #expect(connection.answer.hasPrefix("HTTP/1.1 200 ") && connection.outputIsClosed)
    let reads = connection.reads
    connection.receive(part)
    #expect(connection.parts.isEmpty && connection.reads > reads)
    connection.wait(2)
    #expect(!connection.channel.isActive)
  }
}

@Suite("Request guard")
struct RequestGuardTests {
  @Test("a head sent at one byte a second is refused after ten seconds, with 408")
  func slowHead() throws {
    let connection = try GuardedTestConnection()
    for character in "GET /v1/models HTTP/1.1" {
      connection.receive(String(character))
      connection.wait(1)
      if !connection.rejections.isEmpty { break }
    }
    #expect(connection.rejections == [.requestTimeout])
    let answer = connection.answer
    #expect(answer.hasPrefix("HTTP/1.1 408 "))
    #expect(answer.contains("connection: close"))
    #expect(answer.contains("\"code\":\"request_timeout\""))
    #expect(connection.parts.isEmpty)
    #expect(connection.outputIsClosed)
    #expect(connection.channel.isActive)
    connection.wait(2)
    #expect(!connection.channel.isActive)
  }

  @Test("a head that is complete in time is passed on and the deadline is gone")
  func headInTime() throws {
    let connection = try GuardedTestConnection()
    connection.receive("GET / HTTP/1.1\r\n")
    connection.wait(9)
    connection.receive("host: x\r\n\r\n")
    #expect(connection.parts.count == 2)
    connection.wait(1_000)
    #expect(connection.channel.isActive)
    #expect(connection.rejections.isEmpty)
  }

  @Test("a connection that sends nothing is closed without a response")
  func silent() throws {
    let connection = try GuardedTestConnection()
    connection.wait(9)
    #expect(connection.channel.isActive)
    connection.wait(1)
    #expect(!connection.channel.isActive)
    #expect(connection.answer.isEmpty)
    #expect(connection.rejections.isEmpty)
  }

  @Test("an answer counts as given when it is whole, and a refusal of the guard does not count")
  func answers() throws {
    let connection = try GuardedTestConnection()
    connection.receive("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-length": "0"])
    connection.channel.writeAndFlush(HTTPServerResponsePart.head(head), promise: nil)
    #expect(connection.answers == 0)
    connection.channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
    #expect(connection.answers == 1)
    connection.receive("no request\r\n\r\n")
    #expect(connection.answer.contains("HTTP/1.1 400 "))
    #expect(connection.answers == 1)

    let gone = try GuardedTestConnection()
    gone.receive("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    gone.channel.write(HTTPServerResponsePart.head(head), promise: nil)
    gone.channel.write(HTTPServerResponsePart.end(nil), promise: nil)
    #expect(gone.answers == 0, "the end is written, but not sent")
    gone.channel.close(promise: nil)
    #expect(gone.answers == 0)
  }

  @Test("an idle connection is closed after its time, counted from the last answer")
  func idle() throws {
    let connection = try GuardedTestConnection()
    connection.receive("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    connection.wait(60)
    connection.respond()
    connection.wait(74)
    #expect(connection.channel.isActive)
    connection.wait(1)
    #expect(!connection.channel.isActive)
  }

  @Test("the second request of a connection has the same deadline for its head")
  func secondHead() throws {
    let connection = try GuardedTestConnection()
    connection.receive("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    connection.respond()
    _ = connection.answer
    connection.wait(50)
    connection.receive("G")
    connection.wait(9)
    #expect(connection.rejections.isEmpty)
    connection.wait(1)
    #expect(connection.rejections == [.requestTimeout])
    #expect(connection.answer.hasPrefix("HTTP/1.1 408 "))
  }

  @Test("a body that trickles is refused after its time, however often bytes come")
  func slowBody() throws {
    let connection = try GuardedTestConnection()
    connection.receive("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n")
    for _ in 0..<29 {
      connection.receive("x")
      connection.wait(1)
    }
    #expect(connection.rejections.isEmpty)
    connection.wait(2)
    #expect(connection.rejections == [.requestTimeout])
    #expect(connection.answer.hasPrefix("HTTP/1.1 408 "))
    #expect(connection.clientGone > 0)
  }

  @Test("a large body has longer: a second for each MiB")
  func largeBodyHasLonger() throws {
    let connection = try GuardedTestConnection(maxBody: 20 << 20)
    connection.receive("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: \(10 << 20)\r\n\r\n")
    connection.wait(39)
    #expect(connection.rejections.isEmpty)
    connection.wait(1)
    #expect(connection.rejections == [.requestTimeout])
  }

  @Test("a chunked body earns its time by what has come")
  func chunkedBodyTime() throws {
    let connection = try GuardedTestConnection(maxBody: 20 << 20)
    connection.receive("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    let mebibyte = String(repeating: "x", count: 1 << 20)
    connection.receive("100000\r\n\(mebibyte)\r\n100000\r\n\(mebibyte)\r\n")
    connection.wait(31)
    #expect(connection.rejections.isEmpty)
    connection.wait(1)
    #expect(connection.rejections == [.requestTimeout])
  }

  @Test("chunks that come together are passed on together, in their order")
  func smallChunks() throws {
    let connection = try GuardedTestConnection()
    connection.receive("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
    connection.receive((0..<20).map { "1\r\n\($0 % 10)\r\n" }.joined())
    connection.receive(
      "2\r\nbc\r\n1\r\nd\r\n0\r\n\r\nPOST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\ne")
    let parts = connection.parts.map { part in
      switch part {
      case .head: "head"
      case .body(let bytes): String(buffer: bytes)
      case .end: "end"
      }
    }
    #expect(
      parts == ["head", "a", "01234567890123456789", "bcd", "end", "head", "e", "end"])
  }

  @Test("a request whose client has left already does not reach the application")
  func hungUp() throws {
    let connection = try GuardedTestConnection()
    connection.hasHungUp = true
    connection.receive("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\ne")
    #expect(connection.parts.isEmpty)
    #expect(connection.clientGone > 0 && !connection.channel.isActive)
  }

  @Test("a connection that ends with its answer is closed together with the last bytes")
  func closesAfterAnswer() throws {
    let connection = try GuardedTestConnection()
    connection.closesAfterAnswer = true
    connection.receive("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    #expect(connection.parts.count == 2)
    connection.respond()
    #expect(connection.answer.contains("200 OK") && connection.outputIsClosed)
    connection.receive("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    #expect(connection.parts.isEmpty)
  }

  @Test("a declared body that is too large is refused before it is sent")
  func declaredTooLarge() throws {
    let connection = try GuardedTestConnection(maxBody: 100)
    connection.receive("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 101\r\n\r\n")
    #expect(connection.rejections == [.requestTooLarge])
    #expect(connection.answer.hasPrefix("HTTP/1.1 413 "))
    #expect(connection.parts.isEmpty)
  }

  @Test("a chunked body is refused at the byte that is too many, and the rest thrown away")
  func chunkedTooLarge() throws {
    let connection = try GuardedTestConnection(maxBody: 4)
    connection.receive("POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
    connection.receive("4\r\nabcd\r\n")
    #expect(connection.rejections.isEmpty)
    connection.receive("1\r\ne\r\n")
    #expect(connection.rejections == [.requestTooLarge])
    let seen = connection.parts.count
    connection.receive("1\r\ne\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    #expect(connection.parts.isEmpty)
    #expect(seen == 2)
    #expect(connection.answer.ranges(of: "HTTP/1.1").count == 1)
  }

  @Test("headers that are too large or too many are 431")
  func headersTooLarge() throws {
    let large = try GuardedTestConnection()
    large.receive("GET / HTTP/1.1\r\nx: \(String(repeating: "x", count: 2_000))\r\n\r\n")
    #expect(large.rejections == [.headersTooLarge])
    #expect(large.answer.hasPrefix("HTTP/1.1 431 "))
    let many = try GuardedTestConnection()
    many.receive(
      "GET / HTTP/1.1\r\n" + (0..<20).map { "x\($0): y\r\n" }.joined() + "\r\n")
    #expect(many.rejections == [.headersTooLarge])
  }

  @Test(
    "a request with no Host, or two, or two origins, or with a coding unknown to HTTP/1.0, is 400",
    arguments: [
      "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n",
      "GET / HTTP/1.0\r\nhost: a\r\nHost: b\r\n\r\n",
      "GET / HTTP/1.1\r\nhost: a\r\norigin: http://a\r\nOrigin: http://b\r\n\r\n",
      "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ])
  func ambiguous(request: String) throws {
    let connection = try GuardedTestConnection()
    connection.receive(request)
    #expect(connection.rejections == [.invalidRequest])
    let version = request.contains("HTTP/1.0") ? "HTTP/1.0" : "HTTP/1.1"
    #expect(connection.answer.hasPrefix("\(version) 400 "))
    #expect(connection.parts.isEmpty)
  }

  @Test("HTTP/1.0 needs no Host")
  func oldClient() throws {
    let connection = try GuardedTestConnection()
    connection.receive("GET / HTTP/1.0\r\n\r\n")
    #expect(connection.rejections.isEmpty && connection.parts.count == 2)
  }

  @Test("bytes that are not HTTP get 400 in OpenAI's form, and the connection ends")
  func notHTTP() throws {
    let connection = try GuardedTestConnection()
    connection.receive("\u{16}\u{3}\u{1} hello\r\n\r\n")
    #expect(connection.rejections == [.invalidRequest])
    let answer = connection.answer
    #expect(answer.hasPrefix("HTTP/1.1 400 "))
    #expect(answer.contains("\"type\":\"invalid_request_error\""))
    connection.wait(2)
    #expect(!connection.channel.isActive)
  }

  @Test("in the middle of an answer nothing is written into it: the connection is cut")
  func noAnswerInAnAnswer() throws {
    let connection = try GuardedTestConnection()
    connection.receive("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n")
    let head = HTTPResponseHead(version: .http1_1, status: .ok)
    connection.channel.writeAndFlush(HTTPServerResponsePart.head(head), promise: nil)
    _ = connection.answer
    connection.wait(31)
    #expect(connection.answer.isEmpty)
    #expect(!connection.channel.isActive)
  }

  @Test("text that the application writes after a refusal is discarded")
  func writesAfterRefusal() throws {
    let connection = try GuardedTestConnection()
    connection.receive("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n")
    connection.wait(31)
    _ = connection.answer
    connection.respond()
    #expect(connection.answer.isEmpty)
    // The close is delayed so that the client has time to read.
    connection.channel.close(promise: nil)
    #expect(connection.channel.isActive)
    connection.wait(2)
    #expect(!connection.channel.isActive)
  }

  @Test("a client that hangs up in mid-request is reported")
  func hangsUp() throws {
    let connection = try GuardedTestConnection()
    connection.receive("GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    #expect(connection.clientGone == 0)
    connection.channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
    #expect(connection.clientGone == 1)
  }

  @Test("a client that expects 100-continue gets it")
  func expectContinue() throws {
    let connection = try GuardedTestConnection()
    connection.receive(
      "POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 1\r\n\r\n")
    #expect(connection.answer.hasPrefix("HTTP/1.1 100 "))
    connection.receive("x")
    connection.respond()
    #expect(connection.answer.hasPrefix("HTTP/1.1 200 "))
  }

  @Test("after our half of the connection is closed the client cannot keep it open")
  func linger() throws {
    let connection = try GuardedTestConnection()
    connection.receive("GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    connection.respond()
    connection.channel.close(mode: .output, promise: nil)
    connection.wait(1)
    #expect(connection.channel.isActive)
    connection.wait(1)
    #expect(!connection.channel.isActive)
  }
}
