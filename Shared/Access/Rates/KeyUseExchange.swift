public import ClusterModel

/// A gateway's exchange of the day's use of keys with the registry. It is a state machine.
///
/// The gateway reports its own use, and receives the use of all other gateway processes, also of
/// those that have ended. So a gateway that restarts, or one that joins, begins with the use of the
/// day. Reports are totals of hours, so they may be lost and repeated. An hour is reported until an
/// answer confirms it. One exchange is open at a time.
public struct KeyUseExchange: Sendable {
  private var epoch: UInt64 = 0
  private var revision: UInt64 = 0
  /// Whether the use of others has arrived. Before, the gateway would take the rest of a limit for
  /// larger than it is, so it reports nothing.
  private var isComplete = false
  /// Keys of the open report.
  private var reported: [KeyID] = []
  /// Keys for which the registry had no room, to be reported again.
  private var unrecorded: Set<KeyID> = []
  /// Hour in which the keys without room were last reported again.
  private var retryHour: Int64 = 0
  /// Number of failed exchanges since the last answer.
  private var failures = 0
  /// Failures in a row after which no answer is expected soon. A failure takes one to two seconds,
  /// and a registry that restarts is away for a few seconds. A client that is refused until then
  /// tries again after a second, not after a day.
  private static let mostFailures = 5

  public init() {}

  /// The next report.
  public mutating func report(_ windows: inout RateWindows, at now: Instant) -> KeyUseReport {
    let hour = now.hour
    if hour != retryHour {
      // The registry makes room once per hour.
      retryHour = hour
      windows.reportAgain(Array(unrecorded))
      unrecorded = []
    }
    let uses = isComplete ? windows.takeChanges(at: now) : []
    reported = uses.map(\.key)
    return KeyUseReport(epoch: epoch, after: revision, hour: hour, uses: uses)
  }

  /// Records the registry's answer to the open report.
  /// - Returns: whether the next report is due at once, because there was more to send or receive.
  public mutating func receive(
    _ table: KeyUseTable, _ windows: inout RateWindows, at now: Instant
  ) -> Bool {
    failures = 0
    let isNew = table.epoch != epoch
    if isNew {
      // A restarted registry ignored this report, and may have lost earlier ones.
      if epoch != 0 { windows.reportAllAgain(at: now) }
      epoch = table.epoch
      unrecorded = []
    } else {
      let refused = Set(table.unrecorded)
      windows.confirm(reported.filter { !refused.contains($0) })
      let kept = reported.filter(refused.contains)
      windows.keepShare(of: kept)
      unrecorded.formUnion(kept)
    }
    reported = []
    revision = table.revision
    isComplete = table.isComplete
    windows.record(table.uses, at: now)
    windows.isShared = true
    return !table.isComplete || windows.hasManyChanges || isNew && windows.hasChanges
  }

  /// Records that the registry did not answer the open report.
  public mutating func fail(_ windows: inout RateWindows) {
    windows.reportAgain(reported)
    reported = []
    failures = min(failures + 1, Self.mostFailures)
    if failures == Self.mostFailures { windows.isShared = false }
  }
}
