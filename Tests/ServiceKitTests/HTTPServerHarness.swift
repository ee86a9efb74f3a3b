import Hummingbird
import Logging
import NIOCore
import NIOPosix
import ServiceLifecycle
import Testing

@testable import ServiceKit

/// A client that writes and reads raw bytes, to check exactly what is on the wire.
struct RawClient {
  let channel: NIOAsyncChannel<ByteBuffer, ByteBuffer>

  static func connect(_ port: Int) async throws -> RawClient {
    let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    return RawClient(channel: channel)
  }

  /// Sends `text` and reads until `enough` returns true or the server closes the connection.
  func exchange(
    _ text: String, until enough: @escaping @Sendable (String) -> Bool = { _ in false }
  ) async throws -> String {
    try await channel.executeThenClose { inbound, outbound in
      try await outbound.write(ByteBuffer(string: text))
      var answer = ""
      for try await bytes in inbound {
        answer += String(buffer: bytes)
        if enough(answer) { break }
      }
      return answer
    }
  }
}

/// Runs `body` against a server with these routes; the server stops afterwards.
func withServer(
  routes: (Router<BasicRequestContext>) -> Void,
  change: (inout HTTPServerOptions) -> Void = { _ in },
  _ body: @escaping @Sendable (Int) async throws -> Void
) async throws {
  let router = makeRouter()
  routes(router)
  var options = HTTPServerOptions(address: HostAndPort(port: 0))
  change(&options)
  let (ports, port) = AsyncStream<Int>.makeStream()
  var logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
  logger.logLevel = .critical
  let server = makeHTTPServer(
    router: router, options: options, logger: logger, onListening: { port.yield($0) })
  try await withThrowingTaskGroup(of: Void.self) { group in
    group.addTask { try await server.run() }
    var iterator = ports.makeAsyncIterator()
    let number = try #require(await iterator.next())
    try await body(number)
    group.cancelAll()
  }
}

/// The text of a request without a body, after which the server closes the connection.
func rawRequest(_ path: String, method: String = "GET") -> String {
  "\(method) \(path) HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n"
}
