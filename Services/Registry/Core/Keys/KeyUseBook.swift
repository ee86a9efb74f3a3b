public import Access
public import ClusterModel
import Limits

/// Use of keys in the last day, by gateway process and hour.
///
/// Gateways report totals of the hours that have changed, so a repeated report changes nothing. The
/// use of a process that has ended counts until it is a day old. Every change has a revision, so that
/// a gateway receives only what it does not know.
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
    /// Hours by the gateway's clock, in their order.
    var hours: [HourlyUse]
    /// Hours by which the registry's clock is ahead of the gateway's.
    var offset: Int64 = 0
    /// Whether an earlier registry process received these hours. The gateway process, if it still
    /// runs, reports all its hours again.
    var isStored = false

    /// The hours by the registry's clock.
    var datedHours: [HourlyUse] { KeyUseBook.moved(hours, by: offset) }
  }

  private struct Change: Sendable {
    let revision: UInt64
    let key: KeyID
  }

  /// Stands for all processes whose use was added up.
  private static let ended = PeerID(name: "", incarnation: 0)
  /// A process without a report for this many hours has ended. If it was only cut off and reports
  /// again, the use that was added up counts twice in the hours that it reports.
  private static let silentHours: Int64 = 2

  private let epoch: UInt64
  private let capacity: Int
  private var keys: [KeyID: [PeerID: Entry]] = [:]
  /// Number of pairs of a key and a process.
  private var pairs = 0
  /// Revision of the last change.
  public private(set) var revision: UInt64 = 0
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
  /// Keys of which the use of some gateway found no room, with the last hour in which that happened.
  private var crowded: [KeyID: Int64] = [:]

  /// - Parameters:
  ///   - epoch: the registry's incarnation.
  ///   - rows: use that an earlier registry process has stored.
  ///   - capacity: maximum pairs of a key and a process. `nil` means `access.use_rows`.
  public init(epoch: UInt64, rows: [Row] = [], capacity: Int? = nil) {
    self.epoch = epoch
    self.capacity = capacity ?? Limits.accessUseRows.value
    for row in rows where keys[row.use.key]?[row.process] != nil || pairs < self.capacity {
      set(
        Entry(revision: 0, hours: row.use.hours, isStored: true), of: row.use.key, by: row.process)
    }
  }

  /// All use, in no particular order.
  public var rows: [Row] {
    keys.flatMap { key, processes in
      processes.map { Row(process: $0.key, use: DayUse(key: key, hours: $0.value.datedHours)) }
    }
  }

  /// Records a gateway's report, and returns the use of other processes that it does not know.
  /// - Parameter hour: the current hour, since 1970.
  public mutating func answer(
    _ report: KeyUseReport, from gateway: PeerID, at hour: Int64
  ) -> KeyUseTable {
    sweep(at: hour)
    lastReports[gateway] = hour
    let offset = Self.offset(of: report.hour, at: hour)
    // A gateway that does not know this process reports everything again.
    guard report.epoch == epoch else { return table(after: 0, for: gateway, offset: offset) }
    if pairs.addingCapped(report.uses.count) > capacity { addUpEnded(at: hour) }
    var unrecorded: [KeyID] = []
    for use in report.uses.prefix(Limits.accessUseBatch.value) {
      let hasRoom = record(use, offset: offset, by: gateway, at: hour)
      let isCrowded = crowded[use.key] != nil
      if !hasRoom, isCrowded || crowded.count < capacity { crowded[use.key] = hour }
      if !hasRoom || isCrowded { unrecorded.append(use.key) }
    }
    var answer = table(after: report.after, for: gateway, offset: offset)
    answer.unrecorded = unrecorded
    return answer
  }

  // MARK: - Reports

  /// Replaces the totals of the reported hours.
  /// - Returns: whether there was room.
  private mutating func record(
    _ use: DayUse, offset: Int64, by process: PeerID, at hour: Int64
  ) -> Bool {
    let known = keys[use.key]?[process]
    var totals: [Int64: HourlyUse] = [:]
    let others = known.flatMap { $0.isStored ? nil : $0.hours } ?? []
    for total in others + use.hours.prefix(DayUse.mostHours) { totals[total.hour] = total }
    let hours = totals.values.filter { total in
      (total.requests > 0 || total.tokens > 0)
        && Self.counts(total.hour.addingCapped(offset), at: hour)
    }
    // If the gateway's clock is ahead, its current hour is a 26th one.
    let newest = hours.sorted { $0.hour < $1.hour }.suffix(DayUse.mostHours)
    let entry = Entry(revision: known?.revision ?? 0, hours: Array(newest), offset: offset)
    guard let known else {
      guard !hours.isEmpty else { return true }
      guard pairs < capacity else { return false }
      set(entry, of: use.key, by: process)
      return true
    }
    if known.datedHours == entry.datedHours {
      keys[use.key]?[process] = entry
    } else {
      set(entry, of: use.key, by: process)
    }
    return true
  }

  /// Sets an entry as a change.
  private mutating func set(_ entry: Entry, of key: KeyID, by process: PeerID) {
    revision += 1
    var entry = entry
    entry.revision = revision
    if keys[key, default: [:]].updateValue(entry, forKey: process) == nil { pairs += 1 }
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

  /// Changes after a revision, with their hours by the gateway's clock.
  /// - Parameter offset: hours by which the registry's clock is ahead of the gateway's.
  private func table(
    after known: UInt64, for gateway: PeerID, offset: Int64
  ) -> KeyUseTable {
    var uses: [DayUse] = []
    var last = min(known, revision)
    for change in changes[firstChange(after: known)...] {
      if latest[change.key] == change.revision, let processes = keys[change.key],
        processes.contains(where: { $0.key != gateway && $0.value.revision > known })
      {
        guard uses.count < Limits.accessUseBatch.value else {
          return KeyUseTable(epoch: epoch, revision: last, isComplete: false, uses: uses)
        }
        let hours = Self.sum(processes, without: gateway)
        uses.append(
          DayUse(key: change.key, hours: Self.moved(hours, by: Int64(0).subtractingCapped(offset))))
      }
      last = change.revision
    }
    return KeyUseTable(epoch: epoch, revision: last, isComplete: true, uses: uses)
  }

  /// Index of the first change with a higher revision.
  private func firstChange(after known: UInt64) -> Int {
    changes.partitioningIndex { $0.revision > known }
  }

  private static func sum(
    _ processes: [PeerID: Entry], without gateway: PeerID
  ) -> [HourlyUse] {
    sum(processes.filter { $0.key != gateway }.values.flatMap(\.datedHours))
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

  /// The same use in later hours, or in earlier hours if `offset` is negative.
  private static func moved(_ hours: [HourlyUse], by offset: Int64) -> [HourlyUse] {
    guard offset != 0 else { return hours }
    return hours.map { use in
      HourlyUse(hour: use.hour.addingCapped(offset), requests: use.requests, tokens: use.tokens)
    }
  }

  /// No key can have a higher limit.
  private static func bounded(_ count: Int) -> Int { min(count, Limits.accessRateLimit.value) }

  /// Hours by which the registry's clock is ahead of a gateway's clock. 0 if they are almost equal.
  ///
  /// A gateway takes its reported use for known and permits itself a larger part, so use is not
  /// ignored because the gateway's clock is wrong.
  private static func offset(of gatewayHour: Int64, at hour: Int64) -> Int64 {
    let offset = hour.subtractingCapped(gatewayHour)
    // One of them may be in the next hour already.
    return (-1...1).contains(offset) ? 0 : offset
  }

  // MARK: - Old use

  /// Whether an hour belongs to the last day. The clock of a gateway may be ahead.
  private static func counts(_ used: Int64, at hour: Int64) -> Bool {
    let age = hour.subtractingCapped(used)
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
    // Gateways report such keys again once per hour, as long as there is no room.
    crowded = crowded.filter { hour.subtractingCapped($0.value) <= 1 }
    for (key, processes) in keys {
      var kept: [PeerID: Entry] = [:]
      for (process, var entry) in processes {
        let offset = entry.offset
        entry.hours.removeAll { !Self.counts($0.hour.addingCapped(offset), at: hour) }
        if !entry.hours.isEmpty { kept[process] = entry }
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
        hours: Self.sum(ended.values.flatMap(\.datedHours)))
      pairs -= processes.count - kept.count
      keys[key] = kept
    }
  }
}
