import ClusterModel
import ClusterTesting
import DispatcherCore
import OverloadCore
import Testing

/// Runs many plans in virtual time, with the fair queue of a dispatcher.
struct CrowdedDispatcher {
  private enum Happening {
    case plan(Int, PlanRunEvent)
    case ended(Int, Attempt, TaskReport)
  }
  private struct Ticket: Hashable {
    var plan: Int
    var attempt: Attempt
  }

  private var runs: [PlanRun]
  private let clients: [String]
  private var queue: FairQueue<String, Ticket>
  private var rng = SeededGenerator(seed: 4)
  private(set) var now = Instant.zero
  /// Pending events by time, and by insertion order within one time.
  private var agenda: [Instant: [Happening]] = [:]
  private var times = Heap()

  private(set) var finished: [Int: Instant] = [:]
  private(set) var failures: [Int: Failure] = [:]
  private(set) var mostRunning = 0

  init(_ orders: [PlanOrder], limit: Int) throws {
    runs = try orders.map { try PlanRun(order: $0) }
    clients = orders.map(\.client)
    queue = FairQueue(limit: limit)
  }

  mutating func play() {
    for plan in runs.indices { handle(plan, .start) }
    while let at = times.removeFirst() {
      now = at
      for happening in agenda.removeValue(forKey: at) ?? [] {
        switch happening {
        case .plan(let plan, let event): handle(plan, event)
        case .ended(let plan, let attempt, let report):
          handle(plan, .finished(attempt, report))
          admit(queue.end())
        }
      }
    }
  }

  private mutating func handle(_ plan: Int, _ event: PlanRunEvent) {
    for directive in runs[plan].handle(event, now: now) {
      switch directive {
      case .start(let start):
        admit(queue.join(Ticket(plan: plan, attempt: start.attempt), client: clients[plan]))
      case .finish: finished[plan] = now
      case .fail(let failure): failures[plan] = failure
      // Running attempts end by themselves and their reports are ignored.
      case .cancel(let attempt): _ = queue.leave(Ticket(plan: plan, attempt: attempt))
      case .emit, .arm, .disarm, .expand, .cancelExpansion: break
      }
    }
  }

  private mutating func admit(_ tickets: [Ticket]) {
    mostRunning = max(mostRunning, queue.running)
    for ticket in tickets {
      let time = Duration.milliseconds(Int.random(in: 50...150, using: &rng))
      expect(.ended(ticket.plan, ticket.attempt, report("\(ticket.attempt)")), after: time)
    }
  }

  private mutating func expect(_ happening: Happening, after time: Duration) {
    let at = now.advanced(by: time)
    if agenda[at] == nil { times.insert(at) }
    agenda[at, default: []].append(happening)
  }
}

/// A min-heap of instants.
private struct Heap {
  private var instants: [Instant] = []

  mutating func insert(_ instant: Instant) {
    instants.append(instant)
    var child = instants.count - 1
    while child > 0, instants[child] < instants[(child - 1) / 2] {
      instants.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func removeFirst() -> Instant? {
    guard let first = instants.first, let last = instants.popLast() else { return nil }
    guard !instants.isEmpty else { return first }
    instants[0] = last
    var parent = 0
    while true {
      let children = [2 * parent + 1, 2 * parent + 2].filter { $0 < instants.count }
      guard let least = children.min(by: { instants[$0] < instants[$1] }),
        instants[least] < instants[parent]
      else { return first }
      instants.swapAt(parent, least)
      parent = least
    }
  }
}

@Suite("A crowded dispatcher")
struct DispatcherLoadTests {
  @Test("2,000 plans at once all finish, never more at agents than may be, and a lone one at once")
  func crowd() throws {
    var orders = (0..<2_000).map { number in
      PlanOrder(
        plan: .fan(3), conversation: Conversation(messagesJSON: []), client: "busy \(number % 2)")
    }
    for index in orders.indices { orders[index].plan.deadline = .seconds(600) }
    // The lone plan comes last, and is the only one of its client.
    var lone = orders[0]
    lone.client = "lone"
    orders.append(lone)
    var dispatcher = try CrowdedDispatcher(orders, limit: 64)
    dispatcher.play()
    #expect(dispatcher.finished.count == 2_001)
    #expect(dispatcher.failures.isEmpty)
    #expect(dispatcher.mostRunning == 64)
    // 8,004 tasks of 100 ms in 64 slots take 12.5 s; every slot was busy almost all the time.
    let whole = try #require(dispatcher.finished.values.max())
    #expect(whole < Instant(sinceStart: .seconds(14)))
    // The lone plan's four tasks wait for two turns of their client, not for 8,000 tasks.
    #expect(try #require(dispatcher.finished[2_000]) < Instant(sinceStart: .seconds(1)))
  }
}
