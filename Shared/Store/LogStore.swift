public import ClusterModel
internal import Limits

/// The monitor's store of logs, spans and requests. It serves queries and is never used for
/// recovery.
///
/// Text is stored unchanged, except that U+0000 becomes U+2400 (␀), because a NUL ends SQLite's
/// text. Times are microseconds since 1970, UTC.
public protocol LogStore: Sendable {
  /// Connects and creates missing tables or indexes. It can be called more than once.
  func prepare() async throws(Failure)

  /// Stores the logs, spans and requests of all batches, but no metrics. It uses one transaction if
  /// the store supports transactions. After a failure the caller may append the same batches again.
  func append(_ batches: [TelemetryBatch]) async throws(Failure)

  /// Returns matching logs, newest first.
  func logs(_ query: LogQuery) async throws(Failure) -> [LogRecord]

  /// Returns matching requests, newest first.
  func requests(_ query: RequestQuery) async throws(Failure) -> [RequestRecord]

  /// Sums a key's requests by day and model: newest day first, most tokens first.
  func usage(_ query: UsageQuery) async throws(Failure) -> KeyUsage

  /// Returns the trace's spans by start time. At most `Retention.spansPerTrace` spans are returned.
  func spans(of trace: TraceID) async throws(Failure) -> [SpanRecord]

  /// Deletes records beyond the store's `Retention`.
  /// - Parameter nowUnixMicroseconds: `nil` means that the clock is not trusted (`ClockTrust`). No
  ///   record is then deleted because of its age.
  func applyRetention(nowUnixMicroseconds: UInt64?) async throws(Failure)

  /// Number of damaged records that were left out of query results so far.
  var damagedRecords: Int { get }

  /// Completes writes and closes files and connections. No other method may be called afterwards.
  func close() async
}

/// The three kinds of records. Each kind has a table or collection.
enum Kind: String, CaseIterable, Sendable {
  case logs, spans, requests

  /// Name of the column or field by which records are ordered. It holds microseconds since 1970.
  var time: String { self == .spans ? "start" : "time" }
}

/// Limits on the stored records.
public struct Retention: Equatable, Sendable {
  /// Maximum number of records of each kind: logs, spans, requests.
  var maximumRecords: Int
  /// Maximum age of logs and spans.
  var maximumAge: Duration
  var maximumRequestAge: Duration
  /// Maximum bytes of the whole store. It applies only if the store knows its size.
  public var maximumBytes: Int

  public static let standardBytes = Limits.logBytes.value

  /// 200,000 records of about 300 bytes are about 60 MB for each kind, which is little for a
  /// laptop. Seven days reach back over a weekend to the change that caused a fault. Requests are
  /// kept for 31 days, so that a key's usage can be reported for a month.
  public static let standard = Retention(
    maximumRecords: 200_000, maximumAge: .seconds(7 * 24 * 3_600),
    maximumRequestAge: .seconds(31 * 24 * 3_600))

  /// A plan of 64 tasks with ten spans each has 640 spans. 10,000 spans are a response of 3 MB.
  static let spansPerTrace = 10_000

  /// Maximum lead of a record's time over the present time. No clock is wrong by more than a day
  /// for long. A time with a larger lead is set to the present time. Otherwise the record would not
  /// expire.
  static let futureMicroseconds: UInt64 = 24 * 3_600 * 1_000_000

  /// - Parameter maximumRequestAge: maximum age of requests. `nil` means the same age as that of
  ///   logs and spans.
  public init(
    maximumRecords: Int, maximumAge: Duration, maximumRequestAge: Duration? = nil,
    maximumBytes: Int = Self.standardBytes
  ) {
    self.maximumRecords = maximumRecords
    self.maximumAge = maximumAge
    self.maximumRequestAge = maximumRequestAge ?? maximumAge
    self.maximumBytes = maximumBytes
  }

  /// Maximum age of records of this kind.
  func maximumAge(of kind: Kind) -> Duration { kind == .requests ? maximumRequestAge : maximumAge }

  /// Time in microseconds since 1970. Older records of this kind are deleted.
  func cutoff(_ kind: Kind, nowUnixMicroseconds now: UInt64) -> UInt64 {
    let age = UInt64(clamping: maximumAge(of: kind).components.seconds).multipliedReportingOverflow(
      by: 1_000_000)
    guard !age.overflow, now > age.partialValue else { return 0 }
    return now - age.partialValue
  }
}

/// The levels of swift-log, in ascending order.
public enum LogSeverity: String, CaseIterable, Comparable, Sendable {
  case trace, debug, info, notice, warning, error, critical

  private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

  public static func < (left: LogSeverity, right: LogSeverity) -> Bool { left.rank < right.rank }

  /// The raw values of this level and of all more severe levels.
  var andWorse: [String] { Self.allCases.filter { $0 >= self }.map(\.rawValue) }
}

public struct LogQuery: Equatable, Sendable {
  public var trace: TraceID?
  public var service: String?
  /// Minimum level. `nil` means all levels.
  public var level: LogSeverity?
  /// Earliest time.
  public var sinceUnixMicroseconds: UInt64?
  public var limit: Int

  /// Allowed values of `limit`. 1,000 records of a few KB each keep a response small enough.
  public static let limits = 1...1_000

  /// - Parameter limit: maximum number of records, clamped to `limits`.
  public init(
    trace: TraceID? = nil, service: String? = nil, level: LogSeverity? = nil,
    sinceUnixMicroseconds: UInt64? = nil, limit: Int = 100
  ) {
    self.trace = trace
    self.service = service
    self.level = level
    self.sinceUnixMicroseconds = sinceUnixMicroseconds
    self.limit = min(max(limit, Self.limits.lowerBound), Self.limits.upperBound)
  }
}

public struct RequestQuery: Equatable, Sendable {
  public var trace: TraceID?
  /// Id of the key that made the requests. `nil` means all requests, with and without keys.
  public var key: String?
  /// Earliest time.
  var sinceUnixMicroseconds: UInt64?
  public var limit: Int

  /// - Parameter limit: maximum number of records, clamped to `LogQuery.limits`.
  public init(
    trace: TraceID? = nil, key: String? = nil, sinceUnixMicroseconds: UInt64? = nil,
    limit: Int = 100
  ) {
    self.trace = trace
    self.key = key
    self.sinceUnixMicroseconds = sinceUnixMicroseconds
    self.limit = min(max(limit, LogQuery.limits.lowerBound), LogQuery.limits.upperBound)
  }
}

extension Failure.Code {
  /// The database server does not respond, or the file cannot be opened.
  public static let storeUnreachable = Failure.Code(rawValue: "store_unreachable")
  /// The database or a record in it is damaged, or the file is not a database. Nothing is modified.
  public static let storeDamaged = Failure.Code(rawValue: "store_damaged")
  /// The database was written by a newer version of Tutti. It is not modified.
  public static let storeTooNew = Failure.Code(rawValue: "store_too_new")
  /// The database address is invalid.
  public static let storeMisconfigured = Failure.Code(rawValue: "store_misconfigured")
  /// Another process has taken over the database, so this process may not write to it any more.
  public static let storeTaken = Failure.Code(rawValue: "store_taken")
  /// The database has no room, and nothing was stored. The same operation can succeed later.
  public static let storeFull = Failure.Code(rawValue: "store_full")
  /// The database refused an operation.
  public static let storeFailed = Failure.Code(rawValue: "store_failed")
}

extension String {
  /// The text in the form in which it is stored. NUL is replaced, because it would end SQLite's
  /// text.
  var storable: String {
    utf8.contains(0) ? String(map { $0 == "\0" ? "\u{2400}" : $0 }) : self
  }
}
