import ClusterModel
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import OverloadCore
import ServiceLifecycle
import Testing

@testable import ServiceKit

/// Checks which connections the HTTP server accepts, keeps and ends.
@Suite("Connections of the HTTP server", .timeLimit(.minutes(5)))
struct HTTPConnectionTests {
  @Test("600 idle connections of one client exclude no other client", .timeLimit(.minutes(2)))
  func idleCrowd() async throws {
    try await withServer { router in
      router.get("/ok") { _, _ in "fine" }
    } change: { options in
      options.connections = ConnectionLimits(
        total: 100, perClient: 100, perLocalClient: 100, reserved: 8)
    } _: { port in
      var crowd: [any Channel] = []
      for _ in 0..<600 {
        crowd.append(
          try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: "127.0.0.1", port: port).get())
      }
      let answer = try await RawClient.connect(port).exchange(rawRequest("/ok"))
      #expect(answer.hasPrefix("HTTP/1.1 200 "), "\(answer)")
      for channel in crowd { channel.close(promise: nil) }
    }
  }

  @Test("requests of a burst wait for their turns, and are all answered on event loops")
  func burst() async throws {
    try await withServer { router in
      router.get("/turn") { _, _ in
        await ClientConnection.current?.takeTurn(of: 1)
        return MultiThreadedEventLoopGroup.currentEventLoop == nil ? "elsewhere" : "on a loop"
      }
    } change: {
      $0.answersOnEventLoops = true
    } _: { port in
      // These are more requests than may begin without waiting for a turn.
      let answers = try await withThrowingTaskGroup(of: String.self) { group in
        for _ in 0..<100 {
          group.addTask { try await RawClient.connect(port).exchange(rawRequest("/turn")) }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      #expect(answers.count { $0.hasSuffix("on a loop") } == 100)
    }
  }

  @Test("if every connection is busy, health is answered and other paths get an error")
  func reserve() async throws {
    let (began, begin) = AsyncStream<Void>.makeStream()
    let (released, release) = AsyncStream<Void>.makeStream()
    try await withServer { router in
      router.get("/health") { _, _ in "alive" }
      router.get("/ok") { _, _ in "fine" }
      router.get("/slow") { _, _ in
        begin.yield()
        for await _ in released {}
        return "done"
      }
    } change: { options in
      options.connections = ConnectionLimits(
        total: 2, perClient: 2, perLocalClient: 2, reserved: 4)
    } _: { port in
      try await withThrowingTaskGroup(of: String.self) { group in
        for _ in 0..<2 {
          group.addTask { try await RawClient.connect(port).exchange(rawRequest("/slow")) }
        }
        var starts = began.makeAsyncIterator()
        for _ in 0..<2 { _ = await starts.next() }
        let health = try await RawClient.connect(port).exchange(rawRequest("/health"))
        #expect(health.hasPrefix("HTTP/1.1 200 "), "\(health)")
        let other = try await RawClient.connect(port).exchange(rawRequest("/ok"))
        #expect(other.hasPrefix("HTTP/1.1 429 "), "\(other)")
        #expect(other.lowercased().contains("retry-after: 1"))
        #expect(other.contains("clients.connections_per_local_client"))
        release.finish()
        for try await answer in group { #expect(answer.hasPrefix("HTTP/1.1 200 ")) }
      }
    }
  }

  @Test(
    "a client that does not keep its connection sees its end after the answer",
    arguments: ["HTTP/1.0\r\n\r\n", "HTTP/1.1\r\nhost: t\r\nconnection: Close\r\n\r\n"])
  func notKept(rest: String) async throws {
    try await withServer { router in
      router.get("/ok") { _, _ in "fine" }
    } change: { options in
      // The idle deadline is so long that it cannot end the connection.
      options.idleDeadline = .seconds(3_600)
    } _: { port in
      let answer = try await RawClient.connect(port).exchange("GET /ok " + rest)
      #expect(answer.hasSuffix("fine"), "\(answer)")
    }
  }

  @Test("one connection serves many requests")
  func keepAlive() async throws {
    try await withServer(routes: { $0.get("/ok") { _, _ in "fine" } }) { port in
      let request = "GET /ok HTTP/1.1\r\nhost: t\r\n\r\n"
      let answer = try await RawClient.connect(port).exchange(
        request + request + request, until: { $0.ranges(of: "fine").count == 3 })
      #expect(answer.ranges(of: "HTTP/1.1 200 ").count == 3)
    }
  }

  @Test("a client that leaves cancels the handler that works for it")
  func disconnectCancelsHandler() async throws {
    let (events, event) = AsyncStream<String>.makeStream()
    try await withServer { router in
      router.get("/slow") { _, _ in
        event.yield("began")
        await untilCancelled()
        event.yield("cancelled")
        return "late"
      }
    } _: { port in
      var seen = events.makeAsyncIterator()
      let client = try await RawClient.connect(port)
      try await client.channel.executeThenClose { _, outbound in
        try await outbound.write(ByteBuffer(string: rawRequest("/slow")))
        #expect(await seen.next() == "began")
      }
      #expect(await seen.next() == "cancelled")
    }
  }

  @Test("a client that leaves a stream cancels the closure that writes it")
  func disconnectCancelsStream() async throws {
    let (events, event) = AsyncStream<String>.makeStream()
    try await withServer { router in
      router.post("/stream") { request, _ in
        _ = try await request.body.collect(upTo: 100)
        return Response(
          status: .ok,
          body: ResponseBody { writer in
            try await writer.write(ByteBuffer(string: "data: 1\n\n"))
            event.yield("began")
            await untilCancelled()
            event.yield("cancelled")
            try await writer.finish(nil)
          })
      }
    } _: { port in
      var seen = events.makeAsyncIterator()
      let request = "POST /stream HTTP/1.1\r\nhost: t\r\ncontent-length: 2\r\n\r\n{}"
      let answer = try await RawClient.connect(port).exchange(
        request, until: { $0.contains("data: 1") })
      #expect(answer.hasPrefix("HTTP/1.1 200 "))
      #expect(await seen.next() == "began")
      #expect(await seen.next() == "cancelled")
    }
  }

  @Test("a taken port is one sentence and exit code 69")
  func takenPort() async throws {
    try await withServer(routes: { $0.get("/ok") { _, _ in "fine" } }) { port in
      var options = HTTPServerOptions(address: HostAndPort(port: port))
      options.setting = "--port"
      let second = makeHTTPServer(
        router: makeRouter(), options: options,
        logger: Logger(label: "t") { _ in SwiftLogNoOpLogHandler() })
      await #expect(
        throws: ProcessFailure(
          .unavailable,
          "Port \(port) on 127.0.0.1 is taken: stop what listens there, or choose another port "
            + "with --port.")
      ) { try await second.run() }
    }
  }

  @Test("a host without an address is one sentence and exit code 69")
  func unknownHost() async throws {
    // A label has at most 63 bytes, so the system asks no name server for this host.
    let host = String(repeating: "a", count: 64)
    var options = HTTPServerOptions(address: HostAndPort(host: host, port: 0))
    options.setting = "--listen"
    let server = makeHTTPServer(
      router: makeRouter(), options: options,
      logger: Logger(label: "t") { _ in SwiftLogNoOpLogHandler() })
    await #expect(
      throws: ProcessFailure(
        .unavailable, "\(host) has no network address: choose another with --listen.")
    ) { try await server.run() }
  }

  @Test("a graceful shutdown lets the request in flight finish")
  func drains() async throws {
    let (events, event) = AsyncStream<String>.makeStream()
    let (gate, open) = AsyncStream<Void>.makeStream()
    let (ports, port) = AsyncStream<Int>.makeStream()
    let router = makeRouter()
    router.get("/slow") { _, _ in
      event.yield("began")
      for await _ in gate {}
      return "fine"
    }
    let logger = Logger(label: "t") { _ in SwiftLogNoOpLogHandler() }
    let server = makeHTTPServer(
      router: router, options: HTTPServerOptions(address: HostAndPort(port: 0)), logger: logger,
      onListening: { port.yield($0) })
    let group = ServiceGroup(services: [server], logger: logger)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask { try await group.run() }
      var portIterator = ports.makeAsyncIterator()
      let number = try #require(await portIterator.next())
      tasks.addTask {
        let answer = try await RawClient.connect(number).exchange(
          "GET /slow HTTP/1.1\r\nhost: t\r\n\r\n")
        #expect(answer.hasSuffix("fine"))
        event.yield("answered")
      }
      var seen = events.makeAsyncIterator()
      #expect(await seen.next() == "began")
      await group.triggerGracefulShutdown()
      open.finish()
      #expect(await seen.next() == "answered")
      try await tasks.waitForAll()
    }
  }
}

/// Suspends until the task is cancelled.
private func untilCancelled() async {
  let (never, _keep) = AsyncStream<Void>.makeStream()
  for await _ in never {}
  _ = _keep
}
