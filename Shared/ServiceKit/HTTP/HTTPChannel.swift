import ClusterModel
import HTTPTypes
import Hummingbird
import HummingbirdCore
import Limits
import Logging
import Metrics
import NIOCore
import NIOHTTP1
import NIOSSL
import Overload
import OverloadCore
import Synchronization
import Telemetry

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A connection, and a stream that ends when its client has disconnected.
struct GuardedConnection: Sendable {
  let http: HTTP1Channel.Value
  let client: ClientID
  let clientGone: AsyncStream<Void>
  let end: AnswerEnd

  var channel: any Channel { http.channel }
}

/// Hummingbird's HTTP/1.1 channel with a `RequestGuard` in its pipeline.
struct HTTPChannel: Sendable {
  private let base: HTTP1Channel
  private let limits: HTTPRequestLimits
  private let traceHeader: String?
  private let tls: TLSIdentity?
  private let registry: ConnectionRegistry
  private let logger: Logger
  /// The logger of Hummingbird, without its lines about connections.
  private let quiet: Logger
  private let rejections = RateGate()

  init(_ options: HTTPServerOptions, _ responder: ServiceResponder, _ logger: Logger) {
    var quiet = logger
    quiet.logLevel = max(logger.logLevel, .notice)
    self.quiet = quiet
    self.logger = logger
    let date = DateHeader()
    base = HTTP1Channel(
      responder: { [quiet] request, writer, channel in
        let context = BasicRequestContext(
          source: ApplicationRequestContextSource(channel: channel, logger: quiet))
        var response = try await responder.respond(to: request, context: context)
        response.headers[.date] = date.value
        do {
          try await writer.write(response: response.head, body: response.body)
        } catch is HTTPParserError {
          // For this error, Hummingbird would write a second response.
          throw ChannelError.eof
        }
      },
      configuration: HTTP1Channel.Configuration(
        httpDecoderConfiguration: HTTP1Channel.Configuration.DecoderConfiguration(
          maxHeaderFieldSize: options.maxHeaderBytes, maxHeaderListSize: options.maxHeaderBytes,
          maxHeaderFieldCount: options.maxHeaderCount)))
    limits = HTTPRequestLimits(
      head: TimeAmount(options.headDeadline), body: TimeAmount(options.bodyDeadline),
      bodyPerMiB: TimeAmount(options.bodyDeadlinePerMiB), idle: TimeAmount(options.idleDeadline),
      maxBodyBytes: options.maxBodyBytes, holdsBodies: options.holdsBodies,
      reservedPaths: options.reservedPaths, access: options.access,
      requiresKeys: options.requiresKeys)
    registry = ConnectionRegistry(options.connections)
    traceHeader = options.traceHeader?.canonicalName
    tls = options.tls
  }

  /// Prepares a connection before the first byte is read from it.
  func prepare(
    _ channel: any Channel, of client: ClientID
  ) -> EventLoopFuture<GuardedConnection> {
    base.setup(channel: channel, logger: quiet).flatMapThrowing { http in
      let (clientGone, signal) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
      let place = registry.open(channel, of: client)
      let end = AnswerEnd()
      let requestGuard = RequestGuard(
        limits: limits, place: place, traceHeader: traceHeader,
        rejected: { code, trace in
          if let skipped = rejections.pass() {
            logger.debug(
              "refused a request",
              metadata: [
                LogKey.code: "\(code)", LogKey.trace: "\(trace?.description ?? "-")",
                "skipped": "\(skipped)",
              ])
          }
          Counter(label: "tutti_http_rejected_total", dimensions: [("reason", code.rawValue)])
            .increment()
        },
        clientGone: { signal.finish() }, hasHungUp: { Self.hasHungUp(channel) },
        workAfterAnswer: end.takeWork,
        closesAfterAnswer: { end.closesConnection.load(ordering: .relaxed) })
      try Self.limitBuffers(of: channel)
      let pipeline = channel.pipeline.syncOperations
      let decoder = try pipeline.handler(type: ByteToMessageHandler<HTTPRequestDecoder>.self)
      try pipeline.addHandlers(
        [AnswerFlush(), requestGuard] as [any ChannelHandler], position: .after(decoder))
      try pipeline.addHandler(FirstByteTap(requestGuard), position: .first)
      try addTLS(to: pipeline)
      return GuardedConnection(
        http: http, client: place.client, clientGone: clientGone, end: end)
    }
  }

  /// Limits the read size, which keeps turns of the event loop short. Limits the kernel's send
  /// buffer, which would grow to megabytes for a client that does not read.
  private static func limitBuffers(of channel: any Channel) throws {
    guard let options = channel.syncOptions else { return }
    try options.setOption(.maxMessagesPerRead, value: 1)
    try options.setOption(
      .recvAllocator,
      value: AdaptiveRecvByteBufferAllocator(
        minimum: 1 << 10, initial: 2 << 10, maximum: Limits.readBytes.value))
    // A kernel without this option only buffers more.
    try? options.setOption(
      .tcpOption(NIOBSDSocket.Option(rawValue: TCP_NOTSENT_LOWAT)),
      value: ChannelOptions.Types.SocketOption.Value(Limits.streamPause.value))
  }

  /// Whether the client has closed its side, even if the close has not been read yet. Always
  /// `false` on other systems than Linux, and for a channel without a socket.
  private static func hasHungUp(_ channel: any Channel) -> Bool {
    let hasLeft = try? channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(
      of: NIOBSDSocket.Handle.self
    ) { Listener.hasLeft($0) }
    return hasLeft ?? false
  }

  /// Adds TLS first in the pipeline, so that the guard sees only decrypted bytes.
  private func addTLS(to pipeline: ChannelPipeline.SynchronousOperations) throws {
    guard let tls else { return }
    let handshake = TLSHandshakeGuard(
      deadline: .milliseconds(Int64(Limits.tlsHandshake.value)),
      failed: {
        Counter(label: "tutti_http_rejected_total", dimensions: [("reason", "tls_handshake")])
          .increment()
      })
    try pipeline.addHandler(handshake, position: .first)
    try pipeline.addHandler(NIOSSLServerHandler(context: tls.context(at: .now())), position: .first)
  }

  /// Asks connections without a request to close, and others to close after their last answer.
  func quiesce() { registry.quiesce() }

  /// Answers a connection's requests until it closes.
  /// - Parameter executor: runs the handlers; `nil` means the default executor.
  @concurrent
  func answer(_ value: GuardedConnection, on executor: LoopExecutor?) async {
    let connection = ClientConnection(
      client: value.client, end: value.end, channel: value.channel, executor: executor)
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        await ClientConnection.$current.withValue(connection) {
          await base.handle(value: value.http, logger: quiet)
        }
      }
      group.addTask { for await _ in value.clientGone {} }
      // The group ends with its first Swift task, because either the connection has closed or the
      // client has disconnected.
      await group.next()
      group.cancelAll()
    }
  }
}
