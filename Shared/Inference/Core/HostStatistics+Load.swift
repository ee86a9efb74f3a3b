import Limits
public import ClusterModel

// The load of the whole cluster: what this process reports, and what it makes of what the registry
// merged.

extension HostStatistics {
  /// What is known of the registry's tables.
  struct Hearing: Sendable {
    var own: PeerID?
    var epoch: UInt64 = 0
    var revision: UInt64 = 0
    /// When the table that counts was published, on this process's clock; nil: none was.
    var published: Instant?
    private var refreshedAt = Instant.zero

    func isSilent(_ now: Instant) -> Bool {
      published.map { $0 + LoadRhythm.silence < now } ?? true
    }

    /// Others' requests as time goes by without a word from the registry.
    func fading(_ others: Int, _ now: Instant) -> Int {
      guard others > 0, let published else { return 0 }
      let silence = published.duration(to: now) - LoadRhythm.silence
      guard silence > .zero else { return others }
      let rest = 1 - silence.inSeconds / HostStatistics.othersForgotten.inSeconds
      return rest > 0 ? Int(clamping: (Double(others) * rest).rounded(.up)) : 0
    }

    /// A published load with its samples faded since; nil: none.
    func worth(_ load: HostLoad?, _ now: Instant) -> HostLoad? {
      guard var load, let published else { return nil }
      let rest = HalfLife.standard.rest(after: published.duration(to: now))
      load.samples *= rest
      load.errorRate *= rest
      return load
    }

    /// When a host last answered a probe. While the registry is silent nobody grows older: seen from
    /// now, the age stands still, which is why it is told as a point that moves along.
    func heard(_ load: HostLoad?) -> Instant? {
      guard let published, let heard = load?.heard else { return nil }
      return Instant(sinceStart: published.sinceStart + frozen - heard)
    }

    private var frozen: Duration {
      guard let published else { return .zero }
      return max(.zero, published.duration(to: refreshedAt) - LoadRhythm.silence)
    }

    mutating func refreshed(_ now: Instant) { refreshedAt = now }

    /// In silence, standings change with time alone: looked at anew each second.
    func needsRefresh(_ now: Instant) -> Bool {
      published != nil && isSilent(now) && refreshedAt.duration(to: now) >= .seconds(1)
    }
  }

  /// What was reported and is not known to be merged yet.
  struct Reporting: Sendable {
    /// 16 s of reports; a registry further behind is one that is silent.
    static let remembered = 64

    var sequence: UInt64 = 0
    var lastReport: Instant?
    var lastWasIdle = true
    /// What was under way in each report.
    var inFlight: [(sequence: UInt64, hosts: [HostID: Int])] = []
    /// Something changed since.
    var last: [HostID: Int] = [:]
  }

  /// What to cast to the registry now; nil: nothing has changed, or it is too soon.
  public mutating func report(now: Instant) -> LoadReport? {
    let since = reporting.lastReport.map { $0.duration(to: now) }
    if let since, since < LoadRhythm.interval { return nil }
    let inFlight = inFlight
    let hasNews = records.values.contains { $0.news != .none } || inFlight != reporting.last
    // Repeated even so: the registry forgets who is silent, and may be a new one. A process that has
    // nothing under way, and said so, has nothing to be forgotten.
    let isDue = !reporting.last.isEmpty && (since ?? .zero) >= LoadRhythm.idleInterval
    guard hasNews || isDue else { return nil }
    reporting.sequence += 1
    reporting.lastReport = now
    reporting.last = inFlight
    reporting.inFlight.append((reporting.sequence, inFlight))
    if reporting.inFlight.count > Reporting.remembered { reporting.inFlight.removeFirst() }
    let told = records.filter { $0.value.inFlight > 0 || $0.value.news != .none }.keys.sorted()
    let hosts = told.map { host in
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
      trips: record.news.trips, isOpen: record.breaker.state != .closed)
  }

  /// Takes the registry's table; one that was taken already costs nothing.
  /// - Parameter age: since it came to this process.
  public mutating func hear(_ table: LoadTable, age: Duration = .zero, now: Instant) {
    // A restarted registry has the higher epoch; late mail of the old one is not for us.
    guard (table.epoch, table.revision) > (hearing.epoch, hearing.revision) else { return }
    hearing.epoch = table.epoch
    hearing.revision = table.revision
    hearing.published = Instant(sinceStart: now.sinceStart - max(.zero, age))
    // Own requests are counted here, exactly: they are taken out of the sum as they went into it.
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
