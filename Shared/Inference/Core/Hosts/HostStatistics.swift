public import ClusterModel
public import HostModel

/// An event of one attempt at one host, reported by a run.
public enum HostObservation: Hashable, Sendable {
  /// The request was sent.
  case began(promptTokens: Int)
  /// The first valid token, or the whole body with embeddings, arrived.
  case firstToken
  /// Tokens arrived after the first one.
  ///
  /// `over` is the time in which they arrived. `longestPause` is `nil` if pauses were not measured.
  /// A run reports this at most once per attempt, at the end of the attempt.
  case flowed(tokens: Int, over: Duration, longestPause: Duration?)
  /// The answer is complete.
  case ended
  /// The attempt failed. `answered` means that its first token had arrived.
  case failed(AttemptFailure, answered: Bool)
  /// The attempt lost a race and was cancelled. The host is not at fault.
  case cancelled(answered: Bool)
  /// The attempt was cancelled because the client left or did not read, the client's own deadline
  /// passed, or another host answered before this host's learned patience had passed. The elapsed
  /// time does not describe an unmeasured host.
  case withdrawn(answered: Bool)
  /// The host refused a request that another host then answered.
  case contradicted
  /// The run learned how the host accepts requests for a model.
  case learned(HostHabit, ModelID)

  /// Whether the attempt failed because the host was slower than expected.
  var isLateness: Bool {
    guard case .failed(let failure, _) = self else { return false }
    return failure.kind.isLateness
  }
}

/// Learns each host's standing from the results of attempts. The registry merges and publishes the
/// results of other processes.
///
/// A decision counts the published requests in flight, corrected by requests that this process
/// began or ended after the publication.
///
/// While the registry is silent, the process relies on its own measurements. The other processes'
/// requests fade out. The age of the last probe stands still, so that no host becomes ineligible
/// for lack of probes.
public struct HostStatistics: Sendable {
  struct Record: Sendable {
    var slots: Int?
    /// Number of attempts begun minus number of attempts ended. The number may be negative for a
    /// moment, if another thread reports the end of an attempt before its beginning.
    var inFlight = 0
    var firstTokens = LatencyHistogram()
    var pauses = LatencyHistogram()
    var answered = DecayedSum()
    var failed = DecayedSum()
    var tokens = DecayedSum()
    var flowSeconds = DecayedSum()
    var slowdown = SlowdownMemory()
    /// Requests in flight of all processes.
    var crowd = TimeWeightedMean()
    var promptTokens = DecayedSum()
    var prompts = DecayedSum()
    var breaker: CircuitBreaker
    var clients = ClientFailures()
    /// Time of the host's last token or response to this process.
    var lastAnswered: Instant?
    /// The registry's merged load. `others` is the part of its requests in flight that belongs to
    /// other processes.
    var published: HostLoad?
    var others = 0
    var news = News()

    /// - Parameter others: requests in flight at other processes. The number fades out while the
    ///   registry is silent.
    mutating func noteCrowd(others: Int, _ now: Instant) {
      crowd.set(max(0, inFlight) + others, now: now)
    }
  }

  /// Counts that have not been reported yet.
  struct News: Hashable, Sendable {
    var firstTokens: [Int: Int] = [:]
    var answered = 0
    var failed = 0
    var flow = TokenFlow.none
    var trips = 0

    static let none = News()
  }

  /// Minimum weight of the samples for an estimate. A single sample is enough for one half-life.
  static let leastSamples = 0.5
  /// Time in which other processes' requests fade out after the registry became silent.
  static let othersForgotten = Duration.seconds(30)

  public let score: HostScore
  let rules: EligibilityRules
  private let breakerPolicy: CircuitBreaker.Policy
  private var rng: SplitMix64
  private var index: HostIndex
  var records: [HostID: Record] = [:]
  private var standings: [HostStanding] = []
  private var pulses: [HostPulse] = []
  private var closed = ClosedHosts()
  private var habits = HostHabits()
  var hearing = Hearing()
  var reporting = Reporting()

  /// - Parameters:
  ///   - own: this process's ID on the bus. `nil` means that it sends no reports.
  ///   - seed: seed for the breakers' jitter.
  public init(
    own: PeerID? = nil, score: HostScore = .standard, rules: EligibilityRules = .init(),
    breaker: CircuitBreaker.Policy = .init(), seed: UInt64
  ) {
    self.score = score
    self.rules = rules
    breakerPolicy = breaker
    rng = SplitMix64(seed: seed)
    index = HostIndex(.empty, rules: rules)
    hearing.own = own
  }

  // MARK: - The table and the view

  /// Takes a host table. If it is the current table, the call does nothing.
  public mutating func adopt(_ table: HostTable, now: Instant) {
    guard !index.isCurrent(table) else { return }
    index = HostIndex(table, rules: rules)
    // A removed host is forgotten as soon as no request is in flight there.
    let present = Set(table.hosts.map(\.id))
    records = records.filter { present.contains($0.key) || $0.value.inFlight != 0 }
    for host in table.hosts {
      records[host.id, default: Record(breaker: CircuitBreaker(policy: breakerPolicy))].slots =
        host.slots
    }
    refreshAll(now)
  }

  /// A view for decisions. The view shares its arrays with this value. So while a view is kept, the
  /// next change copies the arrays.
  public mutating func view(now: Instant) -> ClusterView {
    if hearing.needsRefresh(now) { refreshAll(now) }
    return ClusterView(
      index: index, standings: standings, pulses: pulses, closed: closed, score: score,
      habits: habits, now: now)
  }

  public func standing(of host: HostID, now: Instant) -> HostStanding? {
    records[host].map { standing($0, now) }
  }

  /// Requests of this process in flight, by host.
  public var inFlight: [HostID: Int] {
    records.filter { $0.value.inFlight > 0 }.mapValues(\.inFlight)
  }

  /// How often breakers of this process have opened.
  var trips: Int { records.values.reduce(0) { $0 + $1.breaker.trips } }

  // MARK: - Observations

  /// - Parameters:
  ///   - client: the client of the request. `nil` means that Tutti itself sends the request.
  ///     Failures of such requests always count for all clients, except lateness under load.
  ///   - started: start of the attempt. An attempt that started before a breaker opened does not
  ///     change the breaker.
  public mutating func observe(
    _ observation: HostObservation, of host: HostID, for client: ClientFingerprint? = nil,
    started: Instant, now: Instant
  ) {
    if case .learned(let habit, let model) = observation {
      return habits.learn(habit, of: host, model, now: now)
    }
    var record = records[host] ?? Record(breaker: CircuitBreaker(policy: breakerPolicy))
    records[host] = nil  // so that the arrays inside are not shared while they change
    var counts = true
    let others = hearing.fading(record.others, now)
    // A host that is slow while it serves other requests too is loaded. This is not a fault.
    let isLoad = observation.isLateness && max(0, record.inFlight - 1) + others > 0
    if let client, !isLoad {
      counts = judge(observation, of: host, &record.clients, for: client, now)
    }
    record.learn(
      observation, started: started, now: now, counts: counts && !isLoad,
      isSuspect: isSuspect(record, now), others: others, using: &rng)
    if index.row(of: host) != nil || record.inFlight != 0 { records[host] = record }
    refresh(host, record, now)
  }

  /// - Returns: whether a failure counts for all clients, and not only for this client.
  private mutating func judge(
    _ observation: HostObservation, of host: HostID, _ clients: inout ClientFailures,
    for client: ClientFingerprint, _ now: Instant
  ) -> Bool {
    switch observation {
    case .ended:
      if clients.succeeded(client) { closed.open(host, to: client) }
      return true
    case .failed(let failure, _) where failure.blame == .host && failure.mayBeOfRequest: break
    case .contradicted: break
    case .began, .firstToken, .flowed, .failed, .cancelled, .withdrawn, .learned: return true
    }
    let verdict = clients.failed(client, now: now)
    if let end = verdict.closedUntil { closed.close(host, to: client, until: end, now: now) }
    return verdict.counts
  }

  // MARK: - Standings

  mutating func refreshAll(_ now: Instant) {
    hearing.refreshed(now)
    standings = index.table.hosts.map { host in
      records[host.id].map { standing($0, now) } ?? HostStanding(slots: host.slots)
    }
    pulses = standings.map { HostPulse($0, score) }
  }

  private mutating func refresh(_ host: HostID, _ record: Record, _ now: Instant) {
    guard let row = index.row(of: host) else { return }
    let standing = standing(record, now)
    standings[row] = standing
    pulses[row] = HostPulse(standing, score)
  }

  private func isSuspect(_ record: Record, _ now: Instant) -> Bool {
    guard let published = record.published, !hearing.isSilent(now) else { return false }
    return published.openBreakers > (record.breaker.state == .closed ? 0 : 1)
  }

  private func standing(_ record: Record, _ now: Instant) -> HostStanding {
    var standing = HostStanding(
      inFlight: max(0, record.inFlight) + hearing.fading(record.others, now), slots: record.slots,
      breaker: record.breaker.state, busyUntil: record.breaker.busyUntil,
      isSuspect: isSuspect(record, now))
    let published = hearing.worth(record.published, now)

    // The published load includes earlier samples of this process, which decay in the same way. So
    // the larger number of samples counts, not the sum.
    let own = record.firstTokens.weight(at: now)
    standing.ownFirstTokens = own
    let samples = max(own, published?.samples ?? 0)
    if samples >= Self.leastSamples {
      standing.firstTokenP50 = Self.mean(
        record.firstTokens.quantile(0.5), own, published?.firstTokenP50, published?.samples ?? 0)
      standing.firstTokenP95 = Self.mean(
        record.firstTokens.quantile(0.95), own, published?.firstTokenP95, published?.samples ?? 0)
      standing.measuredUntil =
        now + HalfLife.standard.time(from: samples, to: Self.leastSamples)
    }
    // Two successes are added, so that a single failure does not make a rate of 100 %.
    let failed = record.failed.value(at: now)
    let rate = failed / (failed + record.answered.value(at: now) + 2)
    standing.errorRate = max(rate, published?.errorRate ?? 0)
    let flow = record.flowSeconds.value(at: now)
    standing.tokensPerSecond =
      flow > 0.5 ? record.tokens.value(at: now) / flow : published?.tokensPerSecond
    // The published slowdown is based on more answers than this process's own slowdown.
    standing.slowdown = published?.slowdown ?? record.slowdown.slowdown(at: now)
    if record.pauses.weight(at: now) >= Self.leastSamples {
      standing.pauseP95 = record.pauses.quantile(0.95)
    }
    let prompts = record.prompts.value(at: now)
    if prompts > 0.1 {
      standing.usualPromptTokens = record.promptTokens.value(at: now) / prompts
    }
    standing.lastAnswered = [record.lastAnswered, hearing.lastAnswered(record.published)].compactMap
    { $0 }.max()
    return standing
  }

  /// Mean of two quantiles, weighted by their samples.
  private static func mean(
    _ own: Duration?, _ ownWeight: Double, _ published: Duration?, _ weight: Double
  ) -> Duration? {
    guard let own, ownWeight > 0 else { return published }
    guard let published, weight > 0 else { return own }
    return (own * ownWeight + published * weight) / (ownWeight + weight)
  }
}

extension HostStatistics.Record {
  fileprivate mutating func learn(
    _ observation: HostObservation, started: Instant, now: Instant, counts: Bool, isSuspect: Bool,
    others: Int, using rng: inout SplitMix64
  ) {
    let waited = max(.zero, started.duration(to: now))
    defer { noteCrowd(others: others, now) }
    switch observation {
    case .began(let tokens):
      inFlight += 1
      promptTokens.add(Double(tokens), now: now)
      prompts.add(1, now: now)
      breaker.began(started: started, now: now)
    case .firstToken:
      sample(waited, now)
      lastAnswered = now
      breaker.answered(started: started)
    case .flowed(let count, let time, let pause):
      lastAnswered = now
      guard count > 0, time > .zero else { return }
      tokens.add(Double(count), now: now)
      flowSeconds.add(time.inSeconds, now: now)
      if let pause { pauses.record(pause, now: now) }
      // Only requests in a slot slow each other down. One of them is this request.
      let crowd = min(crowd.mean(over: time, until: now), slots.map { Double($0) } ?? .infinity)
      let flow = TokenFlow(tokens: count, over: time, concurrency: max(0, crowd - 1))
      slowdown.add(flow, now: now)
      news.flow += flow
    case .ended:
      inFlight -= 1
      lastAnswered = now
      answered.add(1, now: now)
      news.answered += 1
      breaker.succeeded(started: started)
    case .failed(let failure, let answered):
      inFlight -= 1
      switch failure.blame {
      case .host:
        // The first token would have taken at least this long, so the time counts as a sample.
        if !answered, failure.kind == .firstTokenDeadline { sample(waited, now) }
        fault(started, now, counts: counts, isSuspect: isSuspect, using: &rng)
      case .load:
        lastAnswered = now
        breaker.overloaded(retryAfter: failure.retryAfter, started: started, now: now)
      case .nobody: withdrawn(waited, answered, started, now)
      case .unasked: breaker.ended(started: started, now: now)
      }
    case .cancelled(let answered):
      inFlight -= 1
      givenUp(waited, answered, started, now)
    case .withdrawn(let answered):
      inFlight -= 1
      withdrawn(waited, answered, started, now)
    case .contradicted:
      // The attempt itself ended without a verdict on the host, so the verdict is recorded now.
      fault(started, now, counts: counts, isSuspect: isSuspect, using: &rng)
    case .learned: break
    }
  }

  /// - Parameter counts: whether the failure counts against the host for all clients.
  private mutating func fault(
    _ started: Instant, _ now: Instant, counts: Bool, isSuspect: Bool, using rng: inout SplitMix64
  ) {
    // The failing requests of one client, or lateness under load, must not open a breaker.
    guard counts else { return breaker.ended(started: started, now: now) }
    failed.add(1, now: now)
    news.failed += 1
    let before = breaker.trips
    breaker.failed(started: started, isSuspect: isSuspect, now: now, using: &rng)
    news.trips += breaker.trips - before
  }

  private mutating func sample(_ time: Duration, _ now: Instant) {
    firstTokens.record(time, now: now)
    news.firstTokens[LatencyHistogram.bucket(of: time), default: 0] += 1
  }

  /// Records an attempt that lost a race.
  ///
  /// The first token would have taken longer than the elapsed time. The elapsed time is recorded if
  /// it exceeds the median. Without such a record, the host would stay unmeasured and be explored
  /// again and again.
  private mutating func givenUp(
    _ waited: Duration, _ answered: Bool, _ started: Instant, _ now: Instant
  ) {
    if !answered, waited > firstTokens.quantile(0.5) ?? .zero { sample(waited, now) }
    breaker.ended(started: started, now: now)
  }

  /// Ends an attempt that was withdrawn (`HostObservation.withdrawn`), or whose failure is no fault
  /// of the host.
  ///
  /// The elapsed time is recorded only if it exceeds a measured median. Otherwise a client's
  /// deadline of 1 ms could make an unmeasured host look fast.
  private mutating func withdrawn(
    _ waited: Duration, _ answered: Bool, _ started: Instant, _ now: Instant
  ) {
    if !answered, let usual = firstTokens.quantile(0.5), waited > usual { sample(waited, now) }
    breaker.ended(started: started, now: now)
  }
}

extension AttemptFailure {
  enum Blame {
    case host, load, nobody
    /// Nothing was sent, so neither the host nor its times are affected.
    case unasked
  }

  /// Whether the request may have caused the failure. A request can make a host crash, stall or
  /// send garbage, but it cannot cause a refused connection.
  var mayBeOfRequest: Bool { kind != .connect }

  /// The party at fault, as far as the host's standing is concerned.
  var blame: Blame {
    switch kind {
    case .connect, .lostBeforeHead, .lost, .firstTokenDeadline, .stall, .crawl, .cut,
      .garbage, .errorEvent, .tooLarge:
      .host
    case .busy: .load
    // A host that returns 4xx works. If another host answers the request, this refusal is counted
    // later (`HostObservation.contradicted`).
    case .status: (status ?? 500) >= 500 ? .host : .nobody
    case .rejected, .formRefused, .contextTooSmall, .totalDeadline, .badJoint, .consumerLeft:
      .nobody
    case .unsuited, .noSecret: .unasked
    }
  }
}
