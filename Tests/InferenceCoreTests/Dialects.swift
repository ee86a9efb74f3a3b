import ClusterModel
import Foundation
import InferenceCore

/// Translates a client's request into a host's dialect.
func said(
  _ body: String, to dialect: HostDialect, model: ModelID = "m",
  endpoint: InferenceEndpoint = .chatCompletions, resume way: ResumeWay = .trailingAssistant,
  from prefix: String? = nil, secret: String? = nil
) throws(AdapterRefusal) -> UpstreamRequest {
  try UpstreamRequest(
    InferenceRequest(
      endpoint: endpoint, model: model, body: Array(body.utf8), stream: true,
      trace: TraceContext(trace: TraceID(high: 1, low: 2), span: SpanID(3))),
    to: Candidate(
      host: Host(id: "h", url: "http://h", dialect: dialect, resume: way), model: model),
    from: prefix.map { ResumePoint(prefix: Array($0.utf8), spentTokens: 5) }, secret: secret)
}

func bodyText(_ request: UpstreamRequest) -> String {
  String(decoding: request.body, as: UTF8.self)
}

/// The reason why the adapter refuses the request; `nil` means that it does not.
func refusal(
  _ body: String, _ dialect: HostDialect, _ endpoint: InferenceEndpoint = .chatCompletions
) -> AdapterRefusal? {
  do throws(AdapterRefusal) {
    _ = try said(body, to: dialect, endpoint: endpoint)
    return nil
  } catch {
    return error
  }
}

/// Reads a stream at once and byte by byte. `nil` means that the items differ.
func read(_ stream: String, _ reading: UpstreamReading) -> [UpstreamItem]? {
  var whole = UpstreamReader(reading, status: 200)
  let items = whole.append(Array(stream.utf8)) + whole.end()
  var slow = UpstreamReader(reading, status: 200)
  var pieces: [UpstreamItem] = []
  for byte in stream.utf8 { pieces += slow.append([byte]) }
  return pieces + slow.end() == items ? items : nil
}

/// One text per item: the choices and usage of a chunk, or the kind of another item.
func told(_ items: [UpstreamItem]?) -> [String] {
  (items ?? []).map { item in
    switch item {
    case .chunk(let chunk):
      let line = String(decoding: chunk.data, as: UTF8.self)
      let from = line.range(of: #""choices":"#)?.upperBound ?? line.startIndex
      return String(line[from...].dropLast())
    case .done: return "done"
    case .end: return "end"
    case .body: return "body"
    case .broken(let failure): return "\(failure.kind.rawValue): \(failure.message)"
    }
  }
}
