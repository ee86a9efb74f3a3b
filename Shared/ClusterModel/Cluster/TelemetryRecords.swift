/// A key and value that a record carries in addition to its fixed fields.
public struct Attribute: Hashable, Codable, Sendable {
  public var key: String
  public var value: String

  public init(_ key: String, _ value: String) {
    self.key = key
    self.value = value
  }
}

/// A time of a record. In JSON, it is a text of RFC 3339.
@propertyWrapper
public struct RecordTime: Hashable, Codable, Sendable {
  /// Microseconds since 1970, UTC.
  public var wrappedValue: UInt64

  public init(wrappedValue: UInt64) { self.wrappedValue = wrappedValue }

  public init(from decoder: any Decoder) throws {
    wrappedValue = try Timestamp(from: decoder).unixMicroseconds
  }

  public func encode(to encoder: any Encoder) throws {
    try Timestamp(unixMicroseconds: wrappedValue).encode(to: encoder)
  }
}

/// One line of a service's log.
public struct LogRecord: Hashable, Sendable {
  /// Microseconds since 1970, UTC.
  public var timeUnixMicroseconds: UInt64
  /// A swift-log level: `trace` … `critical`.
  public var level: String
  public var service: String
  public var message: String
  public var trace: TraceID?
  public var attributes: [Attribute]

  public init(
    timeUnixMicroseconds: UInt64, level: String, service: String, message: String,
    trace: TraceID? = nil, attributes: [Attribute] = []
  ) {
    self.timeUnixMicroseconds = timeUnixMicroseconds
    self.level = level
    self.service = service
    self.message = message
    self.trace = trace
    self.attributes = attributes
  }

  /// Member of a JSON line that has the trace id.
  public static let traceMember = "trace_id"
  private static let fields: Set<String> = ["time", "level", "service", "message", traceMember]

  /// The members of the JSON form, in their order: the fields, then each attribute as a member.
  ///
  /// Log files, the monitor's API and the command line write this form. Each member has a name of
  /// its own, because readers of JSON disagree about which of two equal names counts. An attribute
  /// whose name is taken gets an underscore before it. It is left out if that name is taken, too.
  public var members: [Attribute] {
    var members = [
      Attribute("time", Timestamp(unixMicroseconds: timeUnixMicroseconds).rfc3339),
      Attribute("level", level), Attribute("service", service), Attribute("message", message),
    ]
    var seen = Self.fields
    if let trace { members.append(Attribute(Self.traceMember, "\(trace)")) }
    for attribute in attributes {
      let name = seen.contains(attribute.key) ? "_" + attribute.key : attribute.key
      guard seen.insert(name).inserted else { continue }
      members.append(Attribute(name, attribute.value))
    }
    return members
  }
}

extension LogRecord: Codable {
  private struct Name: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Name.self)
    for member in members {
      try container.encode(member.value, forKey: Name(stringValue: member.key))
    }
  }

  /// Reads the members of an object of texts. Its attributes are sorted by name, because members of
  /// an object have no order.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Name.self)
    func text(_ name: String) throws -> String {
      try container.decode(String.self, forKey: Name(stringValue: name))
    }
    let trace = Name(stringValue: Self.traceMember)
    self.init(
      timeUnixMicroseconds: try container.decode(
        Timestamp.self, forKey: Name(stringValue: "time")
      ).unixMicroseconds,
      level: try text("level"), service: try text("service"), message: try text("message"),
      trace: try container.decodeIfPresent(TraceID.self, forKey: trace),
      attributes: try container.allKeys.map(\.stringValue).filter { !Self.fields.contains($0) }
        .sorted().map { Attribute($0, try text($0)) })
  }
}

/// A unit of work within a trace.
public struct SpanRecord: Hashable, Codable, Sendable {
  public var trace: TraceID
  public var span: SpanID
  /// The calling span. `.none` for a root.
  public var parent: SpanID
  public var service: String
  public var name: String
  @RecordTime public var startUnixMicroseconds: UInt64
  public var durationMicroseconds: UInt64
  public var failed: Bool
  public var attributes: [Attribute]

  /// Key of the attribute with the cost of the hosts at their own prices.
  public static let hostCostKey = "host_cost"

  private enum CodingKeys: String, CodingKey {
    case trace, span, parent, service, name, failed, attributes
    case startUnixMicroseconds = "start"
    case durationMicroseconds = "duration_us"
  }

  public init(
    trace: TraceID, span: SpanID, parent: SpanID, service: String, name: String,
    startUnixMicroseconds: UInt64, durationMicroseconds: UInt64, failed: Bool = false,
    attributes: [Attribute] = []
  ) {
    self.trace = trace
    self.span = span
    self.parent = parent
    self.service = service
    self.name = name
    self.startUnixMicroseconds = startUnixMicroseconds
    self.durationMicroseconds = durationMicroseconds
    self.failed = failed
    self.attributes = attributes
  }
}

public enum MetricKind: String, Codable, Sendable {
  case counter, gauge, histogram
}

/// A metric with the current values of all its label sets.
public struct MetricFamily: Hashable, Codable, Sendable {
  public var name: String
  public var help: String
  public var kind: MetricKind
  public var samples: [Sample]

  public init(name: String, help: String, kind: MetricKind, samples: [Sample]) {
    self.name = name
    self.help = help
    self.kind = kind
    self.samples = samples
  }

  public struct Sample: Hashable, Codable, Sendable {
    /// Suffix of the family's name: empty, `_bucket`, `_sum` or `_count`.
    public var suffix: String
    public var labels: [Attribute]
    public var value: Double

    public init(suffix: String = "", labels: [Attribute] = [], value: Double) {
      self.suffix = suffix
      self.labels = labels
      self.value = value
    }
  }
}

/// Telemetry that a process sends to the monitor in one message.
public struct TelemetryBatch: Equatable, Sendable {
  public var service: String
  /// Peer name of the sender.
  public var instance: String
  public var logs: [LogRecord]
  public var spans: [SpanRecord]
  public var requests: [RequestRecord]
  /// All metrics of the process. Empty means that the batch carries no metrics.
  public var metrics: [MetricFamily]

  public init(
    service: String, instance: String, logs: [LogRecord] = [], spans: [SpanRecord] = [],
    requests: [RequestRecord] = [], metrics: [MetricFamily] = []
  ) {
    self.service = service
    self.instance = instance
    self.logs = logs
    self.spans = spans
    self.requests = requests
    self.metrics = metrics
  }
}

extension TraceID: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let id = TraceID(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "a trace id is 32 hexadecimal digits")
    }
    self = id
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}

extension SpanID: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let value = UInt64(try container.decode(String.self), radix: 16) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "a span id is 16 hexadecimal digits")
    }
    self.init(value)
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
