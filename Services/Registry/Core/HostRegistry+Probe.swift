public import ClusterModel
import Limits

/// The registry's order to probe a host once.
public struct ProbeOrder: Hashable, Sendable {
  public var id: UInt64
  public var host: HostID
  public var url: String
  /// Dialect of the host. `nil` means that the probe finds it out.
  public var dialect: HostDialect?
  /// Reference to the host's secret.
  public var credential: String?
  /// Whether the API's paths omit `/v1`. `nil` means that the probe finds it out.
  public var omitsV1: Bool?
  /// Guess of `omitsV1`: the result of an earlier probe, or a guess from the URL.
  public var probablyOmitsV1: Bool

  public init(
    id: UInt64, host: HostID, url: String, dialect: HostDialect? = nil, credential: String? = nil,
    omitsV1: Bool? = nil, probablyOmitsV1: Bool = false
  ) {
    self.omitsV1 = omitsV1
    self.probablyOmitsV1 = probablyOmitsV1
    self.id = id
    self.host = host
    self.url = url
    self.dialect = dialect
    self.credential = credential
  }
}

/// A host's answer to a probe.
public struct ProbeReport: Equatable, Sendable {
  public var models: [ModelOffer]
  public var slots: Int?
  var version: String?
  public var dialect: HostDialect
  public var resume: ResumeWay
  /// Whether the list of models is at `/models`, not at `/v1/models`.
  var omitsV1: Bool
  public var roundTrip: Duration

  public init(
    models: [ModelOffer], slots: Int? = nil, version: String? = nil,
    dialect: HostDialect = .openai, resume: ResumeWay = .instruct, omitsV1: Bool = false,
    roundTrip: Duration
  ) {
    self.omitsV1 = omitsV1
    self.dialect = dialect
    self.resume = resume
    self.models = models
    self.slots = slots
    self.version = version
    self.roundTrip = roundTrip
  }
}

public enum ProbeResult: Equatable, Sendable {
  case answered(ProbeReport)
  /// The host answers without a list of models. It can serve models that an admin named.
  case unlisted(ProbeReport, reason: String)
  /// - Parameters:
  ///   - absent: whether one failure makes the host unreachable, for example because nothing
  ///     listens there.
  ///   - reason: for an operator.
  case failed(absent: Bool, reason: String)
}

extension HostRegistry {
  /// Starts due probes, the most overdue first, up to the limit of concurrent probes. Unreachable
  /// hosts come last, and some of the concurrent probes are kept free of them. Publishes changes
  /// that earlier probes found, if `PublicationPace` permits a publication now.
  public mutating func tick(now: Instant) -> [Directive] {
    publicationIfDue(now) + dueProbes(now)
  }

  /// Time at which the next probe is due. `nil` means that no host waits for a probe, or that the
  /// maximum number of probes is under way.
  public var nextProbeTime: Instant? {
    guard probesUnderWay < limits.probesAtOnce else { return nil }
    let isFull = awayProbesUnderWay >= limits.awayProbesAtOnce
    return entries.values.compactMap { isFull && $0.isAway ? nil : $0.probeTime }.min()
  }

  private var awayProbesUnderWay: Int {
    entries.values.count { $0.probe != nil && $0.isAway }
  }

  private mutating func dueProbes(_ now: Instant) -> [Directive] {
    let room = limits.probesAtOnce - probesUnderWay
    guard room > 0 else { return [] }
    let dueProbes = entries.values.compactMap { entry in
      entry.probeTime.map { (at: $0, entry: entry) }
    }
    .filter { $0.at <= now }
    .sorted { ($0.at, $0.entry.added) < ($1.at, $1.entry.added) }
    let awayRoom = max(0, limits.awayProbesAtOnce - awayProbesUnderWay)
    let first = dueProbes.filter { !$0.entry.isAway }
    let away = dueProbes.filter { $0.entry.isAway }.prefix(awayRoom)
    return (first + away).prefix(room).map { _, entry in
      let order = ProbeOrder(
        id: nextProbe(), host: entry.host.id, url: entry.host.url,
        dialect: entry.configuredDialect, credential: entry.host.credential,
        omitsV1: entry.configuredOmitsV1, probablyOmitsV1: entry.host.omitsV1)
      entries[order.host]?.probeTime = nil
      entries[order.host]?.probe = order.id
      entries[order.host]?.isProbeForced = false
      probesUnderWay += 1
      return .probe(order)
    }
  }

  /// Makes the next probe of a host due now, before those of unreachable hosts. Has no effect if
  /// the host is suspended or a probe is under way.
  ///
  /// - Throws: `hostNotFound`.
  public mutating func probe(
    _ id: HostID, now: Instant
  ) throws(Failure) -> (host: Host, directives: [Directive]) {
    let entry = try entry(id)
    if entry.probeTime != nil {
      entries[id]?.probeTime = now
      entries[id]?.isProbeForced = true
    }
    return (entry.host, tick(now: now))
  }

  /// Changes a host as `patch(_:_:)` does. If the change may alter the result of a probe, the host
  /// is probed now, and the result of a probe under way is ignored.
  public mutating func patch(
    _ id: HostID, _ patch: HostPatch, now: Instant
  ) throws(Failure) -> (host: Host, directives: [Directive]) {
    let (host, directives) = try self.patch(id, patch)
    guard patch.concernsProbes, !directives.isEmpty, var entry = entries[id],
      entry.host.state != .suspended
    else { return (host, directives) }
    endProbe(&entry)
    entry.probeTime = now
    entry.backOff = Self.firstBackOff
    entries[id] = entry
    return (host, directives + tick(now: now))
  }

  /// Probes ready hosts at which requests have failed, earlier than scheduled.
  /// If a probe finds a host unreachable, no process sends further requests to it.
  public mutating func probeEarly(_ hosts: [HostID], now: Instant) -> [Directive] {
    for id in hosts {
      guard let entry = entries[id], entry.host.state == .ready, let probeTime = entry.probeTime
      else {
        continue
      }
      let earliest = entry.lastAnswered?.advanced(by: Self.doubtInterval) ?? now
      entries[id]?.probeTime = min(probeTime, max(now, earliest))
    }
    return tick(now: now)
  }

  /// Records the result of a probe. The result is ignored if the probe was dropped, for example
  /// because the host was removed or suspended.
  public mutating func probed(
    _ order: ProbeOrder, _ result: ProbeResult, now: Instant,
    using rng: inout some RandomNumberGenerator
  ) -> [Directive] {
    guard var entry = entries[order.host], entry.probe == order.id else { return tick(now: now) }
    endProbe(&entry)
    let before = entry.host
    switch result {
    case .answered(var report), .unlisted(var report, _):
      report.models = Self.offered(report.models, named: entry.namedModels)
      guard report.models.allSatisfy(\.id.isGatewaysOwn) else {
        answered(&entry, report, now, &rng)
        break
      }
      if case .unlisted(_, let reason) = result {
        failed(&entry, absent: false, reason: reason, now, &rng)
        break
      }
      let only = report.models.isEmpty ? "no model" : "only a gateway's own names, and no model"
      failed(&entry, absent: false, reason: "it answers but lists \(only)", now, &rng)
    case .failed(let absent, let reason):
      failed(&entry, absent: absent, reason: reason, now, &rng)
    }
    entries[order.host] = entry
    var directives: [Directive] = []
    // The duration of a probe differs a little each time. Such a change alone is no reason to
    // publish.
    var after = entry.host
    after.probeMilliseconds = before.probeMilliseconds
    if after != before {
      revision += 1
      isPublicationDue = true
      directives += publicationIfDue(now)
    }
    directives.append(.settled(order.host))
    return directives + tick(now: now)
  }

  /// Publishes the table if it has unpublished changes, at a limited rate.
  ///
  /// Hosts decide what probes find, and every process decodes each publication. The limit bounds
  /// the cost of hosts that change with each probe. A change that must wait is part of the next
  /// publication.
  private mutating func publicationIfDue(_ now: Instant) -> [Directive] {
    guard isPublicationDue, publications.take(at: now) else { return [] }
    isPublicationDue = false
    return [.publish(table)]
  }

  /// The models that an admin named, with the host's facts about each. If the admin named none, the
  /// host's own list.
  private static func offered(_ listed: [ModelOffer], named: [ModelID]) -> [ModelOffer] {
    guard !named.isEmpty else { return listed }
    let known = Dictionary(listed.map { ($0.id, $0) }) { first, _ in first }
    return named.map { known[$0] ?? ModelOffer(id: $0) }
  }

  private mutating func answered(
    _ entry: inout Entry, _ report: ProbeReport, _ now: Instant,
    _ rng: inout some RandomNumberGenerator
  ) {
    entry.failures = 0
    entry.lastAnswered = now
    entry.backOff = Self.firstBackOff
    entry.probeTime = now.advanced(by: Self.jittered(Self.readyInterval, by: 0.1, &rng))
    entry.host.state = .ready
    entry.host.dialect = entry.configuredDialect ?? report.dialect
    entry.host.resume = entry.configuredResume ?? report.resume
    entry.host.omitsV1 = entry.configuredOmitsV1 ?? report.omitsV1
    entry.host.slots =
      entry.configuredSlots
      ?? report.slots.map {
        min(max($0, 1), HostTableLimits.hostSlots.value)
      }
    entry.host.version = report.version.map {
      $0.cut(toBytes: HostTableLimits.hostVersionBytes.value)
    }
    entry.host.probeMilliseconds = Int(clamping: report.roundTrip.wholeMilliseconds)

    list(report.models, of: &entry)
  }

  private func failed(
    _ entry: inout Entry, absent: Bool, reason: String, _ now: Instant,
    _ rng: inout some RandomNumberGenerator
  ) {
    entry.failures += 1
    let reason = reason.cut(toBytes: HostTableLimits.hostReasonBytes.value)
    if entry.host.state == .ready, !absent, entry.failures < Self.failuresBeforeUnreachable {
      // The host stays ready for now, and the next probe comes sooner than usual.
      entry.probeTime = now.advanced(by: Self.jittered(Self.firstBackOff, by: 0.2, &rng))
      return
    }
    entry.host.state = .unreachable
    entry.host.reason = reason
    entry.probeTime = now.advanced(by: Self.jittered(entry.backOff, by: 0.2, &rng))
    entry.backOff = min(entry.backOff * 2, Self.longestBackOff)
  }

  /// Changes a duration by a random part of it, so that probes do not coincide.
  private static func jittered(
    _ duration: Duration, by share: Double, _ rng: inout some RandomNumberGenerator
  ) -> Duration {
    duration * Double.random(in: (1 - share)...(1 + share), using: &rng)
  }
}

/// Limits how often changes that probes find are published.
struct PublicationPace: Sendable {
  private static let pause = Duration.milliseconds(HostTableLimits.publicationPause.value)
  /// Maximum publications in a row after a quiet time.
  private static let burst = HostTableLimits.publications.value

  /// Time at which a whole burst may be granted again. `nil` means that no publication was granted
  /// yet.
  private var rested: Instant?

  /// Counts a publication if it is granted.
  /// - Returns: whether the table may be published now.
  mutating func take(at now: Instant) -> Bool {
    let rested = max(rested ?? now, now)
    guard now.duration(to: rested) <= Self.pause * (Self.burst - 1) else { return false }
    self.rested = rested.advanced(by: Self.pause)
    return true
  }
}
