import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import NIOPosix
import OverloadCore
import ServiceLifecycle
import Synchronization
import Telemetry
import Testing

@testable import ServiceKit

/// A client that writes and reads raw bytes, to check exactly what is on the wire.
private struct RawClient {
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
private func withServer(
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

private func get(_ path: String, method: String = "GET") -> String {
  "\(method) \(path) HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n"
}

@Suite("HTTP server", .timeLimit(.minutes(5)))
struct HTTPServerTests {
  @Test(
    "a server that promises a trace in every answer has one also where no handler was asked",
    arguments: [
      (get("/nowhere"), 404), (get("/ok", method: "DELETE"), 405), (get("/ok"), 200),
      ("nonsense\r\n\r\n", 400),
      ("POST /body HTTP/1.1\r\nhost: t\r\ncontent-length: 9999\r\n\r\n", 413),
      ("GET /ok HTTP/1.1\r\nx: \(String(repeating: "y", count: 40_000))\r\n\r\n", 431),
    ])
  func traces(request: String, status: Int) async throws {
    try await withServer { router in
      router.get("/ok") { _, _ in "fine" }
      router.post("/body") { _, _ in "fine" }
    } change: { options in
      options.traceHeader = .traced
      options.maxBodyBytes = 100
    } _: { port in
      let answer = try await RawClient.connect(port).exchange(request)
      #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(answer)")
      let traces = answer.split(separator: "\r\n").filter {
        $0.lowercased().hasPrefix("x-tutti-trace: ")
      }
      #expect(traces.count == 1, "\(answer)")
      #expect(traces.first.flatMap { TraceID(String($0.dropFirst(15))) } != nil, "\(answer)")
    }
  }

  @Test("a handler runs on the event loop of its connection if the options say so")
  func eventLoop() async throws {
    for isOnLoop in [true, false] {
      try await withServer { router in
        router.post("/where") { request, _ -> String in
          _ = try await request.body.collect(upTo: 100)
          return "on a loop: \(MultiThreadedEventLoopGroup.currentEventLoop != nil)"
        }
      } change: { options in
        options.answersOnEventLoops = isOnLoop
      } _: { port in
        let answer = try await RawClient.connect(port).exchange(
          "POST /where HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 1\r\n\r\na")
        #expect(answer.hasSuffix("on a loop: \(isOnLoop)"), "\(answer)")
      }
    }
  }

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
      let answer = try await RawClient.connect(port).exchange(get("/ok"))
      #expect(answer.hasPrefix("HTTP/1.1 200 "), "\(answer)")
      for channel in crowd { channel.close(promise: nil) }
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
          group.addTask { try await RawClient.connect(port).exchange(get("/slow")) }
        }
        var starts = began.makeAsyncIterator()
        for _ in 0..<2 { _ = await starts.next() }
        let health = try await RawClient.connect(port).exchange(get("/health"))
        #expect(health.hasPrefix("HTTP/1.1 200 "), "\(health)")
        let other = try await RawClient.connect(port).exchange(get("/ok"))
        #expect(other.hasPrefix("HTTP/1.1 429 "), "\(other)")
        #expect(other.lowercased().contains("retry-after: 1"))
        #expect(other.contains("clients.connections_per_local_client"))
        release.finish()
        for try await answer in group { #expect(answer.hasPrefix("HTTP/1.1 200 ")) }
      }
    }
  }

  @Test("a handler knows which client it answers")
  func client() async throws {
    try await withServer { router in
      router.get("/who") { _, _ in
        ClientConnection.current?.client == .local ? "this machine" : "unknown"
      }
    } _: { port in
      let answer = try await RawClient.connect(port).exchange(get("/who"))
      #expect(answer.hasSuffix("this machine"), "\(answer)")
    }
  }

  @Test("work after an answer is done once it is written, and belongs to that answer alone")
  func afterAnswer() async throws {
    let (work, done) = AsyncStream.makeStream(of: Int.self)
    try await withServer { router in
      router.get("/1") { _, _ in
        ClientConnection.current?.afterAnswer { done.yield(1) }
        return "one"
      }
      router.get("/2") { _, _ in "two" }
      router.get("/3") { _, _ in
        ClientConnection.current?.afterAnswer { done.yield(3) }
        return "three"
      }
    } _: { port in
      for path in ["/1", "/2", "/3"] {
        let answer = try await RawClient.connect(port).exchange(get(path))
        #expect(answer.hasPrefix("HTTP/1.1 200 "), "\(answer)")
      }
      var results = work.makeAsyncIterator()
      #expect(await results.next() == 1)
      #expect(await results.next() == 3)
    }
  }

  @Test("a handler's own trace is kept")
  func ownTrace() async throws {
    try await withServer { router in
      router.get("/ok") { _, _ in Response(status: .ok, headers: [.traced: "mine"]) }
    } change: { options in
      options.traceHeader = .traced
    } _: { port in
      let answer = try await RawClient.connect(port).exchange(get("/ok"))
      #expect(answer.contains("x-tutti-trace: mine\r\n"), "\(answer)")
    }
  }

  @Test("errors of every origin have the OpenAI shape")
  func errorShapes() async throws {
    try await withServer { router in
      router.get("/ok") { _, _ in "fine" }
      router.get("/failure") { _, _ -> String in throw Failure(.overloaded, "Too much.") }
      router.get("/param") { _, _ -> String in
        throw Failure(.invalidRequest, "No.", param: "messages")
      }
      router.get("/bug") { _, _ -> String in throw Bug() }
      router.get("/hb") { _, _ -> String in throw HTTPError(.badRequest, message: "Bad.") }
      router.post("/body") { request, _ in
        String(buffer: try await request.body.collect(upTo: 4))
      }
    } _: { port in
      func answer(_ request: String) async throws -> String {
        try await RawClient.connect(port).exchange(request)
      }
      #expect(try await answer(get("/ok")).hasPrefix("HTTP/1.1 200 "))
      let unknown = try await answer(get("/nowhere"))
      #expect(unknown.hasPrefix("HTTP/1.1 404 "))
      #expect(unknown.contains("There is no /nowhere here. There is: POST /body, GET /bug, "))
      let method = try await answer(get("/ok", method: "DELETE"))
      #expect(method.hasPrefix("HTTP/1.1 405 "))
      #expect(method.lowercased().contains("allow: get, head"))
      let failure = try await answer(get("/failure"))
      #expect(failure.hasPrefix("HTTP/1.1 503 "))
      #expect(failure.lowercased().contains("retry-after: 1"))
      #expect(failure.contains("\"code\":\"overloaded\""))
      #expect(try await answer(get("/param")).contains("\"param\":\"messages\""))
      let bug = try await answer(get("/bug"))
      #expect(bug.hasPrefix("HTTP/1.1 500 "))
      #expect(!bug.contains("Bug"))
      let hb = try await answer(get("/hb"))
      #expect(hb.hasPrefix("HTTP/1.1 400 "))
      #expect(hb.contains("{\"error\":{\"message\":\"Bad.\",\"type\":\"invalid_request_error\""))
      let body = try await answer(
        "POST /body HTTP/1.1\r\nhost: t\r\nconnection: close\r\ncontent-length: 5\r\n\r\nabcde")
      #expect(body.hasPrefix("HTTP/1.1 413 "))
      #expect(body.contains("\"code\":\"request_too_large\""))
    }
  }

  private struct Bug: Error {}

  @Test("a request refused before a handler sees it gets a response, and others continue")
  func refusals() async throws {
    try await withServer(
      routes: { $0.get("/ok") { _, _ in "fine" } }, change: { $0.maxBodyBytes = 1_000 }
    ) { port in
      let large = try await RawClient.connect(port).exchange(
        "POST /ok HTTP/1.1\r\nhost: t\r\ncontent-length: 10000000\r\n\r\n")
      #expect(large.hasPrefix("HTTP/1.1 413 "))
      let flood = try await RawClient.connect(port).exchange(
        "GET /ok HTTP/1.1\r\n" + String(repeating: "x: y\r\n", count: 5_000) + "\r\n")
      #expect(flood.hasPrefix("HTTP/1.1 431 "))
      #expect(flood.contains("\"code\":\"headers_too_large\""))
      let garbage = try await RawClient.connect(port).exchange("\u{1}\u{2}\u{3}\r\n\r\n")
      #expect(garbage.hasPrefix("HTTP/1.1 400 "))
      #expect(try await RawClient.connect(port).exchange(get("/ok")).hasSuffix("fine"))
    }
  }

  @Test("an error answers HEAD without a body, so that the next answer is read as it is")
  func headOfErrors() async throws {
    try await withServer { router in
      router.get("/ok") { _, _ in "fine" }
      router.get("/failure") { _, _ -> String in throw Failure(.overloaded, "Too much.") }
      router.post("/body") { _, _ in "fine" }
    } _: { port in
      let heads = ["/nowhere", "/body", "/failure", "/ok"].map {
        "HEAD \($0) HTTP/1.1\r\nhost: t\r\n\r\n"
      }
      let answer = try await RawClient.connect(port).exchange(heads.joined() + get("/ok"))
      let answers = answer.components(separatedBy: "HTTP/1.1 ").dropFirst()
      #expect(answers.map { $0.prefix(3) } == ["404", "405", "503", "200", "200"], "\(answer)")
      let bodies = answers.map { $0.components(separatedBy: "\r\n\r\n").last ?? "?" }
      #expect(bodies == ["", "", "", "", "fine"], "\(answer)")
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

  @Test("a browser that asks before a request is answered for listed pages only")
  func preflight() async throws {
    try await withServer { router in
      router.post("/v1/chat/completions") { _, _ in "fine" }
    } change: { options in
      options.access = HTTPAccess(listen: options.address, origins: ["https://app.example"])
    } _: { port in
      func ask(_ origin: String) async throws -> String {
        try await RawClient.connect(port).exchange(
          "OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            + "origin: \(origin)\r\naccess-control-request-method: POST\r\n"
            + "access-control-request-headers: authorization, x-stainless-os\r\n\r\n"
        ).lowercased()
      }
      let listed = try await ask("https://app.example")
      #expect(listed.hasPrefix("http/1.1 204 "), "\(listed)")
      #expect(listed.contains("access-control-allow-origin: https://app.example\r\n"))
      #expect(listed.contains("access-control-allow-methods: head, options, post\r\n"))
      #expect(listed.contains("access-control-allow-headers: authorization, x-stainless-os\r\n"))
      let other = try await ask("http://localhost:3000")
      #expect(other.hasPrefix("http/1.1 405 ") && !other.contains("access-control"))
      #expect(try await ask("https://evil.example").hasPrefix("http/1.1 403 "))
    }
  }

  @Test("a POST of a foreign page runs no handler, and a POST of a program does")
  func pagePosts() async throws {
    try await withServer { router in
      router.post("/v1/chat/completions") { _, _ in "handler ran" }
    } change: { options in
      options.access = HTTPAccess(listen: options.address)
    } _: { port in
      func post(host: String, _ header: String = "") async throws -> String {
        try await RawClient.connect(port).exchange(
          "POST /v1/chat/completions HTTP/1.1\r\nhost: \(host)\r\nconnection: close\r\n\(header)"
            + "content-type: text/plain\r\ncontent-length: 2\r\n\r\n{}")
      }
      let refused = [
        try await post(host: "127.0.0.1:\(port)", "origin: https://evil.example\r\n"),
        try await post(host: "127.0.0.1:\(port)", "Origin: null\r\n"),
        try await post(host: "evil.example:\(port)"),
        try await post(host: "evil.example:\(port)", "origin: http://evil.example:\(port)\r\n"),
      ]
      for answer in refused {
        #expect(answer.hasPrefix("HTTP/1.1 403 ") && answer.contains("permission_denied"))
        #expect(!answer.contains("handler ran"), "\(answer)")
      }
      for host in ["127.0.0.1:\(port)", "LOCALHOST", "[::1]:\(port)"] {
        let answer = try await post(host: host)
        #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.hasSuffix("handler ran"), "\(answer)")
      }
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
        try await outbound.write(ByteBuffer(string: get("/slow")))
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

  @Test("health, readiness and metrics answer; draining is not ready")
  func health() async throws {
    let health = Health(service: "gateway")
    let ready = Mutex(false)
    health.addCheck("hosts") { ready.withLock { $0 } ? nil : "No host is there." }
    let registry = PrometheusRegistry()
    try await withServer { router in
      health.addRoutes(to: router)
      addMetricsRoute(to: router, { registry.snapshot() })
    } _: { port in
      func answer(_ path: String) async throws -> String {
        try await RawClient.connect(port).exchange(get(path))
      }
      #expect(try await answer("/health").contains("{\"status\":\"ok\",\"service\":\"gateway\""))
      let notReady = try await answer("/ready")
      #expect(notReady.hasPrefix("HTTP/1.1 503 "))
      #expect(notReady.contains("\"reasons\":{\"hosts\":\"No host is there.\"}"))
      #expect(notReady.contains("\"code\":\"not_ready\""))
      ready.withLock { $0 = true }
      #expect(try await answer("/ready").hasPrefix("HTTP/1.1 200 "))
      let metrics = try await answer("/metrics").lowercased()
      #expect(metrics.contains("content-type: text/plain; version=0.0.4"))
      health.beginDrain()
      #expect(try await answer("/ready").hasPrefix("HTTP/1.1 503 "))
      #expect(try await answer("/health").hasPrefix("HTTP/1.1 200 "))
    }
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

extension HTTPField.Name {
  fileprivate static let traced = Self("x-tutti-trace")!
}
