import ClusterModel
public import HTTPTypes
public import Hummingbird
import HummingbirdCore
import Limits
public import Logging
import Metrics
import NIOCore
import NIOHTTP1
import NIOSSL
import Overload
public import OverloadCore
public import ServiceLifecycle
import Synchronization
import Telemetry

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Limits of an HTTP server. Normal clients do not reach them.
public struct HTTPServerOptions: Sendable {
  var address: HostAndPort
  /// Maximum time from a request's first byte, or the start of a new connection, to the end of the
  /// head.
  public var headDeadline: Duration = .seconds(10)
  /// Maximum time from a request's head to the end of its body, plus `bodyDeadlinePerMiB` per MiB.
  public var bodyDeadline: Duration = .seconds(30)
  var bodyDeadlinePerMiB: Duration = .seconds(1)
  /// Maximum time between requests on one connection.
  var idleDeadline: Duration = .seconds(75)
  /// Maximum size of all headers of a request; a larger one gets status 431.
  var maxHeaderBytes = 32 * 1024
  var maxHeaderCount = 100
  /// Maximum size of a body; a larger one gets status 413.
  public var maxBodyBytes = 10 * 1024 * 1024
  /// Limits on connections. At a limit, `ConnectionTable` chooses a connection that is closed.
  public var connections = ConnectionLimits(total: 512)
  /// Paths that are also answered on reserved connections.
  var reservedPaths: Set<String> = ["/health", "/ready", "/metrics"]
  /// Header for the trace id. It is added to each answer that has none, including errors without a
  /// handler (unknown path, body too large). `nil` means that no header is added.
  public var traceHeader: HTTPField.Name?
  /// Accepted host names and web origins while no key is required; `nil` means all.
  var access: HTTPAccess?
  /// Whether requests need a key now.
  var requiresKeys: @Sendable () -> Bool = { false }
  /// Serves HTTPS with this certificate; `nil` means plain HTTP.
  var tls: TLSIdentity?
  /// Whether handlers run on the event loop of their connection, which saves changes of threads. If
  /// so, a handler must never block.
  public var answersOnEventLoops = false
  /// Whether the rest of a body above `Limits.smallBody` stays in the socket until its handler calls
  /// `ClientConnection.readBody()`. Without this call, the request ends at the body's deadline.
  public var holdsBodies = false
  /// Name of the option that sets the port, such as `--port`. The error for a taken port quotes it.
  var setting = "the address"

  /// Makes options that accept all names and pages. Services get their options from
  /// `ServiceContext.serverOptions`.
  init(address: HostAndPort) { self.address = address }
}

/// Makes the server for a router made by `makeRouter`.
///
/// If the client disconnects, the Swift task that answers it is cancelled, whether it runs a handler
/// or the closure that writes a streamed body. `run()` throws a `ProcessFailure` with one sentence if
/// the port is taken. After a graceful shutdown, `run()` returns when all requests in flight are
/// answered.
/// - Parameter onListening: called once with the port.
public func makeHTTPServer(
  router: Router<BasicRequestContext>, options: HTTPServerOptions, logger: Logger,
  onListening: @escaping @Sendable (Int) async -> Void = { _ in }
) -> any Service {
  HTTPServer(
    responder: ServiceResponder(
      router, traceHeader: options.traceHeader, access: options.access), options: options,
    logger: logger,
    onListening: onListening)
}

struct HTTPServer: Service {
  let responder: ServiceResponder
  let options: HTTPServerOptions
  let logger: Logger
  let onListening: @Sendable (Int) async -> Void

  func run() async throws {
    // Suppress Hummingbird's own `info` lines about its lifecycle.
    var quiet = logger
    quiet.logLevel = max(logger.logLevel, .notice)
    let options = options
    let onListening = onListening
    let logger = logger
    let application = Application(
      responder: responder,
      server: HTTPServerBuilder { handler in GuardedHTTP1Channel(options, handler) },
      configuration: ApplicationConfiguration(
        address: .hostname(options.address.host, port: options.address.port),
        // A connection beyond the backlog retries after one second, two seconds, and so on.
        backlog: Limits.waitingConnections.value,
        // Leaves room beyond all limits for connections that are about to be closed.
        availableConnectionsDelegate: MaximumAvailableConnections(
          options.connections.total + 2 * options.connections.reserved)),
      onServerRunning: { channel in
        // Clients take turns only after their connections are accepted. If the option cannot be set,
        // few connections are accepted at a time.
        try? await channel.setOption(
          .maxMessagesPerRead, value: UInt(Limits.acceptedConnections.value)
        ).get()
        let port = channel.localAddress?.port ?? options.address.port
        logger.info(
          "listening for HTTP",
          metadata: [
            LogKey.address: "\(HostAndPort(host: options.address.host, port: port))"
          ])
        await onListening(port)
      },
      logger: quiet)
    do {
      try await application.run()
    } catch let error as IOError {
      throw Self.failure(errorNumber: error.errnoCode, error.description, options)
    }
  }

  static func failure(
    errorNumber: CInt, _ description: String, _ options: HTTPServerOptions
  ) -> ProcessFailure {
    let address = options.address
    switch errorNumber {
    case EADDRINUSE:
      return ProcessFailure(
        .unavailable,
        "Port \(address.port) on \(address.host) is taken: stop what listens there, or choose "
          + "another port with \(options.setting).")
    case EACCES:
      return ProcessFailure(
        .unavailable,
        "Port \(address.port) may not be used by this user: choose one above 1023 with "
          + "\(options.setting).")
    case EADDRNOTAVAIL:
      return ProcessFailure(
        .unavailable,
        "\(address.host) is not an address of this machine: choose another with "
          + "\(options.setting).")
    default:
      return ProcessFailure(
        .unavailable,
        "Cannot listen on \(address): \(description). Choose another with "
          + "\(options.setting).")
    }
  }
}

/// A connection, and a stream that ends when its client has disconnected.
struct GuardedConnection: ServerChildChannelValue {
  let http: HTTP1Channel.Value
  let client: ClientID
  let clientGone: AsyncStream<Void>
  let end: AnswerEnd

  var channel: any Channel { http.channel }
}

/// Hummingbird's HTTP/1.1 channel with a `RequestGuard` in its pipeline.
struct GuardedHTTP1Channel: ServerChildChannel {
  private let base: HTTP1Channel
  private let limits: HTTPRequestLimits
  private let traceHeader: String?
  private let tls: TLSIdentity?
  private let registry: ConnectionRegistry
  private let answersOnEventLoops: Bool
  private let rejections = RateGate()

  init(_ options: HTTPServerOptions, _ handler: @escaping HTTPChannelHandler.Responder) {
    base = HTTP1Channel(
      responder: handler,
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
    answersOnEventLoops = options.answersOnEventLoops
    traceHeader = options.traceHeader?.canonicalName
    tls = options.tls
  }

  /// Prepares a connection before the first byte is read from it. Clients take turns, and existing
  /// connections are served between two new ones, so many new connections do not block the existing
  /// ones.
  func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<GuardedConnection> {
    let client = channel.remoteAddress?.ipAddress.map { ClientID(address: $0) } ?? .local
    let prepared = channel.eventLoop.makePromise(of: GuardedConnection.self)
    prepared.futureResult.whenFailure { _ in channel.close(promise: nil) }
    LoopTurns.connections(of: channel.eventLoop).submit(for: client.turn) {
      // A client that left while its connection waited costs nothing more. A server that has closed
      // meanwhile serves no connection.
      if Self.hasHungUp(channel) || channel.parent?.isActive == false {
        prepared.fail(ChannelError.eof)
      } else {
        prepared.completeWith(self.prepare(channel, client, logger))
      }
    }
    return prepared.futureResult
  }

  private func prepare(
    _ channel: any Channel, _ client: ClientID, _ logger: Logger
  ) -> EventLoopFuture<GuardedConnection> {
    base.setup(channel: channel, logger: logger).flatMapThrowing { http in
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
  /// `false` on other systems than Linux.
  private static func hasHungUp(_ channel: any Channel) -> Bool {
    #if os(Linux)
      // The state is the first byte of `tcp_info`.
      let info = try? channel.syncOptions?.getOption(
        .tcpOption(NIOBSDSocket.Option(rawValue: TCP_INFO)))
      return info.map { UInt8(truncatingIfNeeded: $0) == UInt8(TCP_CLOSE_WAIT) } ?? false
    #else
      return false
    #endif
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

  @concurrent
  func handle(value: GuardedConnection, logger: Logger) async {
    // `nil` means the default executor.
    let executor = answersOnEventLoops ? LoopExecutor(value.channel.eventLoop) : nil
    await withTaskExecutorPreference(executor) { await answer(value, executor, logger) }
  }

  private func answer(
    _ value: GuardedConnection, _ executor: LoopExecutor?, _ logger: Logger
  ) async {
    let base = base
    let connection = ClientConnection(
      client: value.client, end: value.end, channel: value.channel, executor: executor)
    await withTaskGroup(of: Void.self) { group in
      group.addTask {
        await ClientConnection.$current.withValue(connection) {
          await base.handle(value: value.http, logger: logger)
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
