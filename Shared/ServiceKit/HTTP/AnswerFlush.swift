import NIOCore
import NIOHTTP1

/// Decides when the written parts of an answer are sent.
///
/// A short answer of known length is sent as a whole, with one system call. Streams and long
/// answers are sent part by part. No other handler withholds a flush.
///
/// Its place is between the HTTP decoder and `RequestGuard`. A withheld flush is performed when
/// the answer ends or reaches `wholeBytes`, when the channel becomes unwritable, or before the
/// channel closes. Otherwise the writer would wait until the channel is writable, while the parts
/// that it has written would wait for later ones.
final class AnswerFlush: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPServerRequestPart
  typealias InboundOut = HTTPServerRequestPart
  typealias OutboundIn = HTTPServerResponsePart
  typealias OutboundOut = HTTPServerResponsePart

  /// Bytes of an answer's body from which on no part waits for the end: half of what a channel
  /// takes by default.
  static let wholeBytes = 32 << 10

  /// Bytes of an answer's body that wait for its end. `nil` means that parts are sent immediately.
  private var waiting: Int?
  /// Whether a flush was withheld.
  private var isDue = false

  func write(
    context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?
  ) {
    switch unwrapOutboundIn(data) {
    case .head(let head) where head.status.code >= 200:
      waiting = head.headers.contains(name: "content-length") ? 0 : nil
    case .head: break
    case .body(let bytes):
      let count = waiting.map { $0 + bytes.readableBytes } ?? Self.wholeBytes
      waiting = count < Self.wholeBytes ? count : nil
    case .end: waiting = nil
    }
    // No flush is needed here, because the writer asks for one after its last part.
    context.write(data, promise: promise)
  }

  func flush(context: ChannelHandlerContext) {
    guard waiting == nil else {
      isDue = true
      return
    }
    isDue = false
    context.flush()
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    // The writer waits until the channel is writable again, so parts that wait for the end of the
    // answer must be sent first.
    if !context.channel.isWritable { release(context) }
    context.fireChannelWritabilityChanged()
  }

  func close(
    context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?
  ) {
    if mode != .input { release(context) }
    context.close(mode: mode, promise: promise)
  }

  /// Sends the rest of the answer part by part, and performs a flush that was withheld.
  private func release(_ context: ChannelHandlerContext) {
    waiting = nil
    guard isDue else { return }
    isDue = false
    context.flush()
  }
}
