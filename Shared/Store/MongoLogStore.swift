public import ClusterModel
internal import Limits
internal import Synchronization

/// Stores logs in MongoDB, for clusters of more than one machine.
public final class MongoLogStore: LogStore {
  private let queue: MongoQueue
  private let retention: Retention
  private let damaged = Mutex(0)

  /// Parses the address. It does not contact the server: `prepare()` is the first call that does.
  /// - Parameters:
  ///   - uri: `mongodb://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`.
  ///   - patience: how long a call tries to find a server before it fails.
  public init(
    uri: String, retention: Retention = .standard, patience: Duration = .seconds(2)
  ) throws(Failure) {
    queue = try MongoQueue(
      try MongoAddress(
        uri, patience: patience, remedy: "unset TUTTI_MONGODB_URI to keep the logs in SQLite"))
    self.retention = retention
  }

  public func prepare() async throws(Failure) {
    let retention = retention
    try await perform { client throws(Failure) in
      try client.ping()
      for kind in Kind.allCases {
        let seconds = retention.maximumAge(of: kind).components.seconds
        // An earlier version may have made the index with another age, which is changed here. If
        // there is no index yet, the server refuses, and the index is made below.
        let index = BSONDocument().set("name", "retention").set("expireAfterSeconds", seconds)
        try? client.collection(kind.rawValue).run(
          BSONDocument().set("collMod", kind.rawValue).set("index", index), "change an index of")
        let indexes = [
          // The server itself deletes expired documents, even if no monitor runs.
          BSONDocument().set("key", BSONDocument().set("at", 1)).set("name", "retention")
            .set("expireAfterSeconds", seconds),
          BSONDocument().set("key", BSONDocument().set(kind.time, -1).set("order", -1))
            .set("name", "order"),
          BSONDocument().set("key", BSONDocument().set("trace", 1)).set("name", "trace"),
        ]
        try client.collection(kind.rawValue).run(
          BSONDocument().set("createIndexes", kind.rawValue).set("indexes", indexes),
          "create indexes of")
      }
      let byKey = BSONDocument().set("key", BSONDocument().set("key", 1).set("time", 1))
        .set("name", "key")
      try client.collection(Kind.requests.rawValue).run(
        BSONDocument().set("createIndexes", Kind.requests.rawValue).set("indexes", [byKey]),
        "create indexes of")
    }
  }

  public func append(_ batches: [TelemetryBatch]) async throws(Failure) {
    try await perform { client throws(Failure) in
      // The caller repeats a partly failed batch. Documents that are already stored must not be
      // duplicated.
      var logs = DocumentIdentities(), spans = logs, requests = logs
      for batch in batches {
        for log in batch.logs {
          logs.add(document(log), time: log.timeUnixMicroseconds, of: batch.instance)
        }
        for span in batch.spans {
          spans.add(document(span), time: span.startUnixMicroseconds, of: batch.instance)
        }
        for request in batch.requests {
          requests.add(document(request), time: request.timeUnixMicroseconds, of: batch.instance)
        }
      }
      for (kind, made) in [(Kind.logs, logs), (.spans, spans), (.requests, requests)] {
        try client.collection(kind.rawValue).insert(made.documents)
      }
    }
  }

  public func logs(_ query: LogQuery) async throws(Failure) -> [LogRecord] {
    try await perform { client throws(Failure) in
      let filter = BSONDocument()
      if let trace = query.trace { filter.set("trace", trace.description) }
      if let service = query.service { filter.set("service", service.storable) }
      if let level = query.level {
        filter.set("level", BSONDocument().set("$in", level.andWorse))
      }
      if let since = query.sinceUnixMicroseconds { filter.set("time", atLeast(since)) }
      return try client.collection(Kind.logs.rawValue)
        .find(filter, options: newest(of: .logs, limit: query.limit), self.undamaged(logRecord))
    }
  }

  public func requests(_ query: RequestQuery) async throws(Failure) -> [RequestRecord] {
    try await perform { client throws(Failure) in
      let filter = BSONDocument()
      if let trace = query.trace { filter.set("trace", trace.description) }
      if let key = query.key { filter.set("key", key.storable) }
      if let since = query.sinceUnixMicroseconds { filter.set("time", atLeast(since)) }
      return try client.collection(Kind.requests.rawValue)
        .find(
          filter, options: newest(of: .requests, limit: query.limit), self.undamaged(requestRecord))
    }
  }

  public func usage(_ query: UsageQuery) async throws(Failure) -> KeyUsage {
    try await perform { client throws(Failure) in
      let requests = client.collection(Kind.requests.rawValue)
      let rows = try requests.aggregate(usagePipeline(query), usageRow)
      let first = BSONDocument().set("sort", BSONDocument().set("time", 1)).set("limit", 1)
      let oldest = try requests.find(BSONDocument(), options: first) { $0.number("time") }
      return KeyUsage(rows, limit: query.limit, oldest: oldest.first)
    }
  }

  public func spans(of trace: TraceID) async throws(Failure) -> [SpanRecord] {
    try await perform { client throws(Failure) in
      let options = BSONDocument().set("sort", BSONDocument().set("start", 1))
        .set("limit", Retention.spansPerTrace)
      return try client.collection(Kind.spans.rawValue)
        .find(
          BSONDocument().set("trace", trace.description), options: options,
          self.undamaged(spanRecord))
    }
  }

  public var damagedRecords: Int { damaged.withLock { $0 } }

  public func applyRetention(nowUnixMicroseconds now: UInt64?) async throws(Failure) {
    let future = now?.addingCapped(Retention.futureMicroseconds)
    let retention = retention
    try await perform { client throws(Failure) in
      for kind in Kind.allCases {
        let collection = client.collection(kind.rawValue)
        let cutoff = now.map { retention.cutoff(kind, nowUnixMicroseconds: $0) } ?? 0
        if cutoff > 0 {
          let before = BSONDocument().set("$lt", Int64(clamping: cutoff))
          try collection.delete(BSONDocument().set(kind.time, before))
        }
        // Records with times in the far future would otherwise never expire, and would push out
        // newer records.
        if let now, let future {
          let after = BSONDocument().set("$gt", Int64(clamping: future))
          try collection.update(
            BSONDocument().set(kind.time, after),
            setting: BSONDocument().set(kind.time, Int64(clamping: now)))
        }
        // Delete all records up to the newest surplus one, including those with the same time.
        let options = newest(of: kind, limit: 1).set("skip", retention.maximumRecords)
        let surplus = try collection.find(BSONDocument(), options: options) {
          $0.number(kind.time)
        }
        if let last = surplus.first {
          let upTo = BSONDocument().set("$lte", last)
          try collection.delete(BSONDocument().set(kind.time, upTo))
        }
      }
    }
  }

  /// Has no effect, because the connections close with the last reference to the store.
  public func close() async {}

  // MARK: - Plumbing

  /// Wraps `read` so that damaged documents are counted. `find` leaves out damaged documents and
  /// returns the rest.
  private func undamaged<Record>(
    _ read: @escaping (BSONView) -> Record?
  ) -> (BSONView) -> Record? {
    { view in
      let record = read(view)
      if record == nil { self.damaged.withLock { $0 += 1 } }
      return record
    }
  }

  private func perform<Value: Sendable>(
    _ work: @escaping @Sendable (MongoClient) throws(Failure) -> Value
  ) async throws(Failure) -> Value {
    try await queue.perform(work)
  }
}

private func atLeast(_ microseconds: UInt64) -> BSONDocument {
  BSONDocument().set("$gte", Int64(clamping: microseconds))
}

private func newest(of kind: Kind, limit: Int) -> BSONDocument {
  BSONDocument().set("sort", BSONDocument().set(kind.time, -1).set("order", -1))
    .set("limit", limit)
}

/// Assigns `_id` and `order` to documents. `_id` is derived from time, content, instance and, for
/// equal documents, a copy number. `order` sorts documents with the same time.
private struct DocumentIdentities {
  private(set) var documents: [BSONDocument] = []
  private var counts: [String: Int] = [:]

  mutating func add(_ document: BSONDocument, time: UInt64, of instance: String) {
    let fingerprint = document.fingerprint(seed: instance)
    // The time comes first, so that documents with close times are close in the index.
    let content = Self.hex(time) + Self.hex(fingerprint)
    let copy = counts[content, default: 0]
    counts[content] = copy + 1
    documents.append(
      document.set("order", documents.count).set("_id", copy == 0 ? content : "\(content)-\(copy)"))
  }

  private static func hex(_ number: UInt64) -> String {
    let digits = String(number, radix: 16)
    return String(repeating: "0", count: 16 - digits.utf8.count) + digits
  }
}
