import ClusterModel
import GatewayCore
import InferenceCore
import Text

/// Reads a client's request. The first byte chooses the endpoint; the rest is the body.
enum RequestEntry {
  /// Maximum size of an error message, which names limits and members but does not echo the input.
  private static let mostErrorBytes = 64 << 10

  static func run(_ bytes: [UInt8]) {
    guard let first = bytes.first else { return }
    let endpoints = InferenceEndpoint.allCases
    let endpoint = endpoints[Int(first) % endpoints.count]
    let body = Array(bytes.dropFirst())
    _ = AnswerShape(body: body)
    let request: ClientRequest
    do throws(Failure) {
      request = try ClientRequest(parsing: body, endpoint: endpoint)
    } catch {
      precondition(error.message.utf8.count <= mostErrorBytes, "an error repeats the input")
      return
    }
    translate(request)
  }

  private static func translate(_ request: ClientRequest) {
    let question = InferenceRequest(
      endpoint: request.endpoint, model: request.model, body: request.body, stream: request.stream,
      trace: TraceContext(trace: TraceID(high: 1, low: 1), span: SpanID(1)))
    for dialect in HostDialect.allCases {
      let host = Host(
        id: "h", url: "http://h", dialect: dialect, state: .ready,
        models: [ModelOffer(id: request.model)])
      guard
        let sent = try? UpstreamRequest(question, to: Candidate(host: host, model: request.model))
      else { continue }
      precondition(
        (try? JSONDocument(validating: sent.body)) != nil, "a host is sent what is no JSON")
    }
  }
}
