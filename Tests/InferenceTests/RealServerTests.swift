import ClusterModel
import ContentCoding
import Inference
import InferenceCore
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization
import Testing

/// A server whose responses a test writes byte by byte.
private struct ScriptedServer {
  /// Called for each request with its head, its number and a reply.
  typealias Script = @Sendable (HTTPRequestHead, Int, Reply) -> Void

  /// Response to one request: sends bytes, or closes the connection.
  struct Reply: Sendable {
    /// Number of earlier requests on this connection.
    let earlier: Int
    let send: @Sendable (HTTPResponseStatus, HTTPHeaders, [[UInt8]]) -> Void
    /// Closes the connection without an answer.
    let hangUp: @Sendable () -> Void
  }

  private final class Handler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let script: Script
    private let count: @Sendable () -> Int
    private var head: HTTPRequestHead?
    private var earlier = 0

    init(_ script: @escaping Script, _ count: @escaping @Sendable () -> Int) {
      self.script = script
      self.count = count
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch unwrapInboundIn(data) {
      case .head(let head): self.head = head
      case .body: break
      case .end:
        guard let head else { return }
        let channel = context.channel
        let reply = Reply(
          earlier: earlier,
          send: { status, headers, pieces in
            channel.write(
              HTTPServerResponsePart.head(
                HTTPResponseHead(version: .http1_1, status: status, headers: headers)), promise: nil
            )
            for piece in pieces {
              channel.writeAndFlush(
                HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: piece))), promise: nil)
            }
            channel.writeAndFlush(HTTPServerResponsePart.end(nil), promise: nil)
          }, hangUp: { channel.close(promise: nil) })
        earlier += 1
        script(head, count(), reply)
      }
    }
  }

  let channel: any Channel
  let host: Host

  static func started(_ script: @escaping Script) async throws -> ScriptedServer {
    let shared = Shared()
    let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline()
          try channel.pipeline.syncOperations.addHandler(Handler(script) { shared.next() })
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let port = try #require(channel.localAddress?.port)
    return ScriptedServer(
      channel: channel,
      host: Host(
        id: "h", url: "http://127.0.0.1:\(port)", state: .ready, models: [ModelOffer(id: "m")]))
  }

  private final class Shared: Sendable {
    private let number = Mutex(0)

    func next() -> Int {
      number.withLock { number in
        defer { number += 1 }
        return number
      }
    }
  }

  func client() -> InferenceClient {
    let host = host
    return InferenceClient(
      hosts: { HostTable(epoch: 1, revision: 1, hosts: [host]) }, logger: Logger(label: "test"))
  }
}

/// An answer as the client receives it.
private struct Told {
  var text = ""
  var attempts = 0
  var headers: [PassedHeader] = []
  var failure: Failure?

  static func ask(_ client: InferenceClient, stream: Bool = true) async -> Told {
    var told = Told()
    let body = #"{"model":"m","stream":\#(stream),"messages":[{"role":"user","content":"q"}]}"#
    do throws(Failure) {
      let inference = try await client.infer(
        InferenceRequest(
          endpoint: .chatCompletions, model: "m", body: Array(body.utf8), stream: stream,
          trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3))),
        constraints: InferenceConstraints(race: .single, seed: 1))
      told.headers = inference.headers
      for try await event in inference {
        switch event {
        case .chunk(let chunk): told.text += chunk.facts.text
        case .body(let body): told.text += String(decoding: body, as: UTF8.self)
        case .resumed: break
        case .finished(let summary): told.attempts = summary.attempts.count
        }
      }
    } catch {
      told.failure = error
    }
    return told
  }
}

@Suite("Servers as they really are", .timeLimit(.minutes(2)))
struct RealServerTests {
  @Test("a compressed stream is read, in pieces of any size, although none was asked for")
  func compressedStream() async throws {
    for (coding, base64) in BodyDecoderTests.stream {
      let body = BodyDecoderTests.bytes(base64)
      let shared = Asked()
      let server = try await ScriptedServer.started { head, _, reply in
        shared.add(head.headers["accept-encoding"])
        reply.send(
          .ok, ["content-type": "text/event-stream", "content-encoding": coding.rawValue],
          [Array(body.prefix(20)), Array(body.dropFirst(20))])
      }
      let client = server.client()
      let told = await Told.ask(client)
      #expect(told.text == "Hello world" && told.failure == nil, "\(coding): \(told)")
      #expect(shared.all == ["identity"])
      try await client.shutdown()
      try await server.channel.close()
    }
  }

  private final class Asked: Sendable {
    private let values = Mutex<[String]>([])
    func add(_ more: [String]) { values.withLock { $0 += more } }
    var all: [String] { values.withLock { $0 } }
  }

  @Test("an error that is compressed keeps its words, and one in an unknown coding its status")
  func compressedError() async throws {
    // The bytes are {"error":{"message":"too many tokens"}}.
    let gzip = BodyDecoderTests.bytes(
      "H4sIAAAAAAACA6tWSi0qyi9SsqpWyk0tLk5MT1WyUirJz1fITcyrVCjJz07NK1aqrQUAgolcsScAAAA=")
    for (coding, body, words) in [("gzip", gzip, "too many tokens"), ("br", [1, 2, 3], "400")] {
      let server = try await ScriptedServer.started { _, _, reply in
        reply.send(.badRequest, ["content-encoding": coding], [body])
      }
      let client = server.client()
      let told = await Told.ask(client)
      #expect(told.failure?.message.contains(words) == true, "\(told)")
      try await client.shutdown()
      try await server.channel.close()
    }
  }

  @Test("an answer in an unknown coding, or damaged, fails with a cause")
  func unreadable() async throws {
    let server = try await ScriptedServer.started { _, _, reply in
      reply.send(.ok, ["content-encoding": "br"], [[1, 2, 3]])
    }
    let client = server.client()
    let told = await Told.ask(client)
    #expect(told.failure?.message.contains("compressed as br") == true, "\(told)")
    try await client.shutdown()
    try await server.channel.close()
  }

  @Test("the host's headers about the request reach the client, and no others do")
  func headers() async throws {
    let server = try await ScriptedServer.started { _, _, reply in
      reply.send(
        .ok,
        [
          "content-type": "text/event-stream", "X-Request-ID": "r1", "openai-processing-ms": "7",
          "x-ratelimit-remaining-requests": "3", "set-cookie": "a=b", "server": "x",
          "openai-organization": String(repeating: "x", count: 300),
        ], [Array(BodyDecoderTests.text.utf8)])
    }
    let client = server.client()
    let told = await Told.ask(client)
    #expect(
      told.headers.map { "\($0.name): \($0.value)" }.sorted() == [
        "openai-processing-ms: 7", "x-ratelimit-remaining-requests: 3", "x-request-id: r1",
      ])
    try await client.shutdown()
    try await server.channel.close()
  }

  @Test("the host's headers of an error reach the client with the error")
  func headersOfErrors() async throws {
    let server = try await ScriptedServer.started { _, _, reply in
      reply.send(
        .tooManyRequests,
        [
          "content-type": "application/json", "x-request-id": "r2",
          "x-ratelimit-reset-requests": "1s", "set-cookie": "a=b",
        ], [Array(#"{"error":{"message":"slow","code":"c"}}"#.utf8)])
    }
    let client = server.client()
    let told = await Told.ask(client)
    #expect(told.failure?.refusal?.status == 429)
    #expect(
      told.failure?.refusal?.headers.map { "\($0.name): \($0.value)" }.sorted() == [
        "x-ratelimit-reset-requests: 1s", "x-request-id: r2",
      ])
    try await client.shutdown()
    try await server.channel.close()
  }

  @Test("kept connections that a host has closed cost no request, however many they are")
  func deadConnections() async throws {
    let together = 6
    let held = Held(together)
    let server = try await ScriptedServer.started { _, number, reply in
      let answer: @Sendable () -> Void = {
        reply.send(
          .ok, ["content-type": "text/event-stream"], [Array(BodyDecoderTests.text.utf8)])
      }
      // The first answers are held until each request has a connection of its own. The server hangs
      // up when one of these connections is used again.
      if number < together {
        held.add(answer)
      } else if reply.earlier > 0 {
        reply.hangUp()
      } else {
        answer()
      }
    }
    let client = server.client()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<together {
        group.addTask { #expect(await Told.ask(client).failure == nil) }
      }
    }
    for _ in 0..<together {
      let told = await Told.ask(client)
      #expect(told.failure == nil && told.text == "Hello world" && told.attempts == 1, "\(told)")
    }
    try await client.shutdown()
    try await server.channel.close()
  }

  /// Holds answers back until `enough` have been added.
  private final class Held: Sendable {
    private let answers = Mutex<[@Sendable () -> Void]>([])
    private let enough: Int
    init(_ enough: Int) { self.enough = enough }

    func add(_ answer: @escaping @Sendable () -> Void) {
      let all = answers.withLock { answers in
        answers.append(answer)
        return answers.count == enough ? answers : []
      }
      for answer in all { answer() }
    }
  }
}
