import Limits
public import ClusterModel

// Load of the whole cluster: the reports of this process to the registry, and the use of the merged
// table that the registry publishes.

extension HostStatistics {
  /// State of the load tables received from the registry.
  struct Hearing: Sendable {
    var own: PeerID?
    var epoch: UInt64 = 0
    var revision: UInt64 = 0
    /// Publication time of the current table, on this process's clock. `nil` means that no table
    /// was received.
    var published: Instant?
    private var refreshedAt = Instant.zero

    func isSilent(_ now: Instant) -> Bool {
      published.map { $0 + LoadRhythm.silence < now } ?? true
    }

    /// Requests of other processes, gradually reduced to zero while the registry is silent.
    func fading(_ others: Int, _ now: Instant) -> Int {
      guard others > 0, let published else { return 0 }
      let silence = published.duration(to: now) - LoadRhythm.silence
      guard silence > .zero else { return others }
      let rest = 1 - silence.inSeconds / HostStatistics.othersForgotten.inSeconds
      return rest > 0 ? Int(clamping: (Double(others) * rest).rounded(.up)) : 0
    }

    /// A published load, with its samples decayed by the time since publication. `nil` means that
    /// there is no published load.
    func worth(_ load: HostLoad?, _ now: Instant) -> HostLoad? {
      guard var load, let published else { return nil }
      let rest = HalfLife.standard.rest(after: published.duration(to: now))
      load.samples *= rest
      load.errorRate *= rest
      return load
    }

    /// Time at which a host last answered a probe. While the registry is silent, this time advances
    /// with the clock, so that the host does not seem to get staler.
    func lastAnswered(_ load: HostLoad?) -> Instant? {
      guard let published, let lastAnswered = load?.probeAge else { return nil }
      return Instant(sinceStart: published.sinceStart + frozen - lastAnswered)
    }

    private var frozen: Duration {
      guard let published else { return .zero }
      return max(.zero, published.duration(to: refreshedAt) - LoadRhythm.silence)
    }

    mutating func refreshed(_ now: Instant) { refreshedAt = now }

    /// Whether to refresh the standings now. While the registry is silent, the standings change
    /// with time, so they are refreshed each second.
    func needsRefresh(_ now: Instant) -> Bool {
      published != nil && isSilent(now) && refreshedAt.duration(to: now) >= .seconds(1)
    }
  }

  /// This process's load reports. Keeps the reports that the registry may not have merged yet.
  struct Reporting: Sendable {
    /// Maximum reports kept. They cover at least 16 s. A registry with a longer delay counts as
    /// silent.
    static let remembered = 64

    var sequence: UInt64 = 0
    var lastReport: Instant?
    /// Requests in flight in each kept report.
    var inFlight: [(sequence: UInt64, hosts: [HostID: Int])] = []
    /// Requests in flight in the last report.
    var last: [HostID: Int] = [:]
    /// Hosts whose breakers admitted no request at the time of the last report.
    var lastOpen: Set<HostID> = []
  }

  /// The report to send to the registry now. `nil` means that the last report is too recent, or
  /// that nothing has changed and no repetition is due.
  public mutating func report(now: Instant) -> LoadReport? {
    let since = reporting.lastReport.map { $0.duration(to: now) }
    if let since, since < LoadRhythm.interval { return nil }
    let inFlight = inFlight
    let open = Set(records.lazy.filter { !$0.value.breaker.admits(at: now) }.map(\.key))
    let hasNews =
      records.values.contains { $0.news != .none } || inFlight != reporting.last
      || open != reporting.lastOpen
    // A report is repeated even without news, because the registry forgets silent processes, and a
    // restarted registry knows none. Exception: the last report had no requests in flight and no
    // open breaker.
    let isDue =
      !(reporting.last.isEmpty && reporting.lastOpen.isEmpty)
      && (since ?? .zero) >= LoadRhythm.idleInterval
    guard hasNews || isDue else { return nil }
    reporting.sequence += 1
    reporting.lastReport = now
    reporting.last = inFlight
    reporting.lastOpen = open
    reporting.inFlight.append((reporting.sequence, inFlight))
    if reporting.inFlight.count > Reporting.remembered { reporting.inFlight.removeFirst() }
    let told = records.filter {
      $0.value.inFlight > 0 || $0.value.news != .none || open.contains($0.key)
    }
    let hosts = told.keys.sorted().map { host in
      defer { records[host]?.news = .none }
      return line(host, now)
    }
    return LoadReport(sequence: reporting.sequence, hosts: hosts)
  }

  private func line(_ host: HostID, _ now: Instant) -> HostLoadReport {
    guard let record = records[host] else { return HostLoadReport(host: host) }
    return HostLoadReport(
      host: host, inFlight: max(0, record.inFlight),
      firstTokens: record.news.firstTokens.sorted { $0.key < $1.key }
        .map { HostLoadReport.Samples(bucket: $0.key, count: $0.value) },
      answered: record.news.answered, failed: record.news.failed, flow: record.news.flow,
      trips: record.news.trips, isOpen: !record.breaker.admits(at: now))
  }

  /// Takes the registry's load table. A table that is not newer than the last one is ignored.
  ///
  /// - Parameter age: time since the table arrived in this process.
  public mutating func merge(_ table: LoadTable, age: Duration = .zero, now: Instant) {
    // A restarted registry has a higher epoch. Late messages of the old registry are ignored.
    guard (table.epoch, table.revision) > (hearing.epoch, hearing.revision) else { return }
    hearing.epoch = table.epoch
    hearing.revision = table.revision
    hearing.published = Instant(sinceStart: now.sinceStart - max(.zero, age))
    // This process counts its own requests exactly. So its share in the merged sum is subtracted.
    let merged = table.merged.first { $0.peer == hearing.own }?.sequence ?? 0
    reporting.inFlight.removeAll { $0.sequence < merged }
    var ownShare: [HostID: Int] = [:]
    if let first = reporting.inFlight.first, first.sequence == merged { ownShare = first.hosts }
    for host in Array(records.keys) {
      records[host]?.published = nil
      records[host]?.others = 0
    }
    for load in table.hosts where records[load.host] != nil {
      records[load.host]?.published = load
      records[load.host]?.others = max(0, load.inFlight - (ownShare[load.host] ?? 0))
    }
    for host in Array(records.keys) {
      let others = records[host]?.others ?? 0
      records[host]?.noteCrowd(others: others, now)
    }
    refreshAll(now)
  }
}
