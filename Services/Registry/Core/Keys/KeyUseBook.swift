public import Access
public import ClusterModel
import Limits

/// Use of keys in the last day, by gateway process and hour.
///
/// Gateways report totals, so a repeated report changes nothing. The use of a process that has ended
/// counts until it is a day old. Every change has a revision, so that a gateway receives only what
/// it does not know.
public struct KeyUseBook: Sendable {
  /// Use of one key at one gateway process, for the registry's file.
  public struct Row: Hashable, Sendable {
    public var process: PeerID
    public var use: DayUse

    public init(process: PeerID, use: DayUse) {
      self.process = process
      self.use = use
    }
  }

  private struct Entry: Sendable {
    var revision: UInt64
    var hours: [HourlyUse]
  }

  private struct Change: Sendable {
    let revision: UInt64
    let key: KeyID
  }

  /// Stands for all processes whose use was added up.
  private static let ended = PeerID(name: "", incarnation: 0)
  /// A process without a report for this many hours has ended. If it was only cut off and reports
  /// again, the use that was added up counts twice.
  private static let silentHours: Int64 = 2

  private let epoch: UInt64
  private let capacity: Int
  private var keys: [KeyID: [PeerID: Entry]] = [:]
  /// Number of pairs of a key and a process.
  private var pairs = 0
  /// Revision of the last change.
  private var revision: UInt64 = 0
  /// The changes in their order. Only the last change of a key counts.
  private var changes: [Change] = []
  /// Revision of the last change of each key.
  private var latest: [KeyID: UInt64] = [:]
  /// The hour for which old use was removed.
  private var sweptHour: Int64?
  /// Hour of the last report of each process. Stored processes count from the first report on.
  private var lastReports: [PeerID: Int64] = [:]
  /// The hour in which the use of ended processes was added up.
  private var addedHour: Int64?

  /// - Parameters:
  ///   - epoch: the registry's incarnation.
  ///   - rows: use that an earlier registry process has stored.
  ///   - capacity: maximum pairs of a key and a process. `nil` means `access.use_rows`.
  public init(epoch: UInt64, rows: [Row] = [], capacity: Int? = nil) {
    self.epoch = epoch
    self.capacity = capacity ?? Limits.accessUseRows.value
    for row in rows { record(row.use.hours, of: row.use.key, by: row.process) }
  }

  /// All use, in no particular order.
  public var rows: [Row] {
    keys.flatMap { key, processes in
      processes.map { Row(process: $0.key, use: DayUse(key: key, hours: $0.value.hours)) }
    }
  }

  /// Records a gateway's report, and returns the use of other processes that it does not know.
  /// - Parameter hour: the current hour, since 1970.
  public mutating func answer(
    _ report: KeyUseReport, from gateway: PeerID, at hour: Int64
  ) -> KeyUseTable {
    sweep(at: hour)
    lastReports[gateway] = hour
    if pairs.addingCapped(report.uses.count) > capacity { addUpEnded(at: hour) }
    for use in report.uses.prefix(Limits.accessUseBatch.value) {
      record(Self.dated(use.hours, at: hour), of: use.key, by: gateway)
    }
    return table(after: report.epoch == epoch ? report.after : 0, for: gateway)
  }

  // MARK: - Reports

  private mutating func record(_ hours: [HourlyUse], of key: KeyID, by process: PeerID) {
    let known = keys[key]?[process]
    guard known?.hours ?? [] != hours else { return }
    guard known != nil || pairs < capacity else { return }
    if known == nil { pairs += 1 }
    revision += 1
    keys[key, default: [:]][process] = Entry(revision: revision, hours: hours)
    latest[key] = revision
    changes.append(Change(revision: revision, key: key))
    removeStaleChanges()
  }

  /// Keeps the list of changes at most twice as long as the list of keys.
  private mutating func removeStaleChanges() {
    guard changes.count > 2 * latest.count + 1_024 else { return }
    changes.removeAll { latest[$0.key] != $0.revision }
  }

  // MARK: - Answers

  private func table(after known: UInt64, for gateway: PeerID) -> KeyUseTable {
    var uses: [DayUse] = []
    var last = min(known, revision)
    for change in changes[firstChange(after: known)...] {
      if latest[change.key] == change.revision, let processes = keys[change.key],
        processes.contains(where: { $0.key != gateway && $0.value.revision > known })
      {
        guard uses.count < Limits.accessUseBatch.value else {
          return KeyUseTable(epoch: epoch, revision: last, isComplete: false, uses: uses)
        }
        uses.append(DayUse(key: change.key, hours: Self.sum(processes, without: gateway)))
      }
      last = change.revision
    }
    return KeyUseTable(epoch: epoch, revision: last, isComplete: true, uses: uses)
  }

  /// Index of the first change with a higher revision.
  private func firstChange(after known: UInt64) -> Int {
    var (low, high) = (0, changes.count)
    while low < high {
      let middle = (low + high) / 2
      if changes[middle].revision > known { high = middle } else { low = middle + 1 }
    }
    return low
  }

  private static func sum(
    _ processes: [PeerID: Entry], without gateway: PeerID
  ) -> [HourlyUse] {
    sum(processes.filter { $0.key != gateway }.values.flatMap(\.hours))
  }

  /// One use per hour, in the order of the hours.
  private static func sum(_ uses: [HourlyUse]) -> [HourlyUse] {
    var sums: [Int64: HourlyUse] = [:]
    for use in uses {
      var sum = sums[use.hour] ?? HourlyUse(hour: use.hour)
      sum.requests = bounded(sum.requests.addingCapped(use.requests))
      sum.tokens = bounded(sum.tokens.addingCapped(use.tokens))
      sums[use.hour] = sum
    }
    // The hours of two processes may differ by one.
    return Array(sums.values.sorted { $0.hour < $1.hour }.suffix(DayUse.mostHours))
  }

  /// No key can have a higher limit.
  private static func bounded(_ count: Int) -> Int { min(count, Limits.accessRateLimit.value) }

  /// The hours of a gateway's report, by the registry's clock.
  ///
  /// A gateway takes its reported use for known and permits itself a larger part, so use is not
  /// ignored because the gateway's clock is wrong. It counts in the current hour if the gateway's
  /// clock is more than an hour ahead, or if all its hours are older than a day.
  private static func dated(_ reported: [HourlyUse], at hour: Int64) -> [HourlyUse] {
    let newest = reported.map(\.hour).max() ?? hour
    // One hour more than a day, because the gateway may be in the previous hour.
    let isBehind = hour.subtractingCapped(newest) > Int64(DayUse.mostHours)
    let uses = reported.prefix(DayUse.mostHours).map { use in
      var use = use
      if isBehind || use.hour > hour.addingCapped(1) { use.hour = hour }
      return use
    }
    return sum(uses.filter { counts($0, at: hour) })
  }

  // MARK: - Old use

  /// Whether an hour belongs to the last day. The clock of a gateway may be ahead.
  private static func counts(_ use: HourlyUse, at hour: Int64) -> Bool {
    let age = hour.subtractingCapped(use.hour)
    return (-1...Int64(DayUse.mostHours - 1)).contains(age)
  }

  /// Removes the use of other hours, once per hour.
  private mutating func sweep(at hour: Int64) {
    guard sweptHour != hour else { return }
    if sweptHour == nil {
      for process in keys.values.flatMap({ $0.keys }) { lastReports[process] = hour }
    }
    sweptHour = hour
    lastReports = lastReports.filter {
      hour.subtractingCapped($0.value) < Int64(DayUse.mostHours)
    }
    for (key, processes) in keys {
      var kept: [PeerID: Entry] = [:]
      for (process, entry) in processes {
        let hours = entry.hours.filter { Self.counts($0, at: hour) }
        if !hours.isEmpty { kept[process] = Entry(revision: entry.revision, hours: hours) }
      }
      pairs -= processes.count - kept.count
      keys[key] = kept.isEmpty ? nil : kept
      if kept.isEmpty { latest[key] = nil }
    }
    removeStaleChanges()
  }

  /// Makes room: adds up the use of processes that have ended, once per hour.
  private mutating func addUpEnded(at hour: Int64) {
    guard addedHour != hour else { return }
    addedHour = hour
    for (key, processes) in keys {
      let ended = processes.filter { process, _ in
        hour.subtractingCapped(lastReports[process] ?? .min) >= Self.silentHours
      }
      guard ended.count > 1 else { continue }
      var kept = processes.filter { ended[$0.key] == nil }
      // The sums for other gateways stay the same, so this is no change.
      kept[Self.ended] = Entry(
        revision: ended.values.map(\.revision).max() ?? revision,
        hours: Self.sum(ended.values.flatMap(\.hours)))
      pairs -= processes.count - kept.count
      keys[key] = kept
    }
  }
}
