import AsyncHTTPClient
import ClusterModel
import InferenceCore
import NIOHTTP1

extension InferenceClient {
  /// The secret that a host asks for; `nil` means that it asks for none.
  ///
  /// - Throws: a sentence that names no secret.
  func secret(for candidate: Candidate) throws(AttemptFailure) -> String? {
    do throws(Failure) {
      return try credentials.secret(for: candidate.host)
    } catch {
      throw AttemptFailure(.noSecret, error.message)
    }
  }

  /// A request in a host's dialect as it goes to that host.
  func makeHTTPRequest(
    _ upstream: UpstreamRequest, _ request: InferenceRequest, to candidate: Candidate
  ) throws(AttemptFailure) -> HTTPClient.Request {
    var headers = HTTPHeaders()
    for header in upstream.headers { headers.add(name: header.name, value: header.value) }
    // A host may compress its answer all the same; then it is decoded.
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
        headers: headers, body: .bytes(upstream.body))
    } catch {
      throw AttemptFailure(.connect, "it cannot be asked: \(error)")
    }
  }
}
