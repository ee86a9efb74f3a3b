import NIOCore
import NIOPosix
import Synchronization

/// A TCP relay to a database server that can cut connections in the middle of a write.
final class CuttingProxy: Sendable {
  enum Mode: Sendable {
    case pass
    /// A request that inserts documents is lost, and its connection ends.
    case loseInserts
    /// The server gets a request that inserts documents. Its answer is lost, and the connection
    /// ends.
    case loseAnswersOfInserts
  }

  let port: Int
  private let mode: ModeBox
  private let server: any Channel

  /// The present mode, shared with all connections.
  private final class ModeBox: Sendable {
    let value = Mutex(Mode.pass)
  }

  init(to upstream: Int) async throws {
    let mode = ModeBox()
    self.mode = mode
    let group = MultiThreadedEventLoopGroup.singleton
    server = try await ServerBootstrap(group: group)
      .childChannelOption(ChannelOptions.autoRead, value: false)
      .childChannelInitializer { client in
        ClientBootstrap(group: client.eventLoop)
          .connect(host: "127.0.0.1", port: upstream)
          .flatMapThrowing { server in
            let pair = Pair(client: client, server: server) { mode.value.withLock(\.self) }
            try client.pipeline.syncOperations.addHandler(ClientSide(pair))
            try server.pipeline.syncOperations.addHandler(ServerSide(pair))
            client.setOption(ChannelOptions.autoRead, value: true).whenFailure { _ in
              client.close(promise: nil)
            }
          }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    port = server.localAddress?.port ?? 0
  }

  func setMode(_ new: Mode) { mode.value.withLock { $0 = new } }

  func close() async throws { try await server.close() }

  /// Both ends of one connection, on one event loop.
  private final class Pair {
    let client: any Channel
    let server: any Channel
    let mode: () -> Mode
    var losesAnswer = false

    init(client: any Channel, server: any Channel, mode: @escaping () -> Mode) {
      self.client = client
      self.server = server
      self.mode = mode
    }

    func cut() {
      client.close(promise: nil)
      server.close(promise: nil)
    }
  }

  private final class ClientSide: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let pair: Pair

    init(_ pair: Pair) { self.pair = pair }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      let bytes = unwrapInboundIn(data)
      // The first member of a command's document is named after the command.
      let isInsert = bytes.readableBytesView.firstRange(of: Array("insert\0".utf8)) != nil
      switch pair.mode() {
      case .loseInserts where isInsert: return pair.cut()
      case .loseAnswersOfInserts where isInsert: pair.losesAnswer = true
      case .pass, .loseInserts, .loseAnswersOfInserts: break
      }
      pair.server.writeAndFlush(bytes, promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { pair.cut() }
  }

  private final class ServerSide: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let pair: Pair

    init(_ pair: Pair) { self.pair = pair }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      if pair.losesAnswer { return pair.cut() }
      pair.client.writeAndFlush(unwrapInboundIn(data), promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { pair.cut() }
  }
}
