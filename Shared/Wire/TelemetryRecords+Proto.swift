import CProtobufC
import ClusterModel
import ClusterProto
import Limits

extension Arena {
  private func attributes(
    _ attributes: [Attribute]
  ) -> UnsafeMutablePointer<UnsafeMutablePointer<Tutti__V1__Attribute>?>? {
    unsafe array(attributes) { attribute in
      let message = unsafe make(tutti__v1__attribute__init)
      unsafe message.pointee.key = text(attribute.key)
      unsafe message.pointee.value = text(attribute.value)
      return unsafe message
    }
  }

  private func log(_ log: LogRecord) -> UnsafeMutablePointer<Tutti__V1__LogRecord> {
    let message = unsafe make(tutti__v1__log_record__init)
    unsafe message.pointee.time_unix_us = log.timeUnixMicroseconds
    unsafe message.pointee.level = text(log.level)
    unsafe message.pointee.service = text(log.service)
    unsafe message.pointee.message = text(log.message)
    unsafe message.pointee.trace_id = text(log.trace?.description ?? "")
    unsafe message.pointee.n_attributes = log.attributes.count
    unsafe message.pointee.attributes = attributes(log.attributes)
    return unsafe message
  }

  private func span(_ span: SpanRecord) -> UnsafeMutablePointer<Tutti__V1__SpanRecord> {
    let message = unsafe make(tutti__v1__span_record__init)
    unsafe message.pointee.trace_id = text(span.trace.description)
    unsafe message.pointee.span_id = span.span.value
    unsafe message.pointee.parent_id = span.parent.value
    unsafe message.pointee.service = text(span.service)
    unsafe message.pointee.name = text(span.name)
    unsafe message.pointee.start_unix_us = span.startUnixMicroseconds
    unsafe message.pointee.duration_us = span.durationMicroseconds
    unsafe message.pointee.failed = span.failed ? 1 : 0
    unsafe message.pointee.n_attributes = span.attributes.count
    unsafe message.pointee.attributes = attributes(span.attributes)
    return unsafe message
  }

  private func request(_ request: RequestRecord) -> UnsafeMutablePointer<Tutti__V1__RequestRecord> {
    let message = unsafe make(tutti__v1__request_record__init)
    unsafe message.pointee.trace_id = text(request.trace.description)
    unsafe message.pointee.time_unix_us = request.timeUnixMicroseconds
    unsafe message.pointee.endpoint = text(request.endpoint)
    unsafe message.pointee.model = text(request.model)
    unsafe message.pointee.pattern = text(request.pattern)
    unsafe message.pointee.stream = request.stream ? 1 : 0
    unsafe message.pointee.status = UInt32(clamping: request.status)
    unsafe message.pointee.error_code = text(request.errorCode)
    unsafe message.pointee.host = text(request.host)
    unsafe message.pointee.prompt_tokens = UInt64(clamping: request.usage.promptTokens)
    unsafe message.pointee.cached_tokens = UInt64(clamping: request.usage.cachedTokens)
    unsafe message.pointee.completion_tokens = UInt64(clamping: request.usage.completionTokens)
    unsafe message.pointee.tokens_estimated = request.usage.estimated ? 1 : 0
    unsafe message.pointee.first_token_ms = UInt32(clamping: request.firstTokenMilliseconds)
    unsafe message.pointee.total_ms = UInt32(clamping: request.totalMilliseconds)
    unsafe message.pointee.key_id = text(request.key)
    unsafe message.pointee.cost_micro = request.cost?.millionths ?? 0
    unsafe message.pointee.has_cost = request.cost == nil ? 0 : 1
    unsafe message.pointee.host_cost_micro = request.hostCost?.millionths ?? 0
    unsafe message.pointee.has_host_cost = request.hostCost == nil ? 0 : 1
    unsafe message.pointee.finish_reason = text(request.finishReason)
    unsafe message.pointee.n_shares = request.shares.count
    unsafe message.pointee.shares = array(request.shares) { unsafe share($0) }
    return unsafe message
  }

  private func share(_ share: HostShare) -> UnsafeMutablePointer<Tutti__V1__HostShare> {
    let message = unsafe make(tutti__v1__host_share__init)
    unsafe message.pointee.host = text(share.host.name)
    unsafe message.pointee.model = text(share.model.name)
    unsafe message.pointee.prompt_tokens = UInt64(clamping: share.promptTokens)
    unsafe message.pointee.completion_tokens = UInt64(clamping: share.completionTokens)
    unsafe message.pointee.host_cost_micro = share.cost?.millionths ?? 0
    unsafe message.pointee.has_host_cost = share.cost == nil ? 0 : 1
    return unsafe message
  }

  private func family(_ family: MetricFamily) -> UnsafeMutablePointer<Tutti__V1__MetricFamily> {
    let message = unsafe make(tutti__v1__metric_family__init)
    unsafe message.pointee.name = text(family.name)
    unsafe message.pointee.help = text(family.help)
    unsafe message.pointee.kind =
      switch family.kind {
      case .counter: TUTTI__V1__METRIC_KIND__METRIC_KIND_COUNTER
      case .gauge: TUTTI__V1__METRIC_KIND__METRIC_KIND_GAUGE
      case .histogram: TUTTI__V1__METRIC_KIND__METRIC_KIND_HISTOGRAM
      }
    unsafe message.pointee.n_samples = family.samples.count
    unsafe message.pointee.samples = array(family.samples) { sample in
      let line = unsafe make(tutti__v1__metric_sample__init)
      unsafe line.pointee.suffix = text(sample.suffix)
      unsafe line.pointee.n_labels = sample.labels.count
      unsafe line.pointee.labels = attributes(sample.labels)
      unsafe line.pointee.value = sample.value
      return unsafe line
    }
    return unsafe message
  }

  func telemetry(_ batch: TelemetryBatch) -> UnsafeMutablePointer<Tutti__V1__TelemetryBatch> {
    let message = unsafe make(tutti__v1__telemetry_batch__init)
    unsafe message.pointee.service = text(batch.service)
    unsafe message.pointee.instance = text(batch.instance)
    unsafe message.pointee.n_logs = batch.logs.count
    unsafe message.pointee.logs = array(batch.logs) { unsafe log($0) }
    unsafe message.pointee.n_spans = batch.spans.count
    unsafe message.pointee.spans = array(batch.spans) { unsafe span($0) }
    unsafe message.pointee.n_requests = batch.requests.count
    unsafe message.pointee.requests = array(batch.requests) { unsafe request($0) }
    unsafe message.pointee.n_metrics = batch.metrics.count
    unsafe message.pointee.metrics = array(batch.metrics) { unsafe family($0) }
    return unsafe message
  }
}

extension Attribute {
  init(wire message: Tutti__V1__Attribute) throws(WireError) {
    self.init(
      try unsafe String(wire: message.key, "Attribute.key"),
      try unsafe String(wire: message.value, "Attribute.value"))
  }

  static func list(
    _ count: Int, _ base: UnsafeMutablePointer<UnsafeMutablePointer<Tutti__V1__Attribute>?>?
  ) throws(WireError) -> [Attribute] {
    try unsafe elements(count, base) { attribute throws(WireError) in
      try unsafe Attribute(wire: attribute)
    }
  }
}

extension TraceID {
  init(wire data: ProtobufCBinaryData, _ field: StaticString) throws(WireError) {
    guard let trace = TraceID(try unsafe String(wire: data, field)) else {
      throw .malformed("\(field) is not 32 hexadecimal digits")
    }
    self = trace
  }
}

extension LogRecord {
  init(wire message: Tutti__V1__LogRecord) throws(WireError) {
    let hasTrace = unsafe message.trace_id.len > 0
    self.init(
      timeUnixMicroseconds: unsafe message.time_unix_us,
      level: try unsafe String(wire: message.level, "LogRecord.level"),
      service: try unsafe String(wire: message.service, "LogRecord.service"),
      message: try unsafe String(wire: message.message, "LogRecord.message"),
      trace: hasTrace ? try unsafe TraceID(wire: message.trace_id, "LogRecord.trace_id") : nil,
      attributes: try unsafe Attribute.list(message.n_attributes, message.attributes))
  }
}

extension SpanRecord {
  init(wire message: Tutti__V1__SpanRecord) throws(WireError) {
    self.init(
      trace: try unsafe TraceID(wire: message.trace_id, "SpanRecord.trace_id"),
      span: SpanID(unsafe message.span_id), parent: SpanID(unsafe message.parent_id),
      service: try unsafe String(wire: message.service, "SpanRecord.service"),
      name: try unsafe String(wire: message.name, "SpanRecord.name"),
      startUnixMicroseconds: unsafe message.start_unix_us,
      durationMicroseconds: unsafe message.duration_us, failed: unsafe message.failed != 0,
      attributes: try unsafe Attribute.list(message.n_attributes, message.attributes))
  }
}

extension RequestRecord {
  init(wire message: Tutti__V1__RequestRecord) throws(WireError) {
    let count = unsafe message.n_shares
    guard count <= Limits.recordedShares.value else {
      throw .tooManyElements(limit: Limits.recordedShares.value)
    }
    self.init(
      trace: try unsafe TraceID(wire: message.trace_id, "RequestRecord.trace_id"),
      timeUnixMicroseconds: unsafe message.time_unix_us,
      key: try unsafe String(wire: message.key_id, "RequestRecord.key_id"),
      endpoint: try unsafe String(wire: message.endpoint, "RequestRecord.endpoint"),
      model: try unsafe String(wire: message.model, "RequestRecord.model"),
      pattern: try unsafe String(wire: message.pattern, "RequestRecord.pattern"),
      stream: unsafe message.stream != 0, status: Int(unsafe message.status),
      errorCode: try unsafe String(wire: message.error_code, "RequestRecord.error_code"),
      host: try unsafe String(wire: message.host, "RequestRecord.host"),
      usage: Usage(
        promptTokens: Usage.bounded(Int(clamping: unsafe message.prompt_tokens)),
        cachedTokens: Usage.bounded(Int(clamping: unsafe message.cached_tokens)),
        completionTokens: Usage.bounded(Int(clamping: unsafe message.completion_tokens)),
        estimated: unsafe message.tokens_estimated != 0),
      finishReason: try unsafe String(wire: message.finish_reason, "RequestRecord.finish_reason"),
      cost: unsafe message.has_cost == 0 ? nil : CreditAmount(millionths: message.cost_micro),
      hostCost: unsafe message.has_host_cost == 0
        ? nil : CreditAmount(millionths: message.host_cost_micro),
      shares: try unsafe elements(count, message.shares) { share throws(WireError) in
        try unsafe HostShare(wire: share)
      },
      firstTokenMilliseconds: Int(unsafe message.first_token_ms),
      totalMilliseconds: Int(unsafe message.total_ms))
  }
}

extension HostShare {
  init(wire message: Tutti__V1__HostShare) throws(WireError) {
    self.init(
      host: HostID(try unsafe String(wire: message.host, "HostShare.host")),
      model: ModelID(try unsafe String(wire: message.model, "HostShare.model")),
      promptTokens: Usage.bounded(Int(clamping: unsafe message.prompt_tokens)),
      completionTokens: Usage.bounded(Int(clamping: unsafe message.completion_tokens)),
      cost: unsafe message.has_host_cost == 0
        ? nil : CreditAmount(millionths: message.host_cost_micro))
  }
}

extension MetricKind {
  init(wire kind: Tutti__V1__MetricKind) throws(WireError) {
    switch kind {
    case TUTTI__V1__METRIC_KIND__METRIC_KIND_COUNTER: self = .counter
    case TUTTI__V1__METRIC_KIND__METRIC_KIND_GAUGE: self = .gauge
    case TUTTI__V1__METRIC_KIND__METRIC_KIND_HISTOGRAM: self = .histogram
    default: throw .unknownValue(field: "MetricFamily.kind")
    }
  }
}

extension MetricFamily {
  init(wire message: Tutti__V1__MetricFamily) throws(WireError) {
    self.init(
      name: try unsafe String(wire: message.name, "MetricFamily.name"),
      help: try unsafe String(wire: message.help, "MetricFamily.help"),
      kind: try unsafe MetricKind(wire: message.kind),
      samples: try unsafe elements(message.n_samples, message.samples) {
        sample throws(WireError) in
        Sample(
          suffix: try unsafe String(wire: sample.suffix, "MetricSample.suffix"),
          labels: try unsafe Attribute.list(sample.n_labels, sample.labels),
          value: unsafe sample.value)
      })
  }
}

extension TelemetryBatch {
  init(wire message: Tutti__V1__TelemetryBatch) throws(WireError) {
    self.init(
      service: try unsafe String(wire: message.service, "TelemetryBatch.service"),
      instance: try unsafe String(wire: message.instance, "TelemetryBatch.instance"),
      logs: try unsafe elements(message.n_logs, message.logs) { log throws(WireError) in
        try unsafe LogRecord(wire: log)
      },
      spans: try unsafe elements(message.n_spans, message.spans) { span throws(WireError) in
        try unsafe SpanRecord(wire: span)
      },
      requests: try unsafe elements(message.n_requests, message.requests) {
        request throws(WireError) in try unsafe RequestRecord(wire: request)
      },
      metrics: try unsafe elements(message.n_metrics, message.metrics) {
        family throws(WireError) in try unsafe MetricFamily(wire: family)
      })
  }
}
