import Logging
import NIOCore
import NIOPosix
import OverloadCore
import Synchronization
import Testing

@testable import ServiceKit

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

@Suite("The listener of a server")
struct ListenerTests {
  /// A listener, with what it delivers.
  private final class Accepting: Sendable {
    let listener: Listener
    let delivered: AsyncStream<Listener.Accepted>
    let ended: AsyncStream<Void>
    private let delivery: AsyncStream<Listener.Accepted>.Continuation
    private let end: AsyncStream<Void>.Continuation

    init() throws {
      listener = try Listener(host: "127.0.0.1", port: 0)
      (delivered, delivery) = AsyncStream.makeStream()
      (ended, end) = AsyncStream.makeStream()
    }

    func start(limit: Int) {
      listener.start(limit: limit) { [delivery] accepted in
        for connection in accepted { delivery.yield(connection) }
      } failed: { error in
        Issue.record(error)
      } ended: { [delivery, end] in
        delivery.finish()
        end.finish()
      }
    }

    /// Stops the listener and waits until its socket has closed.
    func stop() async {
      listener.stop()
      for await _ in ended {}
    }
  }

  private func connect(_ port: Int) async throws -> any Channel {
    try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: "127.0.0.1", port: port).get()
  }

  #if os(Linux)
    @Test("a client that leaves before its connection is accepted is not delivered")
    func leavers() async throws {
      let accepting = try Accepting()
      // The kernel holds these connections until the listener starts.
      for _ in 0..<300 {
        try await connect(accepting.listener.port).close()
      }
      let stays = try await connect(accepting.listener.port)
      accepting.start(limit: 8)
      var delivered = accepting.delivered.makeAsyncIterator()
      let first = try #require(await delivered.next())
      #expect(!Listener.hasLeft(first.descriptor))
      close(first.descriptor)
      try? await stays.close()
      await accepting.stop()
      #expect(await delivered.next() == nil)
    }
  #endif

  @Test("at the limit, the next connection is accepted after another has closed")
  func limit() async throws {
    let accepting = try Accepting()
    let clients = [
      try await connect(accepting.listener.port), try await connect(accepting.listener.port),
    ]
    accepting.start(limit: 1)
    var delivered = accepting.delivered.makeAsyncIterator()
    let first = try #require(await delivered.next())
    #expect(first.client == .local)
    close(first.descriptor)
    accepting.listener.connectionClosed()
    let second = try #require(await delivered.next())
    close(second.descriptor)
    for client in clients { try? await client.close() }
    await accepting.stop()
  }

  @Test(
    "an error that the next attempt would meet, too, pauses the listener",
    arguments: [EMFILE, ENFILE, ENOBUFS, ENOMEM, EBADF, EINVAL, ENOTSOCK])
  func lastingError(number: CInt) {
    #expect(Listener.next(afterError: number) == .failed(number))
  }

  @Test(
    "an error of one connection does not delay the next one",
    arguments: [ECONNABORTED, EINTR, EPROTO, ENETDOWN, EHOSTUNREACH])
  func connectionError(number: CInt) {
    #expect(Listener.next(afterError: number) == .dropped)
  }

  @Test("a stopped listener has closed its port, and stops only once")
  func stop() async throws {
    let accepting = try Accepting()
    accepting.start(limit: 1)
    await accepting.stop()
    accepting.listener.stop()
    let again = try Listener(host: "127.0.0.1", port: accepting.listener.port)
    #expect(again.port == accepting.listener.port)
    #expect(throws: IOError.self) {
      _ = try Listener(host: "127.0.0.1", port: accepting.listener.port)
    }
    // The thread that `start` creates closes the socket.
    again.start(limit: 1) { _ in
    } failed: { _ in
    } ended: {
    }
    again.stop()
  }

  /// An event loop that takes the connections of a server.
  private func connectionLoop() -> (ConnectionLoop, HTTPChannel) {
    let channel = HTTPChannel(
      HTTPServerOptions(address: HostAndPort(port: 0)), ServiceResponder(makeRouter()),
      Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let loop = ConnectionLoop(
      MultiThreadedEventLoopGroup.singleton.any(), answersOnEventLoop: true)
    return (loop, channel)
  }

  @Test(
    "a connection that reaches its event loop after the server has ended is closed",
    .timeLimit(.minutes(1)))
  func lateConnection() async throws {
    let accepting = try Accepting()
    accepting.start(limit: 1)
    let (loop, channel) = connectionLoop()
    loop.arrival.finish()
    var delivered = accepting.delivered.makeAsyncIterator()
    // With a limit of 1, the second connection is delivered only if the first was counted as closed.
    for _ in 0..<2 {
      let client = try await connect(accepting.listener.port)
      let accepted = try #require(await delivered.next())
      loop.begin(accepted, of: accepting.listener, in: channel)
      try await client.closeFuture.get()
    }
    await accepting.stop()
  }

  @Test(
    "a connection whose turn comes after its listener has stopped is closed",
    .timeLimit(.minutes(1)))
  func lateTurn() async throws {
    let accepting = try Accepting()
    accepting.start(limit: 1)
    let (loop, channel) = connectionLoop()
    let client = try await connect(accepting.listener.port)
    var delivered = accepting.delivered.makeAsyncIterator()
    let accepted = try #require(await delivered.next())
    await accepting.stop()
    loop.begin(accepted, of: accepting.listener, in: channel)
    try await client.closeFuture.get()
    // The event loop has made no channel for it.
    loop.arrival.finish()
  }

  @Test(
    "an IPv6 socket names its clients, also those that use IPv4",
    arguments: [("::1", "::1"), ("::", "::1"), ("::", "127.0.0.1")])
  func sixth(host: String, address: String) async throws {
    guard let listener = try? Listener(host: host, port: 0) else { return }
    let (delivered, delivery) = AsyncStream<ClientID>.makeStream()
    listener.start(limit: 4) { accepted in
      for connection in accepted {
        delivery.yield(connection.client)
        close(connection.descriptor)
      }
    } failed: { error in
      Issue.record(error)
    } ended: {
      delivery.finish()
    }
    let client = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .connect(host: address, port: listener.port).get()
    var clients = delivered.makeAsyncIterator()
    #expect(await clients.next() == .local)
    try? await client.close()
    listener.stop()
  }
}

@Suite("The date in answers")
struct DateHeaderTests {
  @Test(
    "the date has the form of RFC 9110",
    arguments: [
      (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
      (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
    ])
  func form(second: Int, text: String) {
    let header = DateHeader()
    #expect(header.value(at: second) == text)
    #expect(header.value(at: second) == text)
  }
}
