import Access
import ClusterModel
import HTTPTypes
import Hummingbird
import NIOCore

extension HTTPField.Name {
  /// The header of every response that names its trace.
  static let gatewayTrace = HTTPField.Name("x-tutti-trace")!
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
  ///   - write: sends the body.
  init(
    events trace: TraceContext, passing passed: [PassedHeader] = [],
    _ write: @escaping @concurrent @Sendable (inout any ResponseBodyWriter) async throws -> Void
  ) {
    var headers: HTTPFields = [
      .contentType: "text/event-stream", .cacheControl: "no-cache",
      // Proxies that buffer a response before passing it on would defeat streaming.
      HTTPField.Name("x-accel-buffering")!: "no", .gatewayTrace: "\(trace.trace)",
    ]
    headers.pass(passed)
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
