import NIOCore
import NIOEmbedded
import NIOHTTP1
import Testing

@testable import ServiceKit

/// Counts the flushes that reach the socket.
private final class Socket: ChannelOutboundHandler {
  typealias OutboundIn = ByteBuffer
  private(set) var flushes = 0

  func flush(context: ChannelHandlerContext) {
    flushes += 1
    context.flush()
  }
}

/// A server's connection, on which the application writes.
private final class Connection {
  let channel = EmbeddedChannel()
  private let socket = Socket()

  var flushes: Int { socket.flushes }

  init() throws {
    let pipeline = channel.pipeline.syncOperations
    try pipeline.addHandler(socket)
    try pipeline.addHandler(HTTPResponseEncoder())
    try pipeline.addHandler(AnswerFlush())
    channel.connect(to: try SocketAddress(unixDomainSocketPath: "/t"), promise: nil)
  }

  /// Writes a part, and asks for a flush.
  func send(_ part: HTTPServerResponsePart) { channel.writeAndFlush(part, promise: nil) }

  func send(head status: HTTPResponseStatus = .ok, _ headers: HTTPHeaders) {
    send(.head(HTTPResponseHead(version: .http1_1, status: status, headers: headers)))
  }

  func send(bytes count: Int) {
    send(.body(.byteBuffer(ByteBuffer(repeating: UInt8(ascii: "x"), count: count))))
  }

  /// The number of bytes of bodies that were sent since the last call.
  var sentBytes: Int {
    var count = 0
    while let bytes = try? channel.readOutbound(as: ByteBuffer.self) {
      count += bytes.readableBytesView.count { $0 == UInt8(ascii: "x") }
    }
    return count
  }
}

@Suite("Flushes of answers")
struct AnswerFlushTests {
  @Test("a short answer of known length is sent once, with its end")
  func short() throws {
    let connection = try Connection()
    for round in 1...3 {
      connection.send(head: .ok, ["content-length": "6"])
      connection.send(bytes: 3)
      connection.send(bytes: 3)
      #expect(connection.sentBytes == 0 && connection.flushes == round - 1)
      connection.send(.end(nil))
      #expect(connection.sentBytes == 6 && connection.flushes == round)
    }
  }

  @Test("a stream is sent part by part")
  func stream() throws {
    let connection = try Connection()
    connection.send(head: .ok, ["transfer-encoding": "chunked"])
    #expect(connection.flushes == 1)
    connection.send(bytes: 3)
    #expect(connection.sentBytes == 3 && connection.flushes == 2)
    connection.send(.end(nil))
    #expect(connection.flushes == 3)
  }

  @Test("a stream after a short answer, and a short answer after a stream, each keep their rule")
  func alternation() throws {
    let connection = try Connection()
    for _ in 0..<3 {
      connection.send(head: .ok, ["content-length": "0"])
      connection.send(.end(nil))
      connection.send(head: .ok, ["transfer-encoding": "chunked"])
      connection.send(bytes: 1)
      #expect(connection.sentBytes == 1)
      connection.send(.end(nil))
    }
    #expect(connection.flushes == 12)
  }

  @Test("a long answer is sent part by part from the size at which a channel could be full")
  func long() throws {
    let connection = try Connection()
    let piece = AnswerFlush.wholeBytes / 4
    connection.send(head: .ok, ["content-length": "\(8 * piece)"])
    for _ in 0..<3 { connection.send(bytes: piece) }
    #expect(connection.sentBytes == 0)
    connection.send(bytes: piece)
    #expect(connection.sentBytes == 4 * piece)
    for _ in 0..<4 {
      connection.send(bytes: piece)
      #expect(connection.sentBytes == piece)
    }
    connection.send(.end(nil))
    #expect(connection.flushes == 6)
  }

  @Test("parts that wait are sent if the channel takes no more, and later parts do not wait")
  func unwritable() throws {
    let connection = try Connection()
    connection.send(head: .ok, ["content-length": "9"])
    connection.send(bytes: 3)
    connection.channel.isWritable = false
    connection.channel.pipeline.fireChannelWritabilityChanged()
    #expect(connection.sentBytes == 3)
    connection.channel.isWritable = true
    connection.channel.pipeline.fireChannelWritabilityChanged()
    connection.send(bytes: 3)
    #expect(connection.sentBytes == 3)
    connection.send(bytes: 3)
    connection.send(.end(nil))
    #expect(connection.sentBytes == 3)
    connection.send(head: .ok, ["content-length": "3"])
    connection.send(bytes: 3)
    #expect(connection.sentBytes == 0, "the next answer waits for its end again")
  }

  @Test("parts that were to be sent are sent before the channel closes")
  func close() throws {
    let connection = try Connection()
    connection.send(head: .ok, ["content-length": "6"])
    connection.send(bytes: 3)
    connection.channel.close(promise: nil)
    #expect(connection.sentBytes == 3)
  }

  @Test("parts without a flush are not sent")
  func unflushed() throws {
    let connection = try Connection()
    let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["content-length": "0"])
    connection.channel.write(HTTPServerResponsePart.head(head), promise: nil)
    connection.channel.write(HTTPServerResponsePart.end(nil), promise: nil)
    connection.channel.close(promise: nil)
    #expect(connection.flushes == 0)
  }

  @Test("the word that a client may send its body is no answer, and is sent at once")
  func `continue`() throws {
    let connection = try Connection()
    connection.send(head: .continue, [:])
    #expect(connection.flushes == 1)
    connection.send(head: .ok, ["content-length": "3"])
    connection.send(bytes: 3)
    #expect(connection.sentBytes == 0)
    connection.send(.end(nil))
    #expect(connection.sentBytes == 3 && connection.flushes == 2)
  }
}
