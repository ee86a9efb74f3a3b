public import ClusterModel
public import HostModel
import Limits

/// Queue of tasks that wait for a host.
///
/// Each task goes to the host that is expected to finish it first. If that host is busy, the task
/// waits here and not in the host's own queue, which the dispatcher cannot see. Here the choice can
/// still change. So a new host gets tasks at once, and a slow host does not get the last task of a
/// plan. Clients take turns.
///
/// Only tasks of this dispatcher occupy a slot. Requests of other processes make a host slower in
/// the estimate, but no task waits for their end, because they may never end.
///
/// The queue knows no clock, agent or plan. The caller knows the task of each ticket.
public struct HostQueue<Ticket: Hashable & Sendable>: Sendable {
  /// A ticket whose task may begin.
  public struct Admission: Equatable, Sendable {
    public var ticket: Ticket
    public var placement: TaskPlacement

    public init(ticket: Ticket, _ placement: TaskPlacement) {
      self.ticket = ticket
      self.placement = placement
    }
  }

  struct Waiting: Sendable {
    var ticket: Ticket
    var work: HostWork
    var client: String
    /// Turn of the client in which the ticket is served. A lower rank is served first.
    var rank: UInt64
  }

  struct Running: Sendable {
    var work: HostWork
    var host: HostID?
    var since: Instant
  }

  /// Counts of one kind of work: open tickets, ended tickets, and tokens of the ended tickets.
  struct Kind: Sendable {
    var tickets = 0
    var ended = 0
    var tokens = 0
  }

  private(set) var hosts: [SchedulableHost] = []
  /// Whether all hosts offer the same models, so that choosing a host does not choose a model.
  private(set) var isUniform = true
  /// Sorted by rank, the order in which tickets begin if all hosts are equal.
  private(set) var waiting: [Waiting] = []
  private(set) var running: [Ticket: Running] = [:]
  private(set) var kinds: [String: Kind] = [:]
  /// Tokens per second that this dispatcher measured, used for hosts without a published rate.
  private(set) var rates: [HostID: Double] = [:]
  /// Tasks that ended recently, which the published load may still count.
  private var endings: [(host: HostID, at: Instant)] = []
  /// The turn that is served now, and the latest turn of each waiting client.
  private var round: UInt64 = 0
  private var turns: [String: UInt64] = [:]

  public init() {}

  public var waitingCount: Int { waiting.count }
  public var runningCount: Int { running.count }

  /// Replaces the hosts.
  /// - Returns: the tickets that may begin now.
  public mutating func setHosts(_ hosts: [SchedulableHost], now: Instant) -> [Admission] {
    self.hosts = hosts
    isUniform = Set(hosts.map(\.models)).count <= 1
    let known = Set(hosts.map(\.id))
    rates = rates.filter { known.contains($0.key) }
    return admit(now: now)
  }

  /// Adds a ticket to the queue.
  /// - Returns: the tickets that may begin now, possibly including this one.
  public mutating func join(
    _ ticket: Ticket, _ work: HostWork, client: String, now: Instant
  ) -> [Admission] {
    // If no host can do the task, it begins now. Its agent fails with the most exact reason.
    guard hosts.contains(where: { work.mayBeDone(at: $0) }) else {
      kinds[work.kind, default: Kind()].tickets += 1
      running[ticket] = Running(work: work, host: nil, since: now)
      return [Admission(ticket: ticket, .open)]
    }
    let turn = max(turns[client] ?? 0, round) + 1
    turns[client] = turn
    kinds[work.kind, default: Kind()].tickets += 1
    let entry = Waiting(ticket: ticket, work: work, client: client, rank: turn)
    waiting.insert(entry, at: place(behind: turn))
    return admit(now: now)
  }

  /// Removes a ticket that had begun.
  /// - Parameter report: the task's report. `nil` means that the task failed or was cancelled.
  /// - Returns: the tickets that may begin now.
  public mutating func end(
    _ ticket: Ticket, _ report: TaskReport? = nil, now: Instant
  ) -> [Admission] {
    guard let ended = running.removeValue(forKey: ticket) else { return [] }
    // After a failover, the published load may count the task at either host.
    for host in Set([ended.host, report?.host].compactMap(\.self)) { endings.append((host, now)) }
    if let report, report.usage.completionTokens > 0 {
      kinds[ended.work.kind]?.ended += 1
      kinds[ended.work.kind]?.tokens += Usage.bounded(report.usage.completionTokens)
      learnRate(report, of: ended)
    }
    forget(ended.work.kind)
    return admit(now: now)
  }

  /// Removes a ticket that waits.
  /// - Returns: false if the ticket has begun or never joined.
  public mutating func leave(_ ticket: Ticket) -> Bool {
    guard let place = waiting.firstIndex(where: { $0.ticket == ticket }) else { return false }
    let left = waiting.remove(at: place)
    // The client's next ticket gets the turn after its last waiting ticket.
    turns[left.client] = waiting.last { $0.client == left.client }?.rank
    forget(left.work.kind)
    return true
  }

  // MARK: - Measurements

  private mutating func forget(_ kind: String) {
    guard let left = kinds[kind].map({ $0.tickets - 1 }) else { return }
    kinds[kind] = left > 0 ? kinds[kind] : nil
    kinds[kind]?.tickets = left
  }

  /// Minimum completion tokens to measure a rate. The first token is counted but not timed, which
  /// distorts the rate of fewer tokens.
  private static var leastTokens: Int { 8 }

  private mutating func learnRate(_ report: TaskReport, of ended: Running) {
    let milliseconds = report.totalMilliseconds.subtractingCapped(report.firstTokenMilliseconds)
    guard report.host == ended.host, report.usage.completionTokens >= Self.leastTokens,
      milliseconds > 0
    else { return }
    rates[report.host] = Double(report.usage.completionTokens) * 1_000 / Double(milliseconds)
  }

  /// Published speed of a host, with this dispatcher's measured rate if none is published yet.
  func speed(of host: SchedulableHost) -> HostSpeed {
    var speed = host.speed
    speed.tokensPerSecond = speed.tokensPerSecond ?? rates[host.id]
    return speed
  }

  func expectedTokens(_ work: HostWork) -> Int {
    guard let kind = kinds[work.kind], kind.ended > 0 else { return work.tokens }
    return max(1, kind.tokens / kind.ended)
  }

  /// Number of requests at a host that other processes sent.
  /// The published load is delayed. It may still count tasks of this dispatcher that have ended, so
  /// they are subtracted.
  func others(at host: SchedulableHost, own: Int, now: Instant) -> Int {
    let ended = endings.count { $0.host == host.id && $0.at.duration(to: now) < Self.publishing }
    return min(max(0, host.inFlight.subtractingCapped(own + ended)), Self.mostOthers)
  }

  /// Upper bound of a host's request count. A higher count is an error in the table.
  private static var mostOthers: Int { 1_000_000 }

  /// Maximum time for which the published load may still count a task that has ended.
  /// The load report and the load table are each up to one interval late. The third interval allows
  /// for bus latency.
  private static var publishing: Duration { LoadRhythm.interval * 3 }

  // MARK: - Admission

  /// Index in `waiting` after all tickets whose rank is at most `turn`.
  private func place(behind turn: UInt64) -> Int {
    waiting.partitioningIndex { $0.rank > turn }
  }

  private mutating func admit(now: Instant) -> [Admission] {
    endings.removeAll { $0.at.duration(to: now) >= Self.publishing }
    guard !waiting.isEmpty else { return [] }
    var schedule = HostSchedule(self, now: now)
    var admitted: [Admission] = []
    var left: [Waiting] = []
    var seen = 0
    var looked = 0
    // If no host has room for a task, later tasks with the same wish are skipped and not counted in
    // `looked`. So they do not keep other tasks from an idle host.
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
      case .begin(let placement):
        admitted.append(Admission(ticket: entry.ticket, placement))
        running[entry.ticket] = Running(work: entry.work, host: placement.host, since: now)
        round = max(round, entry.rank)
      }
    }
    waiting.replaceSubrange(..<seen, with: left)
    turns = turns.filter { $0.value > round }
    return admitted
  }
}
