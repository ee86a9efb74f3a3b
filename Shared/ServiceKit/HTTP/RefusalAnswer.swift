import ClusterModel
import HTTPTypes
import NIOCore
import NIOHTTP1

/// The answer to a request that is refused before the application sees it.
struct RefusalAnswer {
  let head: HTTPResponseHead
  let body: ByteBuffer

  /// - Parameters:
  ///   - form: form of the request's answers.
  ///   - traceHeader: header for the trace id; `nil` means no header.
  init(_ failure: Failure, form: AnswerForm, traceHeader: String?, trace: TraceID?) {
    body = ByteBuffer(bytes: ErrorBody(failure).json)
    let status = httpStatus(for: failure.code)
    var headers: HTTPHeaders = [
      "content-length": String(body.readableBytes), "connection": "close",
    ]
    for field in errorHeaders(for: failure) {
      headers.add(name: field.name.canonicalName, value: field.value)
    }
    if let traceHeader, let trace { headers.add(name: traceHeader, value: trace.description) }
    var head = HTTPResponseHead(
      version: .http1_1, status: HTTPResponseStatus(statusCode: status.code), headers: headers)
    form.apply(to: &head)
    self.head = head
  }
}
