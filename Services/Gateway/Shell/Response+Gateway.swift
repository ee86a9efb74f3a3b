import Access
import ClusterModel
import HTTPTypes
import Hummingbird
import NIOCore

extension HTTPField.Name {
  /// The header of every response that names its trace.
  static let gatewayTrace = HTTPField.Name("x-tutti-trace")!
  /// Cost of a whole answer, in credits.
  static let cost = HTTPField.Name("x-tutti-cost")!
  /// Maximum tokens of the answer, if the rest of a budget pays only a part of the longest one.
  static let affordableTokens = HTTPField.Name("x-tutti-affordable-tokens")!
}

extension Response {
  init(json body: [UInt8], _ trace: TraceContext) {
    self.init(
      status: .ok,
      headers: [.contentType: "application/json", .gatewayTrace: "\(trace.trace)"],
      body: ResponseBody(byteBuffer: ByteBuffer(bytes: body)))
  }

  /// A stream of server-sent events.
  /// - Parameters:
  ///   - passed: headers of the host's response.
  ///   - payment: the request's hold. `nil` means that it costs nothing.
  ///   - write: sends the body.
  init(
    events trace: TraceContext, passing passed: [PassedHeader] = [], paidBy payment: Payment? = nil,
    _ write: @escaping @concurrent @Sendable (inout any ResponseBodyWriter) async throws -> Void
  ) {
    var headers: HTTPFields = [
      .contentType: "text/event-stream", .cacheControl: "no-cache",
      // Proxies that buffer a response before passing it on would defeat streaming.
      HTTPField.Name("x-accel-buffering")!: "no", .gatewayTrace: "\(trace.trace)",
    ]
    headers.pass(passed)
    if let payment, payment.isCut {
      headers[.affordableTokens] = payment.tokens.map { String($0) }
    }
    self.init(status: .ok, headers: headers, body: ResponseBody(write))
  }
}

extension HTTPFields {
  /// Adds the `x-ratelimit-*` headers of a key.
  mutating func add(_ fields: [RateLimitHeaders.Field]) {
    for field in fields {
      guard let name = HTTPField.Name(field.name) else { continue }
      self[name] = field.value
    }
  }

  /// Adds headers of a host's response.
  mutating func pass(_ headers: [PassedHeader]) {
    for header in headers {
      guard let name = HTTPField.Name(header.name) else { continue }
      append(HTTPField(name: name, value: header.value))
    }
  }
}
