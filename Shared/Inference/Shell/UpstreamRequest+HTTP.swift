import AsyncHTTPClient
import ClusterModel
import InferenceCore
import Limits
import NIOCore
import NIOHTTP1

extension InferenceClient {
  /// The secret that a host needs. `nil` means that the host needs none.
  ///
  /// - Throws: `noSecret` with a message that contains no secret.
  func secret(for candidate: Candidate) throws(AttemptFailure) -> String? {
    do throws(Failure) {
      return try credentials.secret(for: candidate.host)
    } catch {
      throw AttemptFailure(.noSecret, error.message)
    }
  }

  /// Makes the HTTP request from a request in the host's dialect.
  func makeHTTPRequest(
    _ upstream: UpstreamRequest, _ request: InferenceRequest, to candidate: Candidate
  ) throws(AttemptFailure) -> HTTPClient.Request {
    var headers = HTTPHeaders()
    for header in upstream.headers { headers.add(name: header.name, value: header.value) }
    // The request asks for no compression. If a host compresses its answer anyway, Tutti decodes
    // it.
    headers.add(name: "accept-encoding", value: "identity")
    for header in request.headers where !headers.contains(name: header.name) {
      headers.add(name: header.name, value: header.value)
    }
    headers.add(
      name: "traceparent", value: "00-\(request.trace.trace)-\(request.trace.span)-01")
    if !request.hops.isEmpty {
      headers.add(name: HopHeader.name, value: HopHeader.value(request.hops))
    }
    let url = candidate.host.url
    do {
      return try HTTPClient.Request(
        url: (url.hasSuffix("/") ? String(url.dropLast()) : url) + upstream.path, method: .POST,
        headers: headers, body: Self.body(upstream.body))
    } catch {
      throw AttemptFailure(.connect, "the request to it cannot be made: \(error)")
    }
  }

  /// The body of an HTTP request. A large body is copied slice by slice while it is sent, so that
  /// only one whole copy is in memory.
  private static func body(_ bytes: [UInt8]) -> HTTPClient.Body {
    guard bytes.count > Limits.heavyBytes.value else { return .bytes(bytes) }
    return .stream(contentLength: Int64(bytes.count)) { writer in
      write(bytes[...], to: writer)
    }
  }

  private static func write(
    _ bytes: ArraySlice<UInt8>, to writer: HTTPClient.Body.StreamWriter
  ) -> EventLoopFuture<Void> {
    let slice = bytes.prefix(Limits.heavyBytes.value)
    let rest = bytes.dropFirst(slice.count)
    let written = writer.write(.byteBuffer(ByteBuffer(bytes: slice)))
    return rest.isEmpty ? written : written.flatMap { write(rest, to: writer) }
  }
}
