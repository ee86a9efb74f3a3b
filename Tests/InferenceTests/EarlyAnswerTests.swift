import ClusterModel
import Inference
import InferenceCore
import Logging
import NIOCore
import NIOPosix
import Testing

/// A host that answers at the first bytes of a request, then closes the connection.
///
/// Servers that need not read the rest of a request answer that early. This response also promises
/// to keep the connection open.
private final class HastyHost: ChannelInboundHandler, Sendable {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}"
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: answer)), promise: nil)
    context.close(promise: nil)
  }
}

@Suite("A host that answers before it has read the request")
struct EarlyAnswerTests {
  @Test("costs an attempt and not the process, however often it hangs up in that moment")
  func hasty() async throws {
    let server = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(HastyHost())
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    let port = try #require(server.localAddress?.port)
    let host = Host(
      id: "hasty", url: "http://127.0.0.1:\(port)", state: .ready, models: [ModelOffer(id: "m")])
    let body = Array(#"{"model":"m","messages":[{"role":"user","content":"Are you there?"}]}"#.utf8)
    var failed = 0
    for round in 0..<150 {
      // Each client is new to the host, so that no breaker blocks the request.
      let client = InferenceClient(
        hosts: { HostTable(epoch: 1, revision: 1, hosts: [host]) }, logger: Logger(label: "test"))
      failed += await withTaskGroup(of: Bool.self) { group in
        for seed in 0..<8 {
          group.addTask {
            do {
              _ = try await client.infer(
                InferenceRequest(
                  endpoint: .chatCompletions, model: "m", body: body, stream: true,
                  trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3))),
                constraints: InferenceConstraints(
                  race: .single, seed: UInt64(round * 8 + seed)))
              return false
            } catch {
              return true
            }
          }
        }
        return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
      }
      try await client.shutdown()
    }
    #expect(failed == 1_200)
    try await server.close()
  }
}
