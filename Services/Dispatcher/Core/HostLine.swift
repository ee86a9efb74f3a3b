public import ClusterModel
import Limits

/// Tasks that wait for a host, and the hosts that they wait for.
///
/// Each task goes to the host that is expected to finish it first, which may be one that is busy: then
/// it waits here, where that can still be decided otherwise, and not in a host's own line, where nobody
/// can look into. One that joins gets its part at once, and a slow one does not sit on the last task of
/// a plan. Clients take turns.
///
/// Only tasks of this dispatcher fill a slot: what others have at a host makes it slower in the
/// estimate, but nobody waits for others to end, because they might never.
///
/// Knows no clock, agent or plan; whoever asks keeps what a ticket stands for.
public struct HostLine<Ticket: Hashable & Sendable>: Sendable {
  /// The ticket may begin.
  public struct Admission: Equatable, Sendable {
    public var ticket: Ticket
    /// Where it shall be done; nil: whoever does it decides.
    public var host: HostID?

    public init(ticket: Ticket, host: HostID?) {
      self.ticket = ticket
      self.host = host
    }
  }

  struct Waiting: Sendable {
    var ticket: Ticket
    var work: HostWork
    var client: String
    /// Its client's turn.
    var rank: UInt64
  }

  struct Running: Sendable {
    var work: HostWork
    var host: HostID?
    var since: Instant
  }

  /// What the works of one kind that have ended wrote.
  struct Kind: Sendable {
    var tickets = 0
    var ended = 0
    var tokens = 0
  }

  var places: [HostPlace] = []
  /// Every place that is there offers the same models, so that the choice of a host is none of models.
  var isUniform = true
  /// In the order in which they would be served if all hosts were the same.
  private(set) var waiting: [Waiting] = []
  private(set) var running: [Ticket: Running] = [:]
  private(set) var kinds: [String: Kind] = [:]
  /// Rates that this dispatcher has seen itself: known at once where the published ones are not yet.
  private(set) var rates: [HostID: Double] = [:]
  /// What ended lately: the published load may still count it.
  private var endings: [(host: HostID, at: Instant)] = []
  /// The turn that is being served, and the latest of each client that waits.
  private var round: UInt64 = 0
  private var turns: [String: UInt64] = [:]

  public init() {}

  public var waitingCount: Int { waiting.count }
  public var runningCount: Int { running.count }

  /// Takes what is known of the hosts now.
  public mutating func setPlaces(_ places: [HostPlace], now: Instant) -> [Admission] {
    self.places = places
    isUniform = Set(places.map(\.models)).count <= 1
    let known = Set(places.map(\.id))
    rates = rates.filter { known.contains($0.key) }
    return admit(now: now)
  }

  /// - Returns: who may begin now; perhaps the ticket itself.
  public mutating func join(
    _ ticket: Ticket, _ work: HostWork, client: String, now: Instant
  ) -> [Admission] {
    // Whoever does it says best why nobody can, and need not wait for that.
    guard places.contains(where: { work.mayBeDone(at: $0) }) else {
      kinds[work.kind, default: Kind()].tickets += 1
      running[ticket] = Running(work: work, host: nil, since: now)
      return [Admission(ticket: ticket, host: nil)]
    }
    let turn = max(turns[client] ?? 0, round) + 1
    turns[client] = turn
    kinds[work.kind, default: Kind()].tickets += 1
    let entry = Waiting(ticket: ticket, work: work, client: client, rank: turn)
    waiting.insert(entry, at: place(behind: turn))
    return admit(now: now)
  }

  /// One that had begun has ended.
  /// - Parameter report: what it did; nil: it failed or was cancelled.
  public mutating func end(
    _ ticket: Ticket, _ report: TaskReport? = nil, now: Instant
  ) -> [Admission] {
    guard let ended = running.removeValue(forKey: ticket) else { return [] }
    // One that went on elsewhere was counted there.
    for host in Set([ended.host, report?.host].compactMap(\.self)) { endings.append((host, now)) }
    if let report, report.usage.completionTokens > 0 {
      kinds[ended.work.kind]?.ended += 1
      kinds[ended.work.kind]?.tokens += Usage.bounded(report.usage.completionTokens)
      learnRate(report, of: ended)
    }
    forget(ended.work.kind)
    return admit(now: now)
  }

  /// One that waits wants to no more.
  /// - Returns: false if it does not wait: it has begun, or was never here.
  public mutating func leave(_ ticket: Ticket) -> Bool {
    guard let place = waiting.firstIndex(where: { $0.ticket == ticket }) else { return false }
    let left = waiting.remove(at: place)
    // The turns of those that left are not waited for.
    turns[left.client] = waiting.last { $0.client == left.client }?.rank
    forget(left.work.kind)
    return true
  }

  // MARK: - What was learnt

  private mutating func forget(_ kind: String) {
    guard let left = kinds[kind].map({ $0.tickets - 1 }) else { return }
    kinds[kind] = left > 0 ? kinds[kind] : nil
    kinds[kind]?.tickets = left
  }

  /// Fewer tokens than this say more of the first one than of the rate.
  private static var leastTokens: Int { 8 }

  private mutating func learnRate(_ report: TaskReport, of ended: Running) {
    let milliseconds = report.totalMilliseconds.subtractingCapped(report.firstTokenMilliseconds)
    guard report.host == ended.host, report.usage.completionTokens >= Self.leastTokens,
      milliseconds > 0
    else { return }
    rates[report.host] = Double(report.usage.completionTokens) * 1_000 / Double(milliseconds)
  }

  /// Tokens a second of one answer, as published, else as seen here; nil: nobody has measured it.
  func rate(of place: HostPlace) -> Double? { place.tokensPerSecond ?? rates[place.id] }

  func expectedTokens(_ work: HostWork) -> Int {
    guard let kind = kinds[work.kind], kind.ended > 0 else { return work.tokens }
    return max(1, kind.tokens / kind.ended)
  }

  /// Requests of others at a host. Loads are published a moment late: what ended here just now is
  /// still in them.
  func others(at place: HostPlace, own: Int, now: Instant) -> Int {
    let ended = endings.count { $0.host == place.id && $0.at.duration(to: now) < Self.publishing }
    return min(max(0, place.inFlight.subtractingCapped(own + ended)), Self.mostOthers)
  }

  /// More than any host answers; what a table says beyond it is a mistake.
  private static var mostOthers: Int { 1_000_000 }

  /// A report and a table are each at most an interval late, and both take their way over the bus.
  private static var publishing: Duration { LoadRhythm.interval * 3 }

  // MARK: - Who begins

  /// Behind all of that turn.
  private func place(behind turn: UInt64) -> Int {
    var (low, high) = (0, waiting.count)
    while low < high {
      let middle = (low + high) / 2
      if waiting[middle].rank <= turn { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private mutating func admit(now: Instant) -> [Admission] {
    endings.removeAll { $0.at.duration(to: now) >= Self.publishing }
    guard !waiting.isEmpty else { return [] }
    var schedule = HostSchedule(self, now: now)
    var admitted: [Admission] = []
    var left: [Waiting] = []
    var seen = 0
    var looked = 0
    // Those that want the same of a host as one before, for whom no host has room, wait without a look:
    // however many they are, they do not stand between others and a host that is idle.
    var blocked: Set<HostWork.Wish> = []
    while seen < waiting.count, looked < HostSchedule.lookAhead, schedule.hasRoom {
      let entry = waiting[seen]
      seen += 1
      guard !blocked.contains(entry.work.wish) else {
        left.append(entry)
        continue
      }
      looked += 1
      switch schedule.place(entry.work, tokens: expectedTokens(entry.work)) {
      case .wait:
        left.append(entry)
        if !schedule.hasRoom(for: entry.work) { blocked.insert(entry.work.wish) }
      case .begin(let host):
        admitted.append(Admission(ticket: entry.ticket, host: host))
        running[entry.ticket] = Running(work: entry.work, host: host, since: now)
        round = max(round, entry.rank)
      }
    }
    waiting.replaceSubrange(..<seen, with: left)
    turns = turns.filter { $0.value > round }
    return admitted
  }
}
