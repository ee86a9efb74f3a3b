public import ClusterModel
internal import Limits
public import Money

/// Reports of the registry about keys. Each report is used for `usage.report_age`.
///
/// So a client that asks often costs the registry only one call per key in that time.
public struct SpendingCache: Sendable {
  public enum LookUp: Hashable, Sendable {
    /// The report is new enough. `nil` means that the registry did not answer a moment ago.
    case known(SpendingReport?)
    /// The caller must ask the registry now, and call `store` or `abandon` afterwards.
    case ask
    /// Another caller is asking for the same report now.
    case wait
    /// Too many reports are requested from the registry now.
    case busy
  }

  private enum Entry: Sendable {
    case asking
    case answered(SpendingReport?, at: Instant)
  }

  private let capacity: Int
  private let maximumCalls: Int
  private let age = Duration.milliseconds(Limits.usageReportAge.value)
  private var entries: [AccountID: Entry] = [:]
  private var calls = 0

  /// - Parameters:
  ///   - capacity: maximum reports that are kept. `nil` means `usage.reports`.
  ///   - maximumCalls: maximum reports that are requested at the same time. `nil` means
  ///     `usage.calls`.
  public init(capacity: Int? = nil, maximumCalls: Int? = nil) {
    self.capacity = max(capacity ?? Limits.usageReports.value, 1)
    self.maximumCalls = max(maximumCalls ?? Limits.usageCalls.value, 1)
  }

  /// Number of reports that are kept or requested.
  public var count: Int { entries.count }

  public mutating func lookUp(_ key: AccountID, at now: Instant) -> LookUp {
    switch entries[key] {
    case .asking: return .wait
    case .answered(let report, let time) where time.duration(to: now) < age:
      return .known(report)
    case .answered, nil: break
    }
    guard calls < maximumCalls else { return .busy }
    calls += 1
    entries[key] = .asking
    return .ask
  }

  /// Keeps the registry's answer to a call.
  /// - Parameter report: the registry's report. `nil` means that the registry did not answer.
  public mutating func store(_ report: SpendingReport?, of key: AccountID, at now: Instant) {
    guard endCall(key) else { return }
    makeRoom(at: now)
    entries[key] = .answered(report, at: now)
  }

  /// Ends a call without an answer, because its caller left. The next caller asks again.
  public mutating func abandon(_ key: AccountID) { _ = endCall(key) }

  private mutating func endCall(_ key: AccountID) -> Bool {
    guard case .asking = entries[key] else { return false }
    entries[key] = nil
    calls -= 1
    return true
  }

  /// If the cache is full, removes reports that are too old. If no report is too old, removes the
  /// oldest one.
  private mutating func makeRoom(at now: Instant) {
    guard entries.count - calls >= capacity else { return }
    var oldest: (key: AccountID, time: Instant)?
    for (key, entry) in entries {
      guard case .answered(_, let time) = entry else { continue }
      if time.duration(to: now) >= age {
        entries[key] = nil
      } else if oldest.map({ time < $0.time }) ?? true {
        oldest = (key, time)
      }
    }
    if entries.count - calls >= capacity, let oldest { entries[oldest.key] = nil }
  }
}
