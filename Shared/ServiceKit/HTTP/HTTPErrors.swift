import Limits
public import ClusterModel
public import HTTPTypes
public import Hummingbird
import NIOCore
import Telemetry

/// The OpenAI error shape: `{"error":{"message","type","param","code"}}`.
public struct ErrorBody: Hashable, Sendable {
  var message: String
  /// Kind of the error, for example `invalid_request_error`.
  var type: String
  /// The invalid field of the request; `nil`, written as `null`, if there is none.
  var param: String?
  var code: String?
  /// Members of a host's error object. They replace `type`, `param` and `code`. Members with other
  /// names are added, except `message`.
  var members: [HostRefusal.Member] = []

  public init(message: String, type: String, param: String? = nil, code: String?) {
    self.message = message
    self.type = type
    self.param = param
    self.code = code
  }

  /// - Parameter param: the invalid field. `nil` means `failure.param`.
  public init(_ failure: Failure, param: String? = nil) {
    let line = ErrorLine.of(failure.code)
    self.init(
      message: failure.message, type: line.type, param: param ?? failure.param, code: line.code)
    members = failure.refusal?.members ?? []
  }

  /// `{"error":{…}}` without a line break, so that it also fits a stream's `data:` line.
  public var json: [UInt8] {
    var json = Array("{\"error\":{\"message\":\(JSONText.quoted(message))".utf8)
    for (name, text) in [("type", type), ("param", param), ("code", code)] {
      json += Array(",\"\(name)\":".utf8)
      json +=
        members.first { $0.name == name }?.json ?? Array((text.map(JSONText.quoted) ?? "null").utf8)
    }
    for member in members where !["message", "type", "param", "code"].contains(member.name) {
      json += Array(",\(JSONText.quoted(member.name)):".utf8) + member.json
    }
    return json + Array("}}".utf8)
  }
}

/// One row of the error table: how clients see an error code.
struct ErrorLine {
  var status: HTTPResponse.Status
  var type: String
  /// The code that clients see; several internal codes can map to the same one.
  var code: String
  /// `Retry-After` of failures that have no `retryAfter`.
  var retryAfterSeconds: Int?

  init(_ status: Int, _ type: String, _ code: String, retryAfterSeconds: Int? = nil) {
    self.status = HTTPResponse.Status(code: status)
    self.type = type
    self.code = code
    self.retryAfterSeconds = retryAfterSeconds
  }

  /// All known codes. The official client chooses its error class by the status.
  static let table: [Failure.Code: ErrorLine] = [
    .invalidRequest: ErrorLine(400, "invalid_request_error", "invalid_request_error"),
    Failure.Code(rawValue: "context_length_exceeded"):
      ErrorLine(400, "invalid_request_error", "context_length_exceeded"),
    .invalidAPIKey: ErrorLine(401, "authentication_error", "invalid_api_key"),
    .insufficientBalance:
      ErrorLine(402, "insufficient_balance", "insufficient_balance"),
    // The official client does not retry status 402; a retry would cost as much again.
    .budgetExhausted: ErrorLine(402, "budget_exhausted", "budget_exhausted"),
    .permissionDenied: ErrorLine(403, "permission_error", "permission_denied"),
    .modelNotFound: ErrorLine(404, "invalid_request_error", "model_not_found"),
    .requestTooLarge: ErrorLine(413, "invalid_request_error", "request_too_large"),
    .messageTooLarge: ErrorLine(413, "invalid_request_error", "request_too_large"),
    .rateLimited: ErrorLine(429, "rate_limit_error", "rate_limited", retryAfterSeconds: 1),
    // The official client retries status 429. No task of the request has reported tokens.
    .budgetHeld: ErrorLine(429, "rate_limit_error", "budget_held", retryAfterSeconds: 1),
    .cancelled: ErrorLine(499, "invalid_request_error", "cancelled"),
    .internalError: internalError,
    .invalidPlan: internalError,
    .unhandled: internalError,
    .upstreamFailed: ErrorLine(502, "server_error", "upstream_failed"),
    .streamGap: ErrorLine(502, "server_error", "upstream_failed"),
    .noEligibleHost: ErrorLine(503, "server_error", "no_eligible_host"),
    .overloaded: overloaded,
    .hostsBusy: overloaded,
    .peerLost: overloaded,
    .noPeer: overloaded,
    .outboxFull: overloaded,
    .slowReader: overloaded,
    .shuttingDown: overloaded,
    Failure.Code(rawValue: "store_unreachable"):
      ErrorLine(503, "server_error", "store_unreachable", retryAfterSeconds: 1),
    // An operator has to make room first.
    Failure.Code(rawValue: "store_full"):
      ErrorLine(503, "server_error", "store_full", retryAfterSeconds: 60),
    .deadlineExceeded: ErrorLine(504, "server_error", "deadline_exceeded"),
    Failure.Code(rawValue: "hop_loop"): ErrorLine(508, "invalid_request_error", "hop_loop"),

    // Errors of HTTP itself.
    .unknownPath: ErrorLine(404, "invalid_request_error", "unknown_path"),
    .methodNotAllowed: ErrorLine(405, "invalid_request_error", "method_not_allowed"),
    .requestTimeout: ErrorLine(408, "invalid_request_error", "request_timeout"),
    .unsupportedEncoding: ErrorLine(415, "invalid_request_error", "unsupported_encoding"),
    .headersTooLarge: ErrorLine(431, "invalid_request_error", "headers_too_large"),
  ]

  private static let internalError = ErrorLine(500, "server_error", "internal_error")
  private static let overloaded = ErrorLine(
    503, "server_error", "overloaded", retryAfterSeconds: 1)

  /// The row of a code. A code that is not in the table is a bug of the service, not of the client.
  static func of(_ code: Failure.Code) -> ErrorLine { table[code] ?? internalError }
}

extension Failure.Code {
  static let unknownPath = Failure.Code(rawValue: "unknown_path")
  static let methodNotAllowed = Failure.Code(rawValue: "method_not_allowed")
  static let requestTimeout = Failure.Code(rawValue: "request_timeout")
  public static let unsupportedEncoding = Failure.Code(rawValue: "unsupported_encoding")
  static let headersTooLarge = Failure.Code(rawValue: "headers_too_large")
}

extension HTTPField.Name {
  static let retryAfterMilliseconds = HTTPField.Name("retry-after-ms")!
  static let xAPIKey = HTTPField.Name("x-api-key")!
  static let apiKey = HTTPField.Name("api-key")!
}

/// The HTTP status of a code.
func httpStatus(for code: Failure.Code) -> HTTPResponse.Status { ErrorLine.of(code).status }

/// The HTTP status of a failure: the status of a host's refusal, otherwise that of the code.
public func httpStatus(of failure: Failure) -> HTTPResponse.Status {
  guard let refusal = failure.refusal, (400..<600).contains(refusal.status) else {
    return httpStatus(for: failure.code)
  }
  return HTTPResponse.Status(code: refusal.status)
}

/// The headers of an error: the content type, when to retry, and how to authenticate.
func errorHeaders(for failure: Failure) -> HTTPFields {
  var headers: HTTPFields = [.contentType: "application/json"]
  let asked = failure.retryAfter.map { Int(clamping: $0.inSeconds.rounded(.up)) }
  if let seconds = asked ?? ErrorLine.of(failure.code).retryAfterSeconds {
    headers[.retryAfter] = String(max(1, seconds))
  }
  // RFC 9110, 15.5.2: an answer with status 401 names the scheme.
  if failure.code == .invalidAPIKey { headers[.wwwAuthenticate] = "Bearer" }
  // Official clients prefer this header and so need not wait for a whole second.
  if let wait = failure.retryAfter?.wholeMilliseconds, wait > 0, wait % 1_000 != 0 {
    headers[.retryAfterMilliseconds] = String(wait)
  }
  return headers
}

/// A complete response for a failure.
public func jsonError(_ failure: Failure, param: String? = nil) -> Response {
  Response(
    status: httpStatus(of: failure), headers: errorHeaders(for: failure),
    body: ResponseBody(byteBuffer: ByteBuffer(bytes: ErrorBody(failure, param: param).json)))
}

extension Failure: HTTPResponseError {
  public var status: HTTPResponse.Status { httpStatus(of: self) }

  public func response(
    from request: Request, context: some RequestContext
  ) throws -> Response { jsonError(self) }
}
