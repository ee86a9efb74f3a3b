import ClusterModel
import ClusterTesting
import Dispatch
import InferenceCore
import Limits
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Overload
import Synchronization
import Testing

@testable import Inference

/// A host that sends a number of events as fast as its client reads.
private final class EagerHost: Sendable {
  let channel: any Channel
  let sent: Sent

  /// Counts the bytes written to the socket.
  final class Sent: Sendable {
    private let count = Mutex(0)
    var bytes: Int { count.withLock { $0 } }
    func add(_ bytes: Int) { count.withLock { $0 += bytes } }
  }

  /// - Parameter events: number of events, 4 KiB each.
  static func started(events: Int) async throws -> EagerHost {
    let sent = Sent()
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline()
          try channel.pipeline.syncOperations.addHandler(Answering(events, sent))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    return EagerHost(channel: channel, sent: sent)
  }

  private init(channel: any Channel, sent: Sent) {
    self.channel = channel
    self.sent = sent
  }

  var host: Host {
    Host(
      id: "h0", url: "http://127.0.0.1:\(channel.localAddress?.port ?? 0)", state: .ready,
      models: [ModelOffer(id: "m")])
  }

  private final class Answering: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private var left: Int
    private let sent: Sent
    private var isAsked = false

    init(_ events: Int, _ sent: Sent) {
      left = events
      self.sent = sent
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      guard case .end = unwrapInboundIn(data) else { return }
      isAsked = true
      let head = HTTPResponseHead(
        version: .http1_1, status: .ok, headers: ["content-type": "text/event-stream"])
      context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
      send(context)
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) { send(context) }

    private func send(_ context: ChannelHandlerContext) {
      while isAsked, context.channel.isWritable {
        guard left > 0 else {
          isAsked = false
          let last = #"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#
          write("\(last)\n\ndata: [DONE]\n\n", context)
          context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
          return
        }
        left -= 1
        let text = String(repeating: "word ", count: 800)
        write(
          #"data: {"choices":[{"index":0,"delta":{"content":"\#(text)"},"finish_reason":null}]}"#
            + "\n\n", context)
      }
    }

    private func write(_ text: String, _ context: ChannelHandlerContext) {
      let buffer = ByteBuffer(string: text)
      let written = context.eventLoop.makePromise(of: Void.self)
      written.futureResult.whenSuccess { [sent] _ in sent.add(buffer.readableBytes) }
      context.writeAndFlush(wrapOutboundOut(.body(.byteBuffer(buffer))), promise: written)
    }
  }
}

private func request(_ body: String = #"{"model":"m","stream":true,"messages":[]}"#)
  -> InferenceRequest
{
  InferenceRequest(
    endpoint: .chatCompletions, model: "m", body: Array(body.utf8), stream: true,
    trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3)))
}

private let constraints = InferenceConstraints(
  race: .single,
  deadlines: Deadlines(firstToken: .seconds(50), interToken: .seconds(50), total: .seconds(100)),
  seed: 1)

@Suite("A client that does not read", .timeLimit(.minutes(5)))
struct BackpressureTests {
  /// Number of events of 4 KiB. They are 20 MB in total, twice the kernel's buffer of a connection.
  private static let events = 5_000

  private func withHost(
    budget: Int = 64 << 20,
    _ body: (InferenceClient, EagerHost, MemoryBudget) async throws -> Void
  ) async throws {
    let host = try await EagerHost.started(events: Self.events)
    let memory = MemoryBudget(budget)
    let client = InferenceClient(
      hosts: { HostTable(epoch: 1, revision: 1, hosts: [host.host]) }, memory: memory,
      logger: Logger(label: "test"))
    do {
      try await body(client, host, memory)
    } catch {
      try await client.shutdown()
      throw error
    }
    try await client.shutdown()
    try await host.channel.close()
  }

  private func untilHeld(_ memory: MemoryBudget) async {
    while memory.held == 0 { await Task.yield() }
  }

  @Test("stops the host, and has the whole answer when it reads on")
  func stopsTheHost() async throws {
    try await withHost { client, host, memory in
      let inference = try await client.infer(request(), constraints: constraints)
      await untilHeld(memory)
      // One turn may complete several chunks beyond the pause threshold.
      #expect(memory.held <= Limits.streamPause.value + 4 * Limits.turnBytes.value)
      var bytes = 0
      var chunks = 0
      for try await event in inference {
        guard case .chunk(let chunk) = event else { continue }
        if chunks == 0 { #expect(host.sent.bytes < 16 << 20) }
        chunks += 1
        bytes += chunk.facts.text.utf8.count
      }
      // A long word is delivered in several parts.
      #expect(chunks > Self.events)
      #expect(bytes == Self.events * 4_000)
    }
  }

  @Test("ends first if the process holds too much, with an error that gives the reason")
  func endsAtTheBudget() async throws {
    try await withHost(budget: 1 << 20) { client, _, memory in
      let inference = try await client.infer(request(), constraints: constraints)
      await untilHeld(memory)
      let work = memory.account()
      #expect(work.add(7 << 17))
      await #expect {
        for try await _ in inference {}
      } throws: { error in
        let failure = error as? Failure
        return failure?.code == .slowReader
          && failure?.message.contains(Limits.processMemory.name) == true
      }
      #expect(client.view().standing(of: "h0")?.errorRate ?? 0 == 0)
    }
  }

  @Test("leaves nothing charged when it goes away")
  func leaves() async throws {
    try await withHost { client, _, memory in
      do {
        let inference = try await client.infer(request(), constraints: constraints)
        await untilHeld(memory)
        _ = inference
      }
      while memory.held > 0 || !client.inFlight.isEmpty { await Task.yield() }
    }
  }
}

@Suite("Large requests and answers", .timeLimit(.minutes(5)))
struct HeavyWorkTests {
  /// Occupies the heavy-work thread until released.
  private final class Obstacle: Sendable {
    private let semaphore = DispatchSemaphore(value: 0)
    init(_ work: HeavyWork) {
      let isTaken = work.submit(for: 1) { [semaphore] in semaphore.wait() }
      #expect(isTaken)
    }
    func release() { semaphore.signal() }
  }

  private func withEmbeddings(
    _ body: (InferenceClient, HeavyWork, InferenceRequest) async throws -> Void
  ) async throws {
    let host = try await FaultyHost.started(.init(answer: .text("x")))
    let work = HeavyWork()
    let line = host.host("h0")
    let client = InferenceClient(
      hosts: { HostTable(epoch: 1, revision: 1, hosts: [line]) }, heavyWork: work,
      logger: Logger(label: "test"))
    let text = String(repeating: "word ", count: 30_000)
    let request = InferenceRequest(
      endpoint: .embeddings, model: "faulty-model",
      body: Array(#"{"model":"x","input":"\#(text)"}"#.utf8), stream: false,
      trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3)))
    try await body(client, work, request)
    for _ in 0..<100_000 where !client.inFlight.isEmpty { await Task.yield() }
    try await client.shutdown()
    try await host.stop()
  }

  @Test("clients take turns on the thread, whatever one of them has waiting")
  func turns() async {
    let work = HeavyWork()
    let obstacle = Obstacle(work)
    let order = Mutex<[Int]>([])
    for _ in 0..<3 {
      let isTaken = work.submit(for: 2) { order.withLock { $0.append(2) } }
      #expect(isTaken)
    }
    await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
      let isTaken = work.submit(for: 3) { order.withLock { $0.append(3) } }
      #expect(isTaken)
      _ = work.submit(for: 2) { done.resume() }
      obstacle.release()
    }
    #expect(order.withLock { $0 } == [2, 3, 2, 2])
  }

  @Test("a client that leaves does not wait for the thread that reads its answer")
  func leaving() async throws {
    try await withEmbeddings { client, work, request in
      let obstacle = Obstacle(work)
      let pending = client.start(request, constraints: constraints)
      pending.cancel()
      await #expect {
        _ = try await pending.inference()
      } throws: { ($0 as? Failure)?.code == .cancelled }
      obstacle.release()
    }
  }

  @Test("the deadline of an answer fires while the thread is busy")
  func deadline() async throws {
    try await withEmbeddings { client, work, request in
      let obstacle = Obstacle(work)
      await #expect {
        _ = try await client.infer(
          request,
          constraints: InferenceConstraints(
            race: .single,
            deadlines: Deadlines(
              firstToken: .seconds(50), interToken: .seconds(50), total: .milliseconds(200)),
            seed: 1))
      } throws: { ($0 as? Failure)?.code == .deadlineExceeded }
      obstacle.release()
    }
  }

  @Test("a large request is answered as a small one is")
  func answered() async throws {
    try await withEmbeddings { client, _, request in
      var body: [UInt8] = []
      for try await event in try await client.infer(request, constraints: constraints) {
        if case .body(let bytes) = event { body = bytes }
      }
      #expect(!body.isEmpty)
    }
  }
}
