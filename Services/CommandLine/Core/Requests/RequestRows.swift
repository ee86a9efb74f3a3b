public import ClusterModel
import Limits

/// Text for people about recorded requests.
public enum RequestRows {
  /// One line for each request, in the given order, below a line of titles.
  public static func table(_ records: [RequestRecord]) -> TextTable {
    var table = TextTable([
      ("time (UTC)", .left), ("status", .left), ("model", .left), ("host", .left),
      ("read", .right), ("written", .right), ("credits", .right), ("hosts' credits", .right),
      ("ms", .right), ("trace", .left), ("", .left),
    ])
    for record in records { table.append(cells(record)) }
    return table
  }

  private static func cells(_ record: RequestRecord) -> [String] {
    [
      time(record), "\(record.status)", record.model.isEmpty ? "-" : record.model, host(record),
      "\(record.usage.promptTokens)", "\(record.usage.completionTokens)",
      record.cost?.description ?? "-", record.hostCost?.description ?? "-",
      "\(record.totalMilliseconds)", record.trace.description, note(record),
    ]
  }

  /// A request as one line, for a list that grows.
  public static func line(_ record: RequestRecord) -> String {
    let words = [
      time(record), "\(record.status)", record.model.isEmpty ? "-" : record.model, host(record),
      "read \(record.usage.promptTokens)", "written \(record.usage.completionTokens)",
      record.cost.map { "cost \($0)" } ?? "", record.hostCost.map { "hosts' cost \($0)" } ?? "",
      "\(record.totalMilliseconds) ms", record.trace.description, note(record),
    ]
    return words.filter { !$0.isEmpty }.joined(separator: "  ")
  }

  private static func time(_ record: RequestRecord) -> String {
    Timestamp(unixMicroseconds: record.timeUnixMicroseconds).rfc3339
  }

  private static func host(_ record: RequestRecord) -> String {
    let others = Set(record.shares.map(\.host.name)).subtracting([record.host]).count
    let host = record.host.isEmpty ? "-" : record.host
    return others > 0 ? "\(host) and \(others) more" : host
  }

  private static func note(_ record: RequestRecord) -> String {
    record.errorCode.isEmpty && record.finishReason == "length" ? "cut" : record.errorCode
  }

  /// Tokens and costs of one request, by host and model. Empty if no host worked for it.
  public static func shares(_ record: RequestRecord) -> [String] {
    var lines: [String] = []
    if !record.shares.isEmpty {
      var table = TextTable([
        ("host", .left), ("model", .left), ("read", .right), ("written", .right),
        ("total", .right), ("credits", .right),
      ])
      for share in record.shares {
        table.append([
          share.host.name, share.model.name, "\(share.promptTokens)",
          "\(share.completionTokens)", "\(share.totalTokens)", share.cost?.description ?? "-",
        ])
      }
      if record.shares.count > 1 {
        let (read, written) = (
          record.shares.reduce(0) { $0.addingCapped($1.promptTokens) },
          record.shares.reduce(0) { $0.addingCapped($1.completionTokens) }
        )
        table.append([
          "total", "", "\(read)", "\(written)", "\(read.addingCapped(written))",
          record.hostCost?.description ?? "-",
        ])
      }
      lines = table.lines
    }
    if let cost = record.cost { lines.append("cost \(cost) credits") }
    if record.finishReason == "length" {
      lines.append("the answer was cut after \(record.usage.completionTokens) tokens")
    }
    return lines
  }
}

/// The value of `--status`: a status, or all statuses of one kind.
public struct StatusFilter: Equatable, Sendable {
  private let statuses: ClosedRange<Int>

  /// - Returns: `nil` if the text is neither a status such as `429` nor a kind such as `5xx`.
  public init?(_ text: String) {
    guard text.utf8.count == 3, let first = text.utf8.first, (0x31...0x35).contains(first) else {
      return nil
    }
    let kind = Int(first) - 0x30
    if text.dropFirst() == "xx" {
      statuses = kind * 100...kind * 100 + 99
    } else if let status = Int(text) {
      statuses = status...status
    } else {
      return nil
    }
  }

  public func permits(_ record: RequestRecord) -> Bool { statuses.contains(record.status) }
}

/// Decides when a trace that is read repeatedly is complete.
///
/// Each service sends its spans and records about once a second.
public struct TraceArrival: Sendable {
  /// Time after the end of a request in which records of it may still arrive.
  private static let settledAfter: UInt64 = 5_000_000
  /// Time without new spans after which a trace counts as complete.
  private static let quietTime: UInt64 = 1_200_000

  private var spans = 0
  /// Time of the first read with this number of spans.
  private var since: UInt64 = 0

  public init() {}

  /// Records one read of the trace.
  ///
  /// - Parameters:
  ///   - now: microseconds since 1970.
  /// - Returns: whether the trace is complete.
  public mutating func isComplete(
    spans: Int, requests: [RequestRecord], now: UInt64
  ) -> Bool {
    if spans != self.spans || since == 0 {
      self.spans = spans
      since = now
    }
    let ends = requests.map {
      $0.timeUnixMicroseconds.addingCapped(
        UInt64(clamping: $0.totalMilliseconds).multipliedCapped(by: 1_000))
    }
    guard let end = ends.max() else { return false }
    return end.addingCapped(Self.settledAfter) <= now
      || now >= since.addingCapped(Self.quietTime)
  }
}
