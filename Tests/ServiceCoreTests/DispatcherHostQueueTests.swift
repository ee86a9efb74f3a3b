import ClusterModel
import ClusterTesting
import DispatcherCore
import HostModel
import Testing

/// A host with one slot by default, like llama.cpp with `-np 1`.
private func host(
  _ id: HostID, rate: Double? = 50, first: Double = 0, slots: Int? = 1,
  slowdown: Double? = nil, models: Set<ModelID> = ["m"], trust: DataPolicy = .local,
  inFlight: Int = 0, tags: [String] = []
) -> SchedulableHost {
  SchedulableHost(
    id: id, models: models, trust: trust, slots: slots,
    speed: HostSpeed(
      tokensPerSecond: rate, firstToken: .seconds(first), slowdown: slowdown),
    inFlight: inFlight, tags: tags)
}

private func work(
  _ tokens: Int = 100, models: [ModelID] = [], policy: DataPolicy = .any,
  pools: HostPools = .all, allowed: AllowedModels = .all, kind: String = "k"
) -> HostWork {
  HostWork(
    models: models, dataPolicy: policy, pools: pools, allowed: allowed, kind: kind, tokens: tokens)
}

private func seconds(_ value: Double) -> Instant { Instant(sinceStart: .seconds(value)) }

private func done(_ host: HostID, tokens: Int, in time: Double) -> TaskReport {
  TaskReport(
    host: host, model: "m", usage: Usage(promptTokens: 1, completionTokens: tokens),
    firstTokenMilliseconds: 0, totalMilliseconds: Int(time * 1_000), finishReason: "stop",
    output: "done")
}

/// A ticket that began at a host. A `host` of `nil` means that the agent chooses.
private struct Begun: Equatable {
  var ticket: Int
  var host: HostID?
}

/// A host queue with reference semantics, so that expectations may change it.
private final class Queue {
  private var queue = HostQueue<Int>()
  /// The model of each ticket that has begun.
  private(set) var models: [Int: ModelID] = [:]

  init(_ hosts: [SchedulableHost] = []) { _ = queue.setHosts(hosts, now: .zero) }

  var waitingCount: Int { queue.waitingCount }
  var runningCount: Int { queue.runningCount }

  func setHosts(_ hosts: [SchedulableHost], now: Instant) -> [Begun] {
    begin(queue.setHosts(hosts, now: now))
  }

  func join(
    _ ticket: Int, _ work: HostWork, client: String = "c", now: Instant = .zero
  ) -> [Begun] {
    begin(queue.join(ticket, work, client: client, now: now))
  }

  func end(_ ticket: Int, _ report: TaskReport? = nil, now: Instant) -> [Begun] {
    begin(queue.end(ticket, report, now: now))
  }

  func leave(_ ticket: Int) -> Bool { queue.leave(ticket) }

  private func begin(_ admitted: [HostQueue<Int>.Admission]) -> [Begun] {
    for admission in admitted { models[admission.ticket] = admission.placement.model }
    return admitted.map { Begun(ticket: $0.ticket, host: $0.placement.host) }
  }

  /// Adds the tickets in order and returns the host at which each one began.
  func joinAll(_ tickets: Range<Int>, _ work: HostWork) -> [Int: HostID?] {
    var begun: [Int: HostID?] = [:]
    for ticket in tickets {
      for admission in join(ticket, work) { begun[admission.ticket] = .some(admission.host) }
    }
    return begun
  }
}

@Suite("Tasks that wait for a host")
struct DispatcherHostQueueTests {
  @Test("a task of a key with host pools waits for a host of them, while others pass it")
  func pools() {
    let queue = Queue([host("fast", rate: 100), host("gpu", rate: 10, tags: ["gpu"])])
    let limited = work(pools: HostPools(["gpu"]))
    #expect(queue.join(0, limited) == [Begun(ticket: 0, host: "gpu")])
    #expect(queue.join(1, limited).isEmpty)
    #expect(queue.join(2, work()) == [Begun(ticket: 2, host: "fast")])
    #expect(queue.end(0, now: seconds(1)) == [Begun(ticket: 1, host: "gpu")])
  }

  @Test("a task without a model is not promised a host that has none of the allowed models")
  func allowedModels() {
    let priced = host("priced", rate: 10, models: ["priced"])
    let unpriced = host("unpriced", rate: 100, models: ["unpriced"])
    let limited = work(allowed: AllowedModels(["priced"]))
    // All hosts offer the same models, so the dispatcher chooses the host.
    let uniform = Queue([unpriced])
    #expect(uniform.join(0, limited) == [Begun(ticket: 0, host: nil)])
    #expect(uniform.join(1, work()) == [Begun(ticket: 1, host: "unpriced")])
    #expect(Queue([priced]).join(0, limited) == [Begun(ticket: 0, host: "priced")])
  }

  @Test("each goes to an idle host first, the fastest before the others, and the rest waits")
  func idle() {
    let queue = Queue([host("slow", rate: 60), host("fast", rate: 100)])
    #expect(queue.joinAll(0..<4, work()) == [0: "fast", 1: "slow"])
    #expect(queue.waitingCount == 2)
    #expect(queue.runningCount == 2)
  }

  @Test(
    "a host whose answers were seen not to slow each other down gets several before a slower one any"
  )
  func batching() {
    let slow = host("slow", rate: 70)
    let unknown = Queue([slow, host("fast", rate: 100, slots: 4)])
    #expect(unknown.joinAll(0..<3, work())[2] == .some("slow"))
    let batching = Queue([slow, host("fast", rate: 100, slots: 4, slowdown: 0.05)])
    #expect(batching.joinAll(0..<3, work()) == [0: "fast", 1: "fast", 2: "fast"])
    let turns = Queue([slow, host("fast", rate: 100, slots: 4, slowdown: 1)])
    #expect(turns.joinAll(0..<2, work()) == [0: "fast", 1: "slow"])
  }

  @Test("the last one waits for a fast host rather than going to a slow one that is idle")
  func lastOne() {
    let queue = Queue([host("slow", rate: 10), host("fast", rate: 100)])
    #expect(queue.joinAll(0..<1, work()) == [0: "fast"])
    // The fast host needs 1 s of wait and 1 s of work, the slow host 10 s.
    #expect(queue.join(1, work()).isEmpty)
    #expect(
      queue.end(0, done("fast", tokens: 100, in: 1), now: seconds(1))
        == [.init(ticket: 1, host: "fast")])
  }

  @Test("a task that waits for a fast host does not delay later ones")
  func overtaking() {
    let queue = Queue([host("slow", rate: 30), host("fast", rate: 100)])
    #expect(queue.joinAll(0..<1, work()) == [0: "fast"])
    // Ticket 1 waits 1 s and ticket 2 waits 2 s, each with 1 s of work. The slow host needs 3.3 s.
    #expect(queue.join(1, work()).isEmpty)
    #expect(queue.join(2, work()).isEmpty)
    #expect(queue.join(3, work()) == [.init(ticket: 3, host: "slow")])
    #expect(queue.waitingCount == 2)
  }

  @Test("a host that joins gets work at once, also if it was never measured")
  func joining() {
    let queue = Queue([host("a")])
    #expect(queue.joinAll(0..<3, work()) == [0: "a"])
    let admitted = queue.setHosts([host("a"), host("new", rate: nil)], now: seconds(0.5))
    #expect(admitted == [.init(ticket: 1, host: "new")])
  }

  @Test("a host that is gone gets nothing more, and what it had does not fill another's slot")
  func leaving() {
    let queue = Queue([host("a"), host("b")])
    #expect(queue.joinAll(0..<4, work()).count == 2)
    #expect(queue.setHosts([host("b")], now: seconds(1)).isEmpty)
    let admitted = queue.end(1, done("b", tokens: 100, in: 2), now: seconds(2))
    #expect(admitted == [.init(ticket: 2, host: "b")])
    // The task of the removed host ended at another host.
    #expect(queue.end(0, done("b", tokens: 100, in: 3), now: seconds(3)).isEmpty)
    #expect(queue.runningCount == 1)
  }

  @Test("tasks of one kind are expected to be as long as those that have ended")
  func learning() {
    let queue = Queue([
      host("prompt", rate: 10, first: 0.1), host("fluent", rate: 100, first: 2),
    ])
    // For 1,000 tokens, the fluent host needs 12 s and the other one 100 s.
    #expect(queue.joinAll(0..<2, work(1_000)) == [0: "fluent"])
    // For the real 10 tokens, the fluent host needs 2.1 s and the other one 1.1 s.
    #expect(
      queue.end(0, done("fluent", tokens: 10, in: 2.1), now: seconds(2.1))
        == [.init(ticket: 1, host: "prompt")])
  }

  @Test("other dispatchers' tasks make a host slower, but no task waits for their end")
  func others() {
    let queue = Queue([host("a", inFlight: 3), host("b")])
    #expect(queue.joinAll(0..<1, work()) == [0: "b"])
    let lone = Queue([host("a", inFlight: 3)])
    #expect(lone.joinAll(0..<2, work()) == [0: "a"])
    #expect(lone.waitingCount == 1)
  }

  @Test("a task that ended here a moment ago does not count as another dispatcher's")
  func publishedLate() {
    let queue = Queue([host("a", rate: 50), host("b", rate: 49)])
    #expect(queue.joinAll(0..<1, work()) == [0: "a"])
    _ = queue.setHosts([host("a", rate: 50, inFlight: 1), host("b", rate: 49)], now: seconds(1))
    _ = queue.end(0, done("a", tokens: 100, in: 2), now: seconds(2))
    #expect(
      queue.join(1, work(), now: seconds(2.1)) == [.init(ticket: 1, host: "a")])
    _ = queue.end(1, now: seconds(2.2))
    // Tickets 0 and 1 ended more than a moment ago. So the request at host "a" that `setHosts`
    // reported now counts as another process's request, and "b" is chosen.
    #expect(
      queue.join(2, work(), now: seconds(5)) == [.init(ticket: 2, host: "b")])
  }

  @Test("a task that failed over to another host counts as ended there")
  func wentElsewhere() {
    let queue = Queue([host("a", rate: 50), host("b", rate: 49)])
    #expect(queue.joinAll(0..<2, work()) == [0: "a", 1: "b"])
    // Ticket 1 fails over from b to a, which then has two requests, and ends there.
    _ = queue.setHosts([host("a", rate: 50, inFlight: 2)], now: seconds(1))
    _ = queue.end(0, done("a", tokens: 100, in: 2), now: seconds(2))
    _ = queue.end(1, done("a", tokens: 100, in: 2), now: seconds(2))
    _ = queue.setHosts(
      [host("a", rate: 50, inFlight: 2), host("new", rate: 45)], now: seconds(2.1))
    #expect(queue.join(2, work(), now: seconds(2.1)) == [.init(ticket: 2, host: "a")])
  }

  @Test(
    "an idle host is taken although another may be sooner by a little: that one may be gone then")
  func certainty() {
    let queue = Queue([host("idle", rate: 50), host("busy", rate: 100)])
    #expect(queue.joinAll(0..<1, work()) == [0: "busy"])
    // The idle host needs 2 s. The busy host needs 0.9 s of wait and 1 s of work.
    #expect(queue.join(1, work(), now: seconds(0.1)) == [.init(ticket: 1, host: "idle")])
    let second = Queue([host("idle", rate: 50), host("busy", rate: 100)])
    #expect(second.joinAll(0..<1, work()) == [0: "busy"])
    // The busy host needs 0.5 s of wait and 1 s of work.
    #expect(second.join(1, work(), now: seconds(0.5)).isEmpty)
  }

  @Test("no task waits for a host that does not report its slots, and the host shares its speed")
  func unknownSlots() {
    let queue = Queue([host("a", slots: nil), host("b", slots: nil)])
    let begun = queue.joinAll(0..<20, work())
    #expect(begun.count == 20)
    #expect(begun.values.count { $0 == "a" } == 10)
  }

  @Test("a host with several slots gets as many tasks, and idle hosts before a second one")
  func slots() {
    let queue = Queue([host("a", slots: 2), host("b", slots: 2)])
    let begun = queue.joinAll(0..<6, work())
    #expect(Set([begun[0], begun[1]]) == ["a", "b"])
    #expect(begun.count == 4)
  }

  @Test("work goes only where its model is and its data may be")
  func ability() {
    let queue = Queue([
      host("public", rate: 100, models: ["m", "x"], trust: .any),
      host("own", rate: 10, models: ["m", "x"]),
    ])
    #expect(queue.joinAll(0..<1, work(policy: .local)) == [0: "own"])
    #expect(queue.joinAll(1..<2, work(models: ["x"])) == [1: "public"])
    // The task starts without a host. Its agent reports that no host offers the model.
    #expect(queue.joinAll(2..<3, work(models: ["absent"])) == [2: nil])
  }

  @Test("where hosts differ in their models the choice is the agent's, two tasks for each slot")
  func openModel() {
    let queue = Queue([host("a", models: ["m"]), host("b", models: ["n"])])
    let begun = queue.joinAll(0..<6, work())
    #expect(begun == [0: nil, 1: nil, 2: nil, 3: nil])
    #expect(queue.end(0, now: seconds(1)) == [.init(ticket: 4, host: nil)])
    // A task that names its model still gets a host.
    #expect(queue.joinAll(6..<7, work(models: ["n"])) == [6: "b"])
  }

  @Test("clients take turns: one with a single task waits one turn, not a thousand")
  func turns() {
    let queue = Queue([host("a")])
    for ticket in 0..<1_000 { _ = queue.join(ticket, work(), client: "busy", now: .zero) }
    #expect(queue.join(1_000, work(), client: "lone", now: .zero).isEmpty)
    var order: [Int] = [0]
    for step in 1...3 {
      let admitted = queue.end(order[step - 1], now: seconds(Double(step)))
      order += admitted.map(\.ticket)
    }
    #expect(order.contains(1_000))
    #expect(order.count == 4)
  }

  @Test("one that leaves is forgotten, one that has begun cannot leave")
  func leave() {
    let queue = Queue([host("a")])
    _ = queue.joinAll(0..<3, work())
    #expect(queue.leave(1))
    #expect(!queue.leave(1))
    #expect(!queue.leave(0))
    #expect(queue.end(0, now: seconds(1)) == [.init(ticket: 2, host: "a")])
    #expect(queue.end(0, now: seconds(1)).isEmpty)
  }

  @Test("a client whose waiting tasks all left is not charged for their turns")
  func leaveTurns() {
    let queue = Queue([host("a")])
    _ = queue.join(0, work(), client: "other", now: .zero)
    for ticket in 1...60 { _ = queue.join(ticket, work(), client: "hasty", now: .zero) }
    for ticket in 1...60 { #expect(queue.leave(ticket)) }
    _ = queue.join(100, work(), client: "hasty", now: .zero)
    for ticket in 200..<260 { _ = queue.join(ticket, work(), client: "other", now: .zero) }
    let first = queue.end(0, now: seconds(1)).map(\.ticket)
    let second = queue.end(first[0], now: seconds(2)).map(\.ticket)
    #expect((first + second).contains(100), "\(first), \(second)")
  }

  @Test("however many wait for one host, one that is idle gets what it may do")
  func crowd() {
    let queue = Queue([host("a", models: ["m"]), host("b", models: ["n"])])
    for ticket in 0..<1_000 {
      _ = queue.join(ticket, work(models: ["m"]), client: "c\(ticket)", now: .zero)
    }
    #expect(
      queue.join(5_000, work(models: ["n"]), client: "c", now: .zero)
        == [.init(ticket: 5_000, host: "b")])
  }

  @Test("without any host every task begins, and its agent reports what is missing")
  func noHost() {
    let queue = Queue()
    #expect(queue.joinAll(0..<3, work()) == [0: nil, 1: nil, 2: nil])
  }

  @Test("a task whose model is busy everywhere begins with an alternative that is done sooner")
  func alternatives() {
    let queue = Queue([host("a", models: ["m"]), host("b", rate: 45, models: ["n"])])
    let either = work(models: ["m", "n"])
    #expect(queue.join(0, either) == [.init(ticket: 0, host: "a")])
    // Host a needs 2 s of wait and 2 s of work, host b 2.2 s of work.
    #expect(queue.join(1, either) == [.init(ticket: 1, host: "b")])
    #expect(queue.models == [0: "m", 1: "n"])
    #expect(queue.join(2, either).isEmpty)
  }

  @Test("a free host of an alternative is taken although a busy one of it would be sooner")
  func freeAlternative() {
    let queue = Queue([
      host("a", rate: 10, models: ["m"]), host("b", rate: 100, models: ["n"]),
      host("c", rate: 40, models: ["n"]),
    ])
    #expect(queue.joinAll(0..<1, work(models: ["m"])) == [0: "a"])
    #expect(queue.joinAll(1..<2, work(models: ["n"])) == [1: "b"])
    // Host a needs 20 s, host b 1 s of wait and 1 s of work, and host c 2.5 s of work.
    #expect(queue.joinAll(2..<3, work(models: ["m", "n"])) == [2: "c"])
  }

  @Test("a task waits for its model if the alternative would be done later")
  func slowAlternative() {
    let queue = Queue([host("a", models: ["m"]), host("b", rate: 10, models: ["n"])])
    let either = work(models: ["m", "n"])
    #expect(queue.join(0, either) == [.init(ticket: 0, host: "a")])
    // Host a needs 2 s of wait and 2 s of work, host b 10 s of work.
    #expect(queue.join(1, either).isEmpty)
    #expect(queue.end(0, now: seconds(2)) == [.init(ticket: 1, host: "a")])
  }

  @Test("a task keeps its first model while one of its hosts is free, however fast the others are")
  func firstModel() {
    let queue = Queue([host("a", models: ["m"]), host("b", rate: 500, models: ["n"])])
    #expect(queue.join(0, work(models: ["m", "n"])) == [.init(ticket: 0, host: "a")])
  }

  @Test("a host whose breaker is open in some process gets no task until it admits one again")
  func openBreaker() {
    let table = HostTable(
      epoch: 1, revision: 1,
      hosts: ["a", "b"].map {
        Host(id: $0, url: "http://\($0)", state: .ready, models: [ModelOffer(id: "m")], slots: 1)
      })
    func hosts(open: Int) -> [SchedulableHost] {
      let load = LoadTable(
        epoch: 1, revision: 1,
        hosts: [
          HostLoad(host: "a", tokensPerSecond: 100, openBreakers: open),
          HostLoad(host: "b", tokensPerSecond: 10),
        ], merged: [])
      return SchedulableHost.all(in: HostView(table, load: load))
    }
    let queue = Queue(hosts(open: 1))
    #expect(queue.joinAll(0..<2, work()) == [0: "b"])
    #expect(queue.setHosts(hosts(open: 0), now: seconds(1)) == [.init(ticket: 1, host: "a")])
  }

  @Test("a host whose server is older than the minimum version gets no task")
  func minimumVersion() {
    let table = HostTable(
      epoch: 1, revision: 1,
      hosts: [("old", "vLLM 0.5"), ("new", "vLLM 0.6.3")].map { id, version in
        Host(
          id: HostID(id), url: "http://\(id)", state: .ready, models: [ModelOffer(id: "m")],
          slots: 1, version: version)
      })
    let loads = LoadTable(
      epoch: 1, revision: 1,
      hosts: [
        HostLoad(host: "old", tokensPerSecond: 100), HostLoad(host: "new", tokensPerSecond: 10),
      ], merged: [])
    let rules = EligibilityRules(minimumVersions: ["vLLM": "0.6"])
    let queue = Queue(SchedulableHost.all(in: HostView(table, load: loads, rules: rules)))
    #expect(queue.joinAll(0..<2, work()) == [0: "new"])
  }

  @Test("a placed order names its host and model, and keeps its other models as alternatives")
  func placedOrder() {
    let order = TaskOrder(
      plan: "p",
      task: PlanTask(id: "t", role: .research, model: "m", alternatives: ["n", "o"]),
      conversation: Conversation(messagesJSON: []), isSink: false, avoidHosts: ["a", "b"])
    let placed = order.placed(TaskPlacement(host: "b", model: "n"))
    #expect(placed.host == "b" && placed.avoidHosts == ["a"])
    #expect(placed.task.model == "n" && placed.task.alternatives == ["m", "o"])
    #expect(order.placed(.open) == order)
    #expect(order.placed(TaskPlacement(host: "c", model: "m")).task == order.task)
  }

  @Test("whatever comes and goes, no slot has two tasks, none is lost, and all that wait begin")
  func random() {
    for seed in UInt64(0)..<200 {
      var rng = SeededGenerator(seed: seed)
      let queue = Queue()
      var slots: [HostID: Int] = [:]
      var hosts: [SchedulableHost] = []
      for number in 0..<Int.random(in: 1...5, using: &rng) {
        let id = HostID("h\(number)")
        slots[id] = Int.random(in: 1...3, using: &rng)
        hosts.append(
          host(
            id, rate: Bool.random(using: &rng) ? nil : Double.random(in: 5...200, using: &rng),
            slots: slots[id]))
      }
      var running: [Int: HostID] = [:]
      var begun: Set<Int> = []
      var joined = 0
      var left: Set<Int> = []
      func take(_ admitted: [Begun]) {
        for admission in admitted {
          #expect(begun.insert(admission.ticket).inserted, "seed \(seed)")
          guard let host = admission.host else { continue }
          running[admission.ticket] = host
          let there = running.values.count { $0 == host }
          #expect(there <= slots[host] ?? 0, "seed \(seed)")
        }
      }
      take(queue.setHosts(hosts, now: .zero))
      for step in 0..<120 {
        let now = seconds(Double(step) / 4)
        switch Int.random(in: 0..<4, using: &rng) {
        case 0, 1:
          joined += 1
          let client = "c\(Int.random(in: 0..<3, using: &rng))"
          take(
            queue.join(joined, work(Int.random(in: 1...300, using: &rng)), client: client, now: now)
          )
        case 2:
          guard let ticket = running.keys.min(), let host = running.removeValue(forKey: ticket)
          else { continue }
          take(queue.end(ticket, done(host, tokens: 50, in: 1), now: now))
        default:
          let ticket = Int.random(in: 1...max(1, joined), using: &rng)
          if queue.leave(ticket) { left.insert(ticket) }
        }
      }
      var step = 1_000.0
      while let ticket = running.keys.min(), let host = running.removeValue(forKey: ticket) {
        step += 1
        take(queue.end(ticket, done(host, tokens: 50, in: 1), now: seconds(step)))
      }
      #expect(queue.waitingCount == 0, "seed \(seed)")
      #expect(begun.union(left).count == joined, "seed \(seed)")
    }
  }
}
