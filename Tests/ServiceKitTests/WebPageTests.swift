import NIOCore
import NIOEmbedded
import NIOHTTP1
import OverloadCore
import Testing

@testable import ServiceKit

/// Checks the bytes on the wire of a server with listed names and pages.
@Suite("Web pages and old clients at a server")
struct WebPageTests {
  private static let access = HTTPAccess(
    listen: HostAndPort(port: 8080), origins: ["https://app.example"])

  /// The request guard and the encoder of one connection.
  private struct Connection {
    let channel = EmbeddedChannel()
    let requestGuard: RequestGuard

    init(access: HTTPAccess? = WebPageTests.access) throws {
      requestGuard = RequestGuard(
        limits: HTTPRequestLimits(
          head: .seconds(10), body: .seconds(10), bodyPerMiB: .seconds(1), idle: .seconds(60),
          maxBodyBytes: 1_000, access: access),
        rejected: { _, _ in }, clientGone: {})
      let pipeline = channel.pipeline.syncOperations
      try pipeline.addHandler(HTTPResponseEncoder())
      try pipeline.addHandler(ByteToMessageHandler(HTTPRequestDecoder()))
      try pipeline.addHandler(requestGuard)
      channel.connect(to: try SocketAddress(unixDomainSocketPath: "/t"), promise: nil)
    }

    /// The response to a request; the application responds with a stream of one word.
    func answer(to request: String, _ headers: HTTPHeaders = ["x-tutti-trace": "1"]) -> String {
      _ = try? channel.writeInbound(ByteBuffer(string: request))
      var isAsked = false
      while let part = try? channel.readInbound(as: HTTPServerRequestPart.self) {
        if case .end = part { isAsked = true }
      }
      if isAsked {
        let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: headers)
        channel.write(HTTPServerResponsePart.head(head), promise: nil)
        channel.write(
          HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: "word"))), promise: nil)
        channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
      }
      var text = ""
      while let bytes = try? channel.readOutbound(as: ByteBuffer.self) {
        text += String(buffer: bytes)
      }
      return text
    }
  }

  @Test("a request for a name that is not the server's is refused, whatever it asks for")
  func foreignHost() throws {
    for path in ["/v1/models", "/health", "/"] {
      let answer = try Connection().answer(to: "GET \(path) HTTP/1.1\r\nhost: evil.example\r\n\r\n")
      #expect(answer.hasPrefix("HTTP/1.1 403 ") && answer.contains("permission_denied"))
      #expect(!answer.contains("word"))
    }
  }

  @Test("a request of another site's page is refused, and the page may not read why")
  func foreignPage() throws {
    let answer = try Connection().answer(
      to: "POST / HTTP/1.1\r\nhost: localhost\r\norigin: https://evil.example\r\n"
        + "content-length: 0\r\n\r\n")
    #expect(answer.hasPrefix("HTTP/1.1 403 "))
    #expect(!answer.contains("access-control-allow-origin"))
  }

  @Test("a listed page may read answers, refusals and the headers of both")
  func listedPage() throws {
    let origin = "origin: https://app.example\r\n"
    let answer = try Connection().answer(
      to: "GET / HTTP/1.1\r\nhost: localhost\r\n\(origin)\r\n",
      ["x-tutti-trace": "1", "x-request-id": "r", "content-type": "text/plain"])
    #expect(answer.contains("access-control-allow-origin: https://app.example\r\n"))
    #expect(answer.contains("vary: Origin\r\n"))
    #expect(answer.contains("access-control-expose-headers: x-request-id, x-tutti-trace\r\n"))
    let refused = try Connection().answer(
      to: "POST / HTTP/1.1\r\nhost: localhost\r\n\(origin)content-length: 9999\r\n\r\n")
    #expect(refused.hasPrefix("HTTP/1.1 413 "))
    #expect(refused.contains("access-control-allow-origin: https://app.example\r\n"))
  }

  @Test("no page may read anything unless it is listed")
  func unlisted() throws {
    let none = HTTPAccess(listen: HostAndPort(port: 8080))
    let answer = try Connection(access: none).answer(
      to: "GET / HTTP/1.1\r\nhost: localhost\r\norigin: http://localhost:3000\r\n\r\n")
    #expect(answer.hasPrefix("HTTP/1.1 200 ") && !answer.contains("access-control"))
  }

  @Test("each answer of one connection has the headers of its own request")
  func twoRequests() throws {
    let connection = try Connection()
    let plain = "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n"
    let page = "GET / HTTP/1.1\r\nhost: localhost\r\norigin: https://app.example\r\n\r\n"
    #expect(!connection.answer(to: plain).contains("allow-origin"))
    #expect(connection.answer(to: page).contains("allow-origin"))
    #expect(!connection.answer(to: plain).contains("allow-origin"))
  }

  @Test(
    "a client of HTTP/1.0 gets a body without chunks, up to the end of the connection",
    arguments: ["", "connection: keep-alive\r\n"])
  func old(header: String) throws {
    let connection = try Connection()
    _ = try connection.channel.writeInbound(
      ByteBuffer(string: "GET / HTTP/1.0\r\n\(header)\r\n"))
    guard
      case .head(let asked)? = try connection.channel.readInbound(as: HTTPServerRequestPart.self)
    else {
      Issue.record("no request arrived")
      return
    }
    #expect(asked.headers["connection"] == ["close"])
    let answer = try Connection().answer(to: "GET / HTTP/1.0\r\n\(header)\r\n")
    #expect(answer.hasPrefix("HTTP/1.0 200 ") && answer.hasSuffix("\r\n\r\nword"))
    #expect(!answer.contains("transfer-encoding"))
    let new = try Connection().answer(to: "GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    #expect(new.contains("transfer-encoding: chunked"))
  }
}
