import ClusterModel
public import HTTPTypes
public import Hummingbird
import HummingbirdCore
import Limits
public import Logging
import Metrics
import NIOCore
import NIOHTTP1
import NIOPosix
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
  /// Limits on connections. At a limit, `ConnectionTable` chooses a connection to close.
  public var connections = ConnectionLimits(total: 512)
  /// Paths that are also answered on reserved connections.
  var reservedPaths: Set<String> = ["/health", "/ready", "/metrics"]
  /// Header for the trace id. It is added to each answer that has none, including errors without a
  /// handler (unknown path, body too large). `nil` means that no header is added.
  public var traceHeader: HTTPField.Name?
  /// Whether each request is logged, except those of `reservedPaths`.
  var logsRequests = false
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
  /// Name of the option that sets the address, such as `--port`. Errors about the address quote it.
  var setting = "the address"

  /// Makes options that accept all names and pages. Services get their options from
  /// `ServiceContext.serverOptions`.
  init(address: HostAndPort) { self.address = address }
}

/// Makes the server for a router made by `makeRouter`.
///
/// If the client disconnects, the Swift task that answers it is cancelled, whether it runs a
/// handler or the closure that writes a streamed body. `run()` throws a `ProcessFailure` with one
/// sentence if it cannot listen at the address. After a graceful shutdown, `run()` returns when all
/// requests in flight are answered.
/// - Parameter onListening: called once with the port.
public func makeHTTPServer(
  router: Router<BasicRequestContext>, options: HTTPServerOptions, logger: Logger,
  onListening: @escaping @Sendable (Int) async -> Void = { _ in }
) -> any Service {
  let responder = ServiceResponder(
    router, traceHeader: options.traceHeader, access: options.access,
    accessLog: options.logsRequests
      ? AccessLog(logger: logger, quietPaths: options.reservedPaths) : nil)
  return HTTPServer(
    channel: HTTPChannel(options, responder, logger), options: options, logger: logger,
    onListening: onListening)
}

struct HTTPServer: Service {
  let channel: HTTPChannel
  let options: HTTPServerOptions
  let logger: Logger
  let onListening: @Sendable (Int) async -> Void

  func run() async throws {
    let address = options.address
    let listener: Listener
    do {
      listener = try Listener(host: address.host, port: address.port)
    } catch let error as IOError {
      throw Self.failure(errorNumber: error.errnoCode, error.description, options)
    } catch is SocketAddressError.UnknownHost, is SocketAddressError {
      throw ProcessFailure(
        .unavailable,
        "\(address.host) has no network address: choose another with \(options.setting).")
    }
    let loops = MultiThreadedEventLoopGroup.singleton.makeIterator().map {
      ConnectionLoop($0, answersOnEventLoop: options.answersOnEventLoops)
    }
    // Leaves room beyond all limits for connections that are about to be closed.
    let limit = options.connections.total + 2 * options.connections.reserved
    let turn = Atomic(0)
    let failures = RateGate(every: .seconds(10))
    listener.start(limit: limit) { accepted in
      for connection in accepted {
        let next = turn.wrappingAdd(1, ordering: .relaxed).oldValue % loops.count
        loops[next].begin(connection, of: listener, in: channel)
      }
    } failed: { error in
      guard failures.pass() != nil else { return }
      logger.report(.connectionsNotAccepted, metadata: [LogKey.error: "\(error.description)"])
    } ended: {
      for loop in loops { loop.arrival.finish() }
    }
    logger.info(
      "listening for HTTP",
      metadata: [LogKey.address: "\(HostAndPort(host: address.host, port: listener.port))"])
    await onListening(listener.port)
    await withTaskCancellationHandler {
      await withGracefulShutdownHandler {
        await withDiscardingTaskGroup { group in
          for loop in loops {
            group.addTask(executorPreference: loop.executor) { await loop.answer(in: channel) }
          }
        }
      } onGracefulShutdown: {
        listener.stop()
        channel.quiesce()
      }
    } onCancel: {
      listener.stop()
    }
    listener.stop()
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
