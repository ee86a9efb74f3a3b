import ClusterModel
import DispatcherCore
import HostModel

/// Runs a plan through the real `PlanRun` and `HostQueue` in virtual time, on hosts of different
/// speed that join and die.
///
/// Real answer lengths and the times at which hosts join or die are unknown to the scheduler. If a
/// host dies, its work resumes after the existing text at the host that is expected to be free
/// soonest, as `infer()` does it.
struct ClusterSimulation {
  /// Cost of reading the prompt again at another host, in seconds at speed 1.
  static let hopSeconds = 0.2
  /// Token rate of a host of speed 1. It converts a task's work from seconds to the tokens that a
  /// dispatcher counts.
  static let tokensPerSecond = 50.0

  /// Place at which tasks wait for a host.
  enum Dispatch {
    /// Each task is sent when the host that is expected to finish it first is free.
    case whenFree
    /// All tasks are sent immediately and wait in the hosts' own queues.
    case atOnce
  }

  private struct Piece {
    var attempt: Attempt
    var left: Double
    var began: Double
  }

  private let work: DocumentWork
  private let hosts: [SimulatedHost]
  private let dispatch: Dispatch
  private var run: PlanRun
  private var queue = HostQueue<Attempt>()
  private var lines: [[Piece]]
  private var now = 0.0
  private(set) var makespan: Double?
  private(set) var unitsOf: [Int]

  init(_ work: DocumentWork, _ hosts: [SimulatedHost], dispatch: Dispatch) throws {
    self.work = work
    self.hosts = hosts
    self.dispatch = dispatch
    run = try PlanRun(
      order: PlanOrder(plan: work.plan, conversation: Conversation(messagesJSON: [])))
    lines = hosts.map { _ in [] }
    unitsOf = hosts.map { _ in 0 }
    begin(queue.setHosts(schedulable, now: .zero))
  }

  /// Hosts as a registry would publish them: speeds are known only for hosts present from the
  /// start.
  private var schedulable: [SchedulableHost] {
    hosts.indices.filter { isAlive(hosts[$0]) }.map { index in
      SchedulableHost(
        id: Self.id(index), models: ["m"], slots: dispatch == .whenFree ? 1 : nil,
        speed: HostSpeed(
          tokensPerSecond: hosts[index].joins == 0
            ? hosts[index].speed * Self.tokensPerSecond : nil,
          firstToken: .zero),
        inFlight: lines[index].count)
    }
  }

  private static func id(_ index: Int) -> HostID { HostID("host \(index)") }

  mutating func play() {
    handle(.start)
    while makespan == nil {
      let step = nextStep()
      guard step < .infinity else { return }
      advance(to: step)
    }
  }

  /// The time at which the next piece ends, or a host joins or dies.
  private func nextStep() -> Double {
    var step = Double.infinity
    for (host, line) in zip(hosts, lines) {
      for change in [host.joins, host.dies] where change > now { step = min(step, change) }
      if let piece = line.first { step = min(step, now + piece.left / host.speed) }
    }
    return step
  }

  private mutating func advance(to instant: Double) {
    for index in hosts.indices where !lines[index].isEmpty {
      lines[index][0].left -= (instant - now) * hosts[index].speed
    }
    now = instant
    for index in hosts.indices where hosts[index].dies == now {
      let orphans = lines[index]
      lines[index] = []
      for var piece in orphans {
        piece.left += Self.hopSeconds
        lines[soonest()].append(piece)
      }
    }
    begin(queue.setHosts(schedulable, now: virtualNow))
    for index in hosts.indices {
      guard let piece = lines[index].first, piece.left <= 1e-9 else { continue }
      lines[index].removeFirst()
      unitsOf[index] += 1
      // A host works only on the first piece of its queue.
      if !lines[index].isEmpty { lines[index][0].began = max(lines[index][0].began, now) }
      end(piece, host: index)
    }
  }

  private var virtualNow: Instant { Instant(sinceStart: .seconds(now)) }

  private func isAlive(_ host: SimulatedHost) -> Bool { host.joins <= now && now < host.dies }

  /// The host at which an interrupted answer resumes, by speed and queue length.
  private func soonest() -> Int {
    let alive = hosts.indices.filter { isAlive(hosts[$0]) }
    func time(_ index: Int) -> Double { Double(lines[index].count + 1) / hosts[index].speed }
    guard let host = alive.min(by: { (time($0), $0) < (time($1), $1) }) else {
      fatalError("every host is dead")
    }
    return host
  }

  private mutating func end(_ piece: Piece, host: Int) {
    let tokens = Int((work.actual[piece.attempt.task] ?? 0) * Self.tokensPerSecond)
    let report = TaskReport(
      host: Self.id(host), model: "m", usage: Usage(promptTokens: 0, completionTokens: tokens),
      firstTokenMilliseconds: 0, totalMilliseconds: Int((now - piece.began) * 1_000),
      finishReason: "stop", output: "\(piece.attempt.task)")
    let admitted = queue.end(piece.attempt, report, now: virtualNow)
    handle(.finished(piece.attempt, report))
    begin(admitted)
  }

  private mutating func handle(_ event: PlanRunEvent) {
    for directive in run.handle(event, now: virtualNow) {
      switch directive {
      case .start(let start):
        let tokens = Int((work.expected[start.attempt.task] ?? 0) * Self.tokensPerSecond)
        var wanted = HostWork(start, expectedTokens: max(1, tokens))
        // In a planner's plans, tasks of one role are alike. Here they differ, so the kind is the
        // first word of the task's name.
        wanted.kind = String(start.attempt.task.name.prefix { $0 != "-" })
        begin(queue.join(start.attempt, wanted, client: "", now: virtualNow))
      case .finish: makespan = now
      case .fail(let failure): fatalError("\(failure)")
      case .cancel, .emit, .arm, .disarm, .expand, .cancelExpansion: break
      }
    }
  }

  private mutating func begin(_ admitted: [HostQueue<Attempt>.Admission]) {
    for admission in admitted {
      let task = admission.ticket.task
      guard let host = hosts.indices.first(where: { Self.id($0) == admission.placement.host })
      else {
        fatalError("\(task) has no host")
      }
      lines[host].append(
        Piece(
          attempt: admission.ticket, left: work.actual[task] ?? 0, began: now))
    }
  }
}
