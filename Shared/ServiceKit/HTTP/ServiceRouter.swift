import ClusterModel
public import Hummingbird
import HTTPTypes
import HummingbirdCore
import Logging
import Metrics
import NIOCore
import NIOHTTP1
import Telemetry

/// Makes a router that returns all errors in the OpenAI shape: unknown paths, wrong methods, thrown
/// `Failure`s, invalid or too large bodies, and bugs. It also counts requests by route and status.
///
/// `makeHTTPServer` adds the list of known routes to the error for an unknown path.
public func makeRouter() -> Router<BasicRequestContext> {
  let router = Router(context: BasicRequestContext.self, options: [.autoGenerateHeadEndpoints])
  router.add(middleware: ErrorShape())
  return router
}

/// One path and method that a server answers.
struct KnownRoute: Hashable, Sendable {
  var method: String
  var path: String
}

extension Router {
  /// Routes sorted by path, without the HEAD route that each GET implies.
  var knownRoutes: [KnownRoute] {
    routes.filter { $0.method != .head }
      .map { KnownRoute(method: $0.method.rawValue, path: $0.path.description) }
      .sorted { ($0.path, $0.method) < ($1.path, $1.method) }
  }
}

/// The error for a request without a matching route.
enum RouteMiss {
  case unknownPath(Failure)
  case wrongMethod(Failure, allow: String)

  init(method: String, path: String, routes: [KnownRoute]) {
    // The client chooses the path, so its length is limited.
    let shown = path.utf8.count > 200 ? path.cut(toBytes: 200) + "…" : path
    let here = routes.filter { Self.matches($0.path, path) }.map(\.method)
    if here.isEmpty {
      let known = routes.map { "\($0.method) \($0.path)" }.uniqued.joined(separator: ", ")
      self = .unknownPath(
        Failure(.unknownPath, "There is no \(shown) here. There is: \(known)."))
    } else {
      let allow = (here + (here.contains("GET") ? ["HEAD"] : [])).uniqued.joined(separator: ", ")
      self = .wrongMethod(
        Failure(.methodNotAllowed, "\(shown) does not take \(method), only \(allow)."),
        allow: allow)
    }
  }

  /// Whether a path matches a pattern such as `/v1/models/{id}` or `/v1/models/:id`, `*` or `**`.
  static func matches(_ pattern: String, _ path: String) -> Bool {
    var rest = path.split(separator: "/")[...]
    for part in pattern.split(separator: "/") {
      if part == "**" || part.hasPrefix("{**") || part.hasPrefix(":**") { return true }
      guard let segment = rest.popFirst() else { return false }
      let isWild = part.hasPrefix("{") || part.hasPrefix(":") || part == "*"
      guard isWild || part == segment else { return false }
    }
    return rest.isEmpty
  }
}

/// Converts errors of handlers to the OpenAI error shape, except those of broken connections.
struct ErrorShape: RouterMiddleware {
  typealias Context = BasicRequestContext

  @concurrent
  func handle(
    _ request: Request, context: BasicRequestContext,
    next: @concurrent (Request, BasicRequestContext) async throws -> Response
  ) async throws -> Response {
    let start = ContinuousClock.now
    let response: Response
    do {
      response = try await next(request, context)
    } catch let error as HTTPParserError {
      // The connection is broken; the server closes it.
      throw error
    } catch {
      response = answer(to: error, request, context)
    }
    // Only known routes become labels, so that a client cannot create metric series.
    let path = context.endpointPath ?? "none"
    let labels = [("route", path), ("status", String(response.status.code))]
    Counter(label: "tutti_http_requests_total", dimensions: labels).increment()
    Metrics.Timer(label: "tutti_http_request_seconds", dimensions: [("route", path)])
      .record(duration: start.duration(to: .now))
    return response
  }

  private func answer(
    to error: any Error, _ request: Request, _ context: BasicRequestContext
  ) -> Response {
    switch error {
    case let failure as Failure: return jsonError(failure)
    case let error as HTTPError: return answer(to: error, request, context)
    case is NIOTooManyBytesError:
      return jsonError(Failure(.requestTooLarge, "The request's body is too large."))
    case is CancellationError:
      return jsonError(Failure(.cancelled, "The request was cancelled before it was answered."))
    case let error as DecodingError:
      return jsonError(Failure(.invalidRequest, Self.sentence(error)))
    default:
      context.logger.report(
        .requestFailed,
        metadata: [
          LogKey.method: "\(request.method)", LogKey.path: "\(request.uri.path)",
          LogKey.error: "\(error)",
        ])
      return jsonError(
        Failure(.internalError, "The request failed; the reason is in this service's log."))
    }
  }

  private func answer(
    to error: HTTPError, _ request: Request, _ context: BasicRequestContext
  ) -> Response {
    let body: ErrorBody
    let message = error.body ?? "\(error.status.reasonPhrase)."
    switch error.status.code {
    case 413: body = ErrorBody(Failure(.requestTooLarge, error.body ?? "The body is too large."))
    case 400..<500:
      body = ErrorBody(
        message: message, type: "invalid_request_error", code: "invalid_request_error")
    default: body = ErrorBody(message: message, type: "server_error", code: "internal_error")
    }
    var headers = error.headers
    headers[.contentType] = "application/json"
    return Response(
      status: error.status, headers: headers,
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: body.json)))
  }

  private static func sentence(_ error: DecodingError) -> String {
    func at(_ context: DecodingError.Context) -> String {
      let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
      return path.isEmpty ? "" : " at \(path.joined(separator: "."))"
    }
    switch error {
    case .keyNotFound(let key, let context):
      return "The body has no \"\(key.stringValue)\"\(at(context))."
    case .typeMismatch(_, let context), .valueNotFound(_, let context):
      return "The body has the wrong type of value\(at(context))."
    case .dataCorrupted(let context):
      return context.codingPath.isEmpty
        ? "The body is not valid JSON." : "The body has a value\(at(context)) that is not allowed."
    @unknown default: return "The body is not what was expected."
    }
  }
}

/// A router's responder that lists the known routes if none matches.
struct ServiceResponder: HTTPResponder {
  typealias Context = BasicRequestContext

  private let base: RouterResponder<BasicRequestContext>
  private let routes: [KnownRoute]
  private let traceHeader: HTTPField.Name?
  private let access: HTTPAccess?
  private let accessLog: AccessLog?

  /// - Parameter accessLog: `nil` means that requests are not logged.
  init(
    _ router: Router<BasicRequestContext>, traceHeader: HTTPField.Name? = nil,
    access: HTTPAccess? = nil, accessLog: AccessLog? = nil
  ) {
    self.access = access
    self.accessLog = accessLog
    routes = router.knownRoutes
    base = router.buildResponder()
    self.traceHeader = traceHeader
  }

  @concurrent
  func respond(to request: Request, context: BasicRequestContext) async throws -> Response {
    if let preflight = preflight(request) { return preflight }
    let entry = accessLog?.begin(request)
    var response = try await answer(to: request, context)
    if let traceHeader, response.headers[traceHeader] == nil {
      response.headers[traceHeader] = TraceContext.fresh().trace.description
    }
    // An answer to HEAD has no body, even if it is an error: on a persistent connection the client
    // would read a body as the start of the next answer. The head still contains the body's length.
    if request.method == .head { response = response.createHeadResponse() }
    return entry?.following(response, trace: traceHeader) ?? response
  }

  /// Answers a CORS preflight request, only for pages that may read the answer. The connection's
  /// guard adds the page's origin.
  private func preflight(_ request: Request) -> Response? {
    guard request.method == .options, let origin = request.headers[.origin],
      request.headers[.accessControlRequestMethod] != nil, access?.readableOrigin(origin) != nil
    else { return nil }
    let methods = Set(routes.map { $0.method.uppercased() }).union(["HEAD", "OPTIONS"]).sorted()
    var headers: HTTPFields = [
      .accessControlAllowMethods: methods.joined(separator: ", "),
      // One day. Some browsers have shorter limits of their own.
      .accessControlMaxAge: "86400",
    ]
    if let asked = request.headers[.accessControlRequestHeaders] {
      headers[.accessControlAllowHeaders] = asked
    }
    if request.headers[Self.privateNetworkAsked] == "true" {
      headers[Self.privateNetworkAllowed] = "true"
    }
    return Response(status: .noContent, headers: headers)
  }

  /// Header that pages on the internet send if they call a server on this machine or a private
  /// network.
  private static let privateNetworkAsked = HTTPField.Name(
    "access-control-request-private-network")!
  private static let privateNetworkAllowed = HTTPField.Name(
    "access-control-allow-private-network")!

  @concurrent
  private func answer(
    to request: Request, _ context: BasicRequestContext
  ) async throws -> Response {
    let response = try await base.respond(to: request, context: context)
    // `NotFound` is Hummingbird's path for "no route matches". If a handler returns 404 itself, the
    // path is that of its route.
    guard response.status == .notFound, context.endpointPath == "NotFound" else { return response }
    let miss = RouteMiss(
      method: request.method.rawValue, path: request.uri.path, routes: routes)
    switch miss {
    case .unknownPath(let failure): return jsonError(failure)
    case .wrongMethod(let failure, let allow):
      var response = jsonError(failure)
      response.headers[.allow] = allow
      return response
    }
  }
}
