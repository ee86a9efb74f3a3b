import ClusterModel

/// Fills batches one after another. No batch is larger than a bus message.
struct BatchSplitter {
  private let limit: Int
  private let empty: TelemetryBatch
  private var current: TelemetryBatch
  private var bytes = 0
  private var done: [TelemetryBatch] = []

  init(service: String, instance: String, limit: Int) {
    self.limit = limit
    empty = TelemetryBatch(service: service, instance: instance)
    current = empty
  }

  mutating func add(_ request: RequestRecord) {
    makeRoom(
      for: 160 + request.key.utf8.count + request.endpoint.utf8.count + request.model.utf8.count
        + request.pattern.utf8.count + request.errorCode.utf8.count + request.host.utf8.count
        + request.finishReason.utf8.count + Self.size(of: request.shares))
    current.requests.append(request)
  }

  mutating func add(_ span: SpanRecord) {
    makeRoom(
      for: 96 + span.service.utf8.count + span.name.utf8.count + Self.size(of: span.attributes))
    current.spans.append(span)
  }

  mutating func add(_ log: LogRecord) {
    makeRoom(
      for: 64 + log.level.utf8.count + log.service.utf8.count + log.message.utf8.count
        + Self.size(of: log.attributes))
    current.logs.append(log)
  }

  /// Adds a metrics snapshot to one batch. The snapshot is not split, because the monitor replaces
  /// the previous snapshot of this process by it.
  /// - Returns: number of families that were left out because the snapshot was too large. The
  ///   largest families are left out first.
  mutating func add(_ families: [MetricFamily]) -> Int {
    let sized = families.map { (family: $0, bytes: Self.size(of: $0)) }
    var total = sized.reduce(0) { $0 + $1.bytes }
    var left: Set<String> = []
    for (family, bytes) in sized.sorted(by: { $0.bytes > $1.bytes }) where total > limit {
      left.insert(family.name)
      total -= bytes
    }
    makeRoom(for: total)
    current.metrics = families.filter { !left.contains($0.name) }
    return left.count
  }

  mutating func finish() -> [TelemetryBatch] {
    if bytes > 0 { done.append(current) }
    current = empty
    bytes = 0
    defer { done = [] }
    return done
  }

  private mutating func makeRoom(for size: Int) {
    if bytes > 0, bytes + size > limit {
      done.append(current)
      current = empty
      bytes = 0
    }
    bytes += size
  }

  private static func size(of attributes: [Attribute]) -> Int {
    attributes.reduce(0) { $0 + 12 + $1.key.utf8.count + $1.value.utf8.count }
  }

  private static func size(of shares: [HostShare]) -> Int {
    shares.reduce(0) { $0 + 48 + $1.host.name.utf8.count + $1.model.name.utf8.count }
  }

  private static func size(of family: MetricFamily) -> Int {
    family.samples.reduce(24 + family.name.utf8.count + family.help.utf8.count) {
      $0 + 24 + $1.suffix.utf8.count + size(of: $1.labels)
    }
  }
}
