public import ClusterModel
internal import Limits

/// Where the monitor keeps logs, spans and requests. For reading, never for recovery.
///
/// Text is kept as it came, except that U+0000 becomes U+2400 (␀): SQLite's text ends at a NUL.
/// Times are microseconds since 1970, UTC.
public protocol LogStore: Sendable {
  /// Makes sure that the store can be used: connects, creates what is missing. Can be called again.
  func prepare() async throws(Failure)

  /// Keeps the logs, spans and requests of all batches, in one transaction where the store has
  /// them. After a failure the caller may append the same batches again. Metrics are not kept.
  func append(_ batches: [TelemetryBatch]) async throws(Failure)

  /// Newest first.
  func logs(_ query: LogQuery) async throws(Failure) -> [LogRecord]

  /// Newest first.
  func requests(_ query: RequestQuery) async throws(Failure) -> [RequestRecord]

  /// By start, at most `Retention.spansPerTrace`.
  func spans(of trace: TraceID) async throws(Failure) -> [SpanRecord]

  /// Drops what is older or more than the store's `Retention` allows.
  /// - Parameter nowUnixMicroseconds: `nil` means that the clock cannot be believed (`ClockTrust`);
  ///   nothing is then dropped for its age.
  func applyRetention(nowUnixMicroseconds: UInt64?) async throws(Failure)

  /// Damaged records that were left out of answers so far.
  var damagedRecords: Int { get }

  /// Writes what is pending and lets go of files and connections. Nothing may follow.
  func close() async
}

/// How much is kept.
public struct Retention: Equatable, Sendable {
  /// Of each kind: logs, spans, requests.
  public var maximumRecords: Int
  public var maximumAge: Duration
  /// Of everything together, where the store knows its size.
  public var maximumBytes: Int

  public static let standardBytes = Limits.logBytes.value

  /// 200,000 records of some 300 bytes are about 60 MB a kind: what a laptop's data directory can
  /// spare. Seven days reach back over a weekend to the change that broke things.
  public static let standard = Retention(
    maximumRecords: 200_000, maximumAge: .seconds(7 * 24 * 3_600))

  /// A plan of 64 tasks with ten spans each has 640; 10,000 spans are 3 MB of answer.
  public static let spansPerTrace = 10_000

  /// A record that claims to be from the future is dated back to now if it is ahead by more than
  /// this: no machine's clock is so wrong by accident for long, and the record would stay for ever.
  static let futureMicroseconds: UInt64 = 24 * 3_600 * 1_000_000

  public init(
    maximumRecords: Int, maximumAge: Duration, maximumBytes: Int = Self.standardBytes
  ) {
    self.maximumRecords = maximumRecords
    self.maximumAge = maximumAge
    self.maximumBytes = maximumBytes
  }

  /// Records with an earlier time are dropped.
  func cutoff(nowUnixMicroseconds now: UInt64) -> UInt64 {
    let age = UInt64(clamping: maximumAge.components.seconds).multipliedReportingOverflow(
      by: 1_000_000)
    guard !age.overflow, now > age.partialValue else { return 0 }
    return now - age.partialValue
  }
}

/// The levels of swift-log, in rising order.
public enum LogSeverity: String, CaseIterable, Comparable, Sendable {
  case trace, debug, info, notice, warning, error, critical

  private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }

  public static func < (left: LogSeverity, right: LogSeverity) -> Bool { left.rank < right.rank }

  /// This level and all that are worse, as records spell them.
  var andWorse: [String] { Self.allCases.filter { $0 >= self }.map(\.rawValue) }
}

public struct LogQuery: Equatable, Sendable {
  public var trace: TraceID?
  public var service: String?
  /// This level and worse ones.
  public var level: LogSeverity?
  /// Not before this time.
  public var sinceUnixMicroseconds: UInt64?
  public var limit: Int

  /// One answer stays below a few MB: 1,000 records of at most some KB.
  public static let limits = 1...1_000

  /// - Parameter limit: clamped to `limits`.
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
  /// Not before this time.
  public var sinceUnixMicroseconds: UInt64?
  public var limit: Int

  /// - Parameter limit: clamped to `LogQuery.limits`.
  public init(trace: TraceID? = nil, sinceUnixMicroseconds: UInt64? = nil, limit: Int = 100) {
    self.trace = trace
    self.sinceUnixMicroseconds = sinceUnixMicroseconds
    self.limit = min(max(limit, LogQuery.limits.lowerBound), LogQuery.limits.upperBound)
  }
}

extension Failure.Code {
  /// The database server does not answer, or the file cannot be opened.
  public static let storeUnreachable = Failure.Code(rawValue: "store_unreachable")
  /// The database file is damaged, or not a database. It is left as it is.
  public static let storeDamaged = Failure.Code(rawValue: "store_damaged")
  /// The database was written by a newer version of this software. It is left as it is.
  public static let storeTooNew = Failure.Code(rawValue: "store_too_new")
  /// The address of the database makes no sense.
  public static let storeMisconfigured = Failure.Code(rawValue: "store_misconfigured")
  /// The database was asked and refused.
  public static let storeFailed = Failure.Code(rawValue: "store_failed")
}

extension String {
  /// As it is stored: without NUL, which would end SQLite's text.
  var storable: String {
    utf8.contains(0) ? String(map { $0 == "\0" ? "\u{2400}" : $0 }) : self
  }
}
