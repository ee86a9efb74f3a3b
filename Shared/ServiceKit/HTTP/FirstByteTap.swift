import NIOCore

/// Reports to the guard that bytes arrived. It precedes the HTTP decoder, which emits nothing until
/// a head is complete.
final class FirstByteTap: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  private let requestGuard: RequestGuard

  init(_ requestGuard: RequestGuard) { self.requestGuard = requestGuard }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    requestGuard.bytesWillArrive()
    context.fireChannelRead(data)
    requestGuard.bytesDidArrive()
  }
}
