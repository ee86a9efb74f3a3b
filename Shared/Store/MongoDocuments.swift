internal import ClusterModel
internal import Limits

// Conversion between records and documents. `at` is the record's time as a date, for the index that
// expires documents and for human readers. `time` (or `start`) is the exact time.

func document(_ log: LogRecord) -> BSONDocument {
  let document = BSONDocument()
    .set("time", Int64(clamping: log.timeUnixMicroseconds))
    .set("at", date: Int64(clamping: log.timeUnixMicroseconds / 1_000))
    .set("level", log.level.storable)
    .set("service", log.service.storable)
    .set("message", log.message.storable)
    .set("attributes", log.attributes.map(attributeDocument))
  if let trace = log.trace { document.set("trace", trace.description) }
  return document
}

func logRecord(_ view: BSONView) -> LogRecord? {
  guard let time = view.number("time"), let message = view.text("message") else { return nil }
  return LogRecord(
    timeUnixMicroseconds: UInt64(clamping: time), level: view.text("level") ?? "info",
    service: view.text("service") ?? "", message: message,
    trace: view.text("trace").flatMap { TraceID($0) }, attributes: attributes(view))
}

func document(_ span: SpanRecord) -> BSONDocument {
  BSONDocument()
    .set("trace", span.trace.description)
    .set("span", span.span.description)
    .set("parent", span.parent.description)
    .set("service", span.service.storable)
    .set("name", span.name.storable)
    .set("start", Int64(clamping: span.startUnixMicroseconds))
    .set("at", date: Int64(clamping: span.startUnixMicroseconds / 1_000))
    .set("duration", Int64(clamping: span.durationMicroseconds))
    .set("failed", span.failed)
    .set("attributes", span.attributes.map(attributeDocument))
}

func spanRecord(_ view: BSONView) -> SpanRecord? {
  guard let trace = view.text("trace").flatMap({ TraceID($0) }),
    let span = view.text("span").flatMap({ UInt64($0, radix: 16) }),
    let parent = view.text("parent").flatMap({ UInt64($0, radix: 16) }),
    let start = view.number("start")
  else { return nil }
  return SpanRecord(
    trace: trace, span: SpanID(span), parent: SpanID(parent), service: view.text("service") ?? "",
    name: view.text("name") ?? "", startUnixMicroseconds: UInt64(clamping: start),
    durationMicroseconds: UInt64(clamping: view.number("duration") ?? 0),
    failed: view.number("failed") == 1, attributes: attributes(view))
}

func document(_ request: RequestRecord) -> BSONDocument {
  let document = BSONDocument()
    .set("trace", request.trace.description)
    .set("time", Int64(clamping: request.timeUnixMicroseconds))
    .set("at", date: Int64(clamping: request.timeUnixMicroseconds / 1_000))
    .set("key", request.key.storable)
    .set("endpoint", request.endpoint.storable)
    .set("model", request.model.storable)
    .set("pattern", request.pattern.storable)
    .set("stream", request.stream)
    .set("status", request.status)
    .set("error_code", request.errorCode.storable)
    .set("host", request.host.storable)
    .set("prompt_tokens", request.usage.promptTokens)
    .set("cached_tokens", request.usage.cachedTokens)
    .set("completion_tokens", request.usage.completionTokens)
    .set("tokens_estimated", request.usage.estimated)
    .set("first_token_ms", request.firstTokenMilliseconds)
    .set("total_ms", request.totalMilliseconds)
    .set("finish_reason", request.finishReason.storable)
    .set("shares", request.shares.map(shareDocument))
  if let cost = request.cost { document.set("cost_micro", cost.millionths) }
  if let cost = request.hostCost { document.set("host_cost_micro", cost.millionths) }
  return document
}

private func shareDocument(_ share: HostShare) -> BSONDocument {
  let document = BSONDocument()
    .set("host", share.host.name.storable)
    .set("model", share.model.name.storable)
    .set("prompt_tokens", share.promptTokens)
    .set("completion_tokens", share.completionTokens)
  if let cost = share.cost { document.set("host_cost_micro", cost.millionths) }
  return document
}

private func shares(_ view: BSONView) -> [HostShare] {
  var shares: [HostShare] = []
  while shares.count < Limits.recordedShares.value,
    let host = view.text("shares.\(shares.count).host")
  {
    let path = "shares.\(shares.count)."
    shares.append(
      HostShare(
        host: HostID(host), model: ModelID(view.text(path + "model") ?? ""),
        promptTokens: Int(clamping: view.number(path + "prompt_tokens") ?? 0),
        completionTokens: Int(clamping: view.number(path + "completion_tokens") ?? 0),
        cost: amount(view, path + "host_cost_micro")))
  }
  return shares
}

/// `nil` means that the document has no such amount.
private func amount(_ view: BSONView, _ path: String) -> CreditAmount? {
  view.number(path).map { CreditAmount(millionths: $0) }
}

func requestRecord(_ view: BSONView) -> RequestRecord? {
  guard let trace = view.text("trace").flatMap({ TraceID($0) }), let time = view.number("time")
  else { return nil }
  func count(_ key: String) -> Int { Int(clamping: view.number(key) ?? 0) }
  return RequestRecord(
    trace: trace, timeUnixMicroseconds: UInt64(clamping: time),
    key: view.text("key") ?? "", endpoint: view.text("endpoint") ?? "",
    model: view.text("model") ?? "",
    pattern: view.text("pattern") ?? "", stream: view.number("stream") == 1,
    status: count("status"), errorCode: view.text("error_code") ?? "",
    host: view.text("host") ?? "",
    usage: Usage(
      // Documents of earlier versions have no cached tokens, costs, shares and finish reasons.
      promptTokens: count("prompt_tokens"), cachedTokens: count("cached_tokens"),
      completionTokens: count("completion_tokens"),
      estimated: view.number("tokens_estimated") == 1),
    finishReason: view.text("finish_reason") ?? "", cost: amount(view, "cost_micro"),
    hostCost: amount(view, "host_cost_micro"), shares: shares(view),
    firstTokenMilliseconds: count("first_token_ms"), totalMilliseconds: count("total_ms"))
}

private func attributeDocument(_ attribute: Attribute) -> BSONDocument {
  BSONDocument().set("key", attribute.key.storable).set("value", attribute.value.storable)
}

private func attributes(_ view: BSONView) -> [Attribute] {
  var attributes: [Attribute] = []
  while let key = view.text("attributes.\(attributes.count).key") {
    attributes.append(Attribute(key, view.text("attributes.\(attributes.count).value") ?? ""))
  }
  return attributes
}
