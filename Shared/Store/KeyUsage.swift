public import ClusterModel

/// Selects the requests of one key from a time on.
public struct UsageQuery: Equatable, Sendable {
  public var key: String
  var sinceUnixMicroseconds: UInt64
  /// Maximum number of rows.
  public var limit: Int

  /// - Parameter limit: maximum number of rows, clamped to `LogQuery.limits`.
  public init(
    key: String, sinceUnixMicroseconds: UInt64, limit: Int = LogQuery.limits.upperBound
  ) {
    self.key = key
    self.sinceUnixMicroseconds = sinceUnixMicroseconds
    self.limit = min(max(limit, LogQuery.limits.lowerBound), LogQuery.limits.upperBound)
  }
}

/// Requests and tokens of one key. Requests whose records were deleted are not counted.
public struct KeyUsage: Equatable, Sendable {
  /// Sums of one day and one model.
  public struct Row: Equatable, Sendable {
    /// Days since 1970-01-01, UTC.
    public var day: Int
    public var model: String
    /// All requests, including failed ones.
    public var requests: Int
    /// Requests with a status of 400 or more.
    public var failed: Int
    public var usage: Usage

    public init(day: Int, model: String, requests: Int, failed: Int, usage: Usage) {
      self.day = day
      self.model = model
      self.requests = requests
      self.failed = failed
      self.usage = usage
    }
  }

  public var rows: [Row]
  /// Whether there are more rows than the query's limit.
  public var isCut: Bool
  /// Time of the oldest stored request of any key. Older requests were deleted. `nil` means that no
  /// request is stored.
  public var oldestUnixMicroseconds: UInt64?

  public init(rows: [Row], isCut: Bool = false, oldestUnixMicroseconds: UInt64? = nil) {
    self.rows = rows
    self.isCut = isCut
    self.oldestUnixMicroseconds = oldestUnixMicroseconds
  }

  /// - Parameter rows: at most one row more than the limit. The surplus row shows that the result
  ///   is cut.
  init(_ rows: [Row], limit: Int, oldest: Int64?) {
    self.init(
      rows: Array(rows.prefix(limit)), isCut: rows.count > limit,
      oldestUnixMicroseconds: oldest.map { UInt64(clamping: $0) })
  }

  static let dayMicroseconds: Int64 = 24 * 3_600 * 1_000_000
}
