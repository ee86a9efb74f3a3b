import ClusterModel
import Foundation
import HTTPTypes
import Hummingbird
import NIOCore
import NIOPosix
import OverloadCore
import Synchronization
import Telemetry
import Testing

@testable import ServiceKit

/// Checks requests and answers. HTTPConnectionTests.swift checks what happens to connections.
@Suite("HTTP server", .timeLimit(.minutes(5)))
struct HTTPServerTests {
  @Test(
    "a server that promises a trace in every answer has one also where no handler was asked",
    arguments: [
      (rawRequest("/nowhere"), 404), (rawRequest("/ok", method: "DELETE"), 405),
      (rawRequest("/ok"), 200),
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

  @Test("a handler knows which client it answers")
  func client() async throws {
    try await withServer { router in
      router.get("/who") { _, _ in
        ClientConnection.current?.client == .local ? "this machine" : "unknown"
      }
    } _: { port in
      let answer = try await RawClient.connect(port).exchange(rawRequest("/who"))
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
        let answer = try await RawClient.connect(port).exchange(rawRequest(path))
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
      let answer = try await RawClient.connect(port).exchange(rawRequest("/ok"))
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
      #expect(try await answer(rawRequest("/ok")).hasPrefix("HTTP/1.1 200 "))
      let unknown = try await answer(rawRequest("/nowhere"))
      #expect(unknown.hasPrefix("HTTP/1.1 404 "))
      #expect(unknown.contains("There is no /nowhere here. There is: POST /body, GET /bug, "))
      let method = try await answer(rawRequest("/ok", method: "DELETE"))
      #expect(method.hasPrefix("HTTP/1.1 405 "))
      #expect(method.lowercased().contains("allow: get, head"))
      let failure = try await answer(rawRequest("/failure"))
      #expect(failure.hasPrefix("HTTP/1.1 503 "))
      #expect(failure.lowercased().contains("retry-after: 1"))
      #expect(failure.contains("\"code\":\"overloaded\""))
      #expect(try await answer(rawRequest("/param")).contains("\"param\":\"messages\""))
      let bug = try await answer(rawRequest("/bug"))
      #expect(bug.hasPrefix("HTTP/1.1 500 "))
      #expect(!bug.contains("Bug"))
      let hb = try await answer(rawRequest("/hb"))
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
      #expect(try await RawClient.connect(port).exchange(rawRequest("/ok")).hasSuffix("fine"))
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
      let answer = try await RawClient.connect(port).exchange(heads.joined() + rawRequest("/ok"))
      let answers = answer.components(separatedBy: "HTTP/1.1 ").dropFirst()
      #expect(answers.map { $0.prefix(3) } == ["404", "405", "503", "200", "200"], "\(answer)")
      let bodies = answers.map { $0.components(separatedBy: "\r\n\r\n").last ?? "?" }
      #expect(bodies == ["", "", "", "", "fine"], "\(answer)")
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
        try await RawClient.connect(port).exchange(rawRequest(path))
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
}

extension HTTPField.Name {
  fileprivate static let traced = Self("x-tutti-trace")!
}
