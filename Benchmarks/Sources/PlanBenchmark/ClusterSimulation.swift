import ClusterModel
import DispatcherCore

/// Plays a plan through the real `PlanRun` and `FairQueue` in virtual time, over hosts of unequal speed
/// that come and go.
///
/// As in a cluster, a task goes to the host that is expected to finish it first, by what each has to
/// do; nobody knows how long an answer will really be, when a host joins, or when one dies. The work of
/// one that dies goes on elsewhere behind the words that are there.
struct ClusterSimulation {
  /// What it costs to read the prompt again at another host, in seconds at speed 1.
  static let hopSeconds = 0.2

  /// Tasks at hosts at once, by the dispatcher's own rule.
  static func limit(_ hosts: Int) -> Int {
    HostRoom.tasks(
      on: (0..<hosts).map { Host(id: HostID("\($0)"), url: "", state: .ready, slots: 1) }) ?? .max
  }

  private struct Piece {
    var attempt: Attempt
    var left: Double
    var expected: Double
  }

  private let work: DocumentWork
  private let hosts: [SimulatedHost]
  /// Whether tasks wait at the dispatcher while every host has enough, or all go out at once.
  private let waitsForHosts: Bool
  private var run: PlanRun
  private var queue: FairQueue<Attempt>
  private var lines: [[Piece]]
  private var now = 0.0
  private(set) var makespan: Double?
  private(set) var unitsOf: [Int]

  init(_ work: DocumentWork, _ hosts: [SimulatedHost], waitsForHosts: Bool) throws {
    self.work = work
    self.hosts = hosts
    self.waitsForHosts = waitsForHosts
    run = try PlanRun(
      order: PlanOrder(plan: work.plan, conversation: Conversation(messagesJSON: [])))
    queue = FairQueue(limit: waitsForHosts ? Self.limit(hosts.count { $0.joins == 0 }) : 4_096)
    lines = hosts.map { _ in [] }
    unitsOf = hosts.map { _ in 0 }
  }

  mutating func play() {
    handle(.start)
    while makespan == nil {
      let step = nextStep()
      guard step < .infinity else { return }
      advance(to: step)
    }
  }

  /// When the next piece ends, or a host comes or goes.
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
      let done = (instant - now) * hosts[index].speed
      lines[index][0].left -= done
      lines[index][0].expected = max(0, lines[index][0].expected - done)
    }
    now = instant
    for index in hosts.indices where hosts[index].dies == now {
      let orphans = lines[index]
      lines[index] = []
      for var piece in orphans {
        piece.left += Self.hopSeconds
        piece.expected += Self.hopSeconds
        place(piece)
      }
    }
    if waitsForHosts {
      let alive = hosts.count { isAlive($0) }
      begin(queue.setLimit(Self.limit(alive)))
    }
    for index in hosts.indices {
      guard let piece = lines[index].first, piece.left <= 1e-9 else { continue }
      lines[index].removeFirst()
      unitsOf[index] += 1
      end(piece.attempt, host: index)
    }
  }

  private func isAlive(_ host: SimulatedHost) -> Bool { host.joins <= now && now < host.dies }

  private mutating func end(_ attempt: Attempt, host: Int) {
    let admitted = queue.end()
    handle(
      .finished(
        attempt,
        TaskReport(
          host: HostID("host \(host)"), model: "m", usage: .zero, firstTokenMilliseconds: 0,
          totalMilliseconds: 0, finishReason: "stop", output: "\(attempt.task)")))
    begin(admitted)
  }

  private mutating func handle(_ event: PlanRunEvent) {
    let instant = Instant(sinceStart: .seconds(now))
    for directive in run.handle(event, now: instant) {
      switch directive {
      case .start(let start): begin(queue.join(start.attempt, client: ""))
      case .finish: makespan = now
      case .fail(let failure): fatalError("\(failure)")
      case .cancel, .emit, .arm, .disarm, .expand, .cancelExpansion: break
      }
    }
  }

  private mutating func begin(_ attempts: [Attempt]) {
    for attempt in attempts {
      place(
        Piece(
          attempt: attempt, left: work.actual[attempt.task] ?? 0,
          expected: work.expected[attempt.task] ?? 0))
    }
  }

  /// At the host that is expected to finish it first.
  private mutating func place(_ piece: Piece) {
    let alive = hosts.indices.filter { isAlive(hosts[$0]) }
    func finish(_ index: Int) -> Double {
      (lines[index].reduce(0) { $0 + $1.expected } + piece.expected) / hosts[index].speed
    }
    guard let host = alive.min(by: { (finish($0), $0) < (finish($1), $1) }) else {
      fatalError("every host is dead")
    }
    lines[host].append(piece)
  }
}
