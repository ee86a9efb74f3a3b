import Access
import ClusterModel
import Foundation
import MonitorCore
import Store

/// Answer of `GET /usage`: requests and tokens of a key by day and model.
struct UsageJSON: Encodable {
  private struct Row: Encodable {
    var day: String
    var model: String
    var requests: Int
    var failed: Int
    var promptTokens: Int
    var cachedTokens: Int
    var completionTokens: Int
    var estimated: Bool

    private enum CodingKeys: String, CodingKey {
      case day, model, requests, failed, estimated
      case promptTokens = "prompt_tokens"
      case cachedTokens = "cached_tokens"
      case completionTokens = "completion_tokens"
    }

    init(_ row: KeyUsage.Row) {
      day = Date(timeIntervalSince1970: Double(row.day) * 86_400)
        .formatted(.iso8601.year().month().day())
      model = row.model
      requests = row.requests
      failed = row.failed
      promptTokens = row.usage.promptTokens
      cachedTokens = row.usage.cachedTokens
      completionTokens = row.usage.completionTokens
      estimated = row.usage.estimated
    }
  }

  private var object = "usage"
  private var key: KeyID
  /// Start of the first day.
  private var since: Timestamp
  /// Time of the oldest stored request of any key. `nil` means that there is none.
  private var oldestRecord: Timestamp?
  private var data: [Row]
  private var hasMore: Bool

  private enum CodingKeys: String, CodingKey {
    case object, key, since, data
    case oldestRecord = "oldest_record"
    case hasMore = "has_more"
  }

  init(key: KeyID, period: UsagePeriod, usage: KeyUsage) {
    self.key = key
    since = Timestamp(unixMicroseconds: period.sinceUnixMicroseconds)
    oldestRecord = usage.oldestUnixMicroseconds.map { Timestamp(unixMicroseconds: $0) }
    data = usage.rows.map { Row($0) }
    hasMore = usage.isCut
  }
}
