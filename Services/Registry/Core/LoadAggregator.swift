public import ClusterModel
import Limits

/// Merges the load reports of all processes into one table.
///
/// Requests in flight belong to the process that reported them and disappear with it. Times, errors
/// and rates belong to the host. They stay after the process has left, and decay. No load is stored
/// on disk, because a restarted registry knows all requests in flight after one report of each
/// process.
public struct LoadAggregator: Sendable {
  private struct Share: Sendable {
    var peer: PeerID
    var sequence: UInt64
    var inFlight: [HostID: Int]
    var open: Set<HostID>
    var reportedAt: Instant
  }

  private struct Record: Sendable {
    var firstTokens = LatencyHistogram()
    var answered = DecayedSum()
    var failed = DecayedSum()
    var tokens = DecayedSum()
    var flowSeconds = DecayedSum()
    var slowdown = SlowdownMemory()
  }

  /// Maximum hosts in one report, and maximum hosts with records. Further hosts are ignored.
  static let maximumHosts = Limits.reportedHosts.value

  private let epoch: UInt64
  private var revision: UInt64 = 0
  private var shares: [String: Share] = [:]
  private var records: [HostID: Record] = [:]
  private var lastTable: Instant?
  private var hasNews = false
  /// The registered hosts as of the last load table. `nil` means that no table was made yet.
  private var known: Set<HostID>?
  /// Number of times that breakers opened since the start, for the metrics.
  public private(set) var trips = 0

  /// - Parameter epoch: the registry's incarnation.
  public init(epoch: UInt64) { self.epoch = epoch }

  var processes: Int { shares.count }

  /// Merges a process's report. Late reports and reports of a replaced incarnation are ignored.
  public mutating func report(_ report: LoadReport, from peer: PeerID, now: Instant) {
    if let share = shares[peer.name] {
      guard peer.incarnation >= share.peer.incarnation else { return }
      if peer == share.peer, report.sequence <= share.sequence { return }
    } else if shares.count >= PeerLeases.capacity {
      return
    }
    var share = Share(
      peer: peer, sequence: report.sequence, inFlight: [:], open: [], reportedAt: now)
    for hostReport in report.hosts.prefix(Self.maximumHosts) where isHost(hostReport.host) {
      let inFlight = min(hostReport.inFlight, Limits.hostSlots.value)
      if inFlight > 0 { share.inFlight[hostReport.host] = inFlight }
      if hostReport.isOpen { share.open.insert(hostReport.host) }
      recordRates(hostReport, now)
    }
    shares[peer.name] = share
    hasNews = true
  }

  /// Whether the last load table has the host. Reports about other hosts are ignored. Before the
  /// first load table, no host is ignored.
  private func isHost(_ host: HostID) -> Bool { known?.contains(host) ?? true }

  private mutating func recordRates(_ hostReport: HostLoadReport, _ now: Instant) {
    trips = trips.addingCapped(max(0, hostReport.trips))
    guard records[hostReport.host] != nil || records.count < Self.maximumHosts else { return }
    var record = records.removeValue(forKey: hostReport.host) ?? Record()
    for samples in hostReport.firstTokens {
      record.firstTokens.add(Double(samples.count), bucket: samples.bucket, now: now)
    }
    record.answered.add(Double(max(0, hostReport.answered)), now: now)
    record.failed.add(Double(max(0, hostReport.failed)), now: now)
    record.tokens.add(Double(max(0, hostReport.flow.tokens)), now: now)
    record.flowSeconds.add(max(0, hostReport.flow.time.inSeconds), now: now)
    record.slowdown.add(hostReport.flow, now: now)
    records[hostReport.host] = record
  }

  /// Drops the requests in flight of processes that are no longer in the peer table.
  public mutating func retainPeers(_ peers: [Peer]) {
    let present = Set(peers.map(\.id))
    let before = shares.count
    shares = shares.filter { present.contains($0.value.peer) }
    if shares.count != before { hasNews = true }
  }

  /// Returns the load table if it is due: soon after a change, otherwise rarely. `nil` means that
  /// it is not due.
  /// - Parameter probeAges: every host, with the time since its last successful probe.
  public mutating func makeTableIfDue(
    probeAges: [(host: HostID, age: Duration?)], now: Instant
  ) -> LoadTable? {
    let before = shares.count
    shares = shares.filter { $0.value.reportedAt + LoadRhythm.shareLifetime > now }
    if shares.count != before { hasNews = true }
    if let since = lastTable.map({ $0.duration(to: now) }) {
      guard since >= (hasNews ? LoadRhythm.interval : LoadRhythm.idleInterval) else { return nil }
    }
    hasNews = false
    lastTable = now
    revision += 1
    let known = Set(probeAges.map(\.host))
    self.known = known
    records = records.filter { known.contains($0.key) }
    var inFlight: [HostID: Int] = [:]
    var open: [HostID: Int] = [:]
    for share in shares.values {
      for (host, count) in share.inFlight { inFlight[host, default: 0] += count }
      for host in share.open { open[host, default: 0] += 1 }
    }
    return LoadTable(
      epoch: epoch, revision: revision,
      hosts: probeAges.sorted { $0.host < $1.host }.map { host, age in
        load(of: host, inFlight[host] ?? 0, open[host] ?? 0, age, now)
      },
      merged: shares.values.map { LoadTable.Merged(peer: $0.peer, sequence: $0.sequence) }
        .sorted { $0.peer < $1.peer })
  }

  private func load(
    of host: HostID, _ inFlight: Int, _ open: Int, _ age: Duration?, _ now: Instant
  ) -> HostLoad {
    var load = HostLoad(host: host, inFlight: inFlight, openBreakers: open, probeAge: age)
    guard let record = records[host] else { return load }
    load.samples = record.firstTokens.weight(at: now)
    load.firstTokenP50 = record.firstTokens.quantile(0.5)
    load.firstTokenP95 = record.firstTokens.quantile(0.95)
    // Two extra successes are counted, so that one failure is not a rate of 100 %. Each process
    // does the same in its own statistics.
    let failed = record.failed.value(at: now)
    load.errorRate = failed / (failed + record.answered.value(at: now) + 2)
    let flow = record.flowSeconds.value(at: now)
    if flow > 0.5 { load.tokensPerSecond = record.tokens.value(at: now) / flow }
    load.slowdown = record.slowdown.slowdown(at: now)
    return load
  }
}
