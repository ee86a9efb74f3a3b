import AsyncHTTPClient
import ClusterModel
import InferenceCore
import NIOHTTP1

extension InferenceClient {
  /// A request as it goes to one host, with the host's secret.
  ///
  /// - Throws: what cannot be said in the host's dialect, or a secret that is not there, in words
  ///   that name no secret.
  func say(
    _ request: InferenceRequest, to candidate: Candidate, from resume: ResumePoint? = nil
  ) throws(AttemptFailure) -> (http: HTTPClient.Request, said: UpstreamRequest, secret: String?) {
    let secret: String?
    do throws(Failure) {
      secret = try credentials.secret(for: candidate.host)
    } catch {
      throw AttemptFailure(.noSecret, error.message)
    }
    let said: UpstreamRequest
    do throws(AdapterRefusal) {
      said = try UpstreamRequest(request, to: candidate, from: resume, secret: secret)
    } catch {
      throw error.failure
    }
    var headers = HTTPHeaders()
    for header in said.headers { headers.add(name: header.name, value: header.value) }
    headers.add(
      name: "traceparent", value: "00-\(request.trace.trace)-\(request.trace.span)-01")
    if !request.hops.isEmpty {
      headers.add(name: HopHeader.name, value: HopHeader.value(request.hops))
    }
    let url = candidate.host.url
    do {
      let http = try HTTPClient.Request(
        url: (url.hasSuffix("/") ? String(url.dropLast()) : url) + said.path, method: .POST,
        headers: headers, body: .bytes(said.body))
      return (http, said, secret)
    } catch {
      throw AttemptFailure(.connect, "it cannot be asked: \(error)")
    }
  }
}
