import ClusterModel
import CommandLineCore
import Testing

/// Rounds to whole milliseconds, so that equal times compare equal however they are computed.
private func at(_ seconds: Double) -> Instant {
  Instant(sinceStart: .milliseconds(Int((seconds * 1_000).rounded())))
}

private func child(
  _ name: String, stage: Int, awaited: Bool = false, grace: Duration = .seconds(10)
) -> Child {
  Child(
    name: name, executable: "/bin/\(name)", stage: stage, blocksLaterStages: awaited, grace: grace)
}

@Suite("The supervisor of `tutti up`")
struct SupervisorTests {
  private let registry = child("registry", stage: 1, awaited: true)
  private let planner = child("planner", stage: 2)
  private let gateway = child("gateway", stage: 3)

  /// A supervisor whose three children run and have been ready.
  private func running() -> Supervisor {
    var supervisor = Supervisor([gateway, planner, registry])
    _ = supervisor.start()
    _ = supervisor.spawned("registry", pid: 1, now: .zero)
    _ = supervisor.becameReady("registry", pid: 1)
    _ = supervisor.spawned("planner", pid: 2, now: .zero)
    _ = supervisor.spawned("gateway", pid: 3, now: .zero)
    _ = supervisor.becameReady("planner", pid: 2)
    _ = supervisor.becameReady("gateway", pid: 3)
    return supervisor
  }

  /// Ends `name`, and restarts it after its delay.
  private func crash(
    _ name: String, pid: inout Int32, _ supervisor: inout Supervisor, at now: Instant
  ) throws -> (directives: [Supervisor.Directive], restart: Instant) {
    let directives = supervisor.exited(name, .signalled(9), now: now, random: 0)
    let restart = try #require(supervisor.nextDeadline)
    #expect(supervisor.tick(now: restart) == [.spawn(name)])
    pid += 1
    #expect(supervisor.spawned(name, pid: pid, now: restart).isEmpty)
    return (directives, restart)
  }

  @Test("later stages wait for an awaited child and not for others")
  func stages() {
    var supervisor = Supervisor([gateway, planner, registry])
    #expect(supervisor.start() == [.spawn("registry")])
    #expect(supervisor.spawned("registry", pid: 1, now: .zero).isEmpty)
    #expect(
      supervisor.becameReady("registry", pid: 1) == [.spawn("planner"), .spawn("gateway")])
    #expect(supervisor.notReadyYet == ["planner", "gateway"])
  }

  @Test("reports once when every child has been ready")
  func allReady() {
    var supervisor = Supervisor([gateway])
    _ = supervisor.start()
    _ = supervisor.spawned("gateway", pid: 3, now: .zero)
    #expect(supervisor.becameReady("gateway", pid: 3) == [.report(.allReady)])
    #expect(supervisor.becameReady("gateway", pid: 3).isEmpty)
    #expect(supervisor.notReadyYet.isEmpty)
  }

  @Test("late readiness of a process that has ended since changes nothing")
  func lateReadiness() {
    var supervisor = Supervisor([gateway])
    _ = supervisor.start()
    _ = supervisor.spawned("gateway", pid: 3, now: .zero)
    _ = supervisor.exited("gateway", .exited(1), now: at(1), random: 0)
    #expect(supervisor.becameReady("gateway", pid: 3).isEmpty)
    #expect(supervisor.notReadyYet == ["gateway"])
  }

  @Test("a killed child starts again after a short delay, and no other child is affected")
  func restart() {
    var supervisor = running()
    let exit = ChildExit.signalled(9)
    #expect(
      supervisor.exited("planner", exit, now: at(100), random: 0) == [
        .report(.restarting("planner", exit, after: .milliseconds(50)))
      ])
    #expect(supervisor.nextDeadline == at(100.05))
    #expect(supervisor.tick(now: at(100.049)).isEmpty)
    #expect(supervisor.tick(now: at(100.05)) == [.spawn("planner")])
    #expect(supervisor.tick(now: at(100.05)).isEmpty)
    #expect(supervisor.nextDeadline == nil)
  }

  @Test("the delay doubles with each crash within a minute, up to its limit")
  func backOff() {
    let policy = RestartPolicy.standard
    var supervisor = Supervisor([gateway], policy: policy)
    _ = supervisor.start()
    var delays: [Duration] = []
    var now = Instant.zero
    for pid in 1...4 as ClosedRange<Int32> {
      _ = supervisor.spawned("gateway", pid: pid, now: now)
      // The maximum random value subtracts almost nothing from the delay.
      for case .report(.restarting(_, _, let delay)) in supervisor.exited(
        "gateway", .exited(1), now: now, random: .max)
      {
        delays.append(delay)
      }
      now = supervisor.nextDeadline ?? now
      _ = supervisor.tick(now: now)
    }
    let rounded = delays.map { ($0.inSeconds * 10).rounded() / 10 }
    #expect(rounded == [0.1, 0.2, 0.4, 0.8])
  }

  @Test("the fifth crash within a minute is named once, and the child is still tried, slowly")
  func crashLoop() throws {
    var supervisor = running()
    var pid: Int32 = 3
    var now = at(100)
    for _ in 1...4 {
      let crash = try crash("gateway", pid: &pid, &supervisor, at: now)
      guard case .report(.restarting) = crash.directives.first else {
        Issue.record("\(crash.directives)")
        return
      }
      now = crash.restart
    }
    let fifth = try crash("gateway", pid: &pid, &supervisor, at: now)
    #expect(
      fifth.directives == [
        .report(.crashLoop("gateway", .signalled(9), retryAfter: .seconds(15)))
      ])
    #expect(now.duration(to: fifth.restart) == .seconds(15))
    let sixth = try crash("gateway", pid: &pid, &supervisor, at: fifth.restart)
    #expect(
      sixth.directives == [
        .report(.restarting("gateway", .signalled(9), after: .seconds(15)))
      ])
  }

  @Test("a child that ran well for long is forgiven its crash loop")
  func forgiven() throws {
    var supervisor = running()
    var pid: Int32 = 3
    var now = at(100)
    for _ in 1...6 { now = try crash("gateway", pid: &pid, &supervisor, at: now).restart }
    let late = try crash("gateway", pid: &pid, &supervisor, at: now.advanced(by: .seconds(600)))
    #expect(
      late.directives == [
        .report(.restarting("gateway", .signalled(9), after: .milliseconds(50)))
      ])
  }

  @Test("a child that cannot be started counts as crashed")
  func notStarted() {
    var supervisor = Supervisor([gateway])
    _ = supervisor.start()
    let exit = ChildExit.notStarted("no such file")
    #expect(
      supervisor.exited("gateway", exit, now: .zero, random: 0) == [
        .report(.restarting("gateway", exit, after: .milliseconds(50)))
      ])
  }

  @Test("a wrong configuration at the start takes everything down with status 64")
  func misconfigured() {
    var supervisor = Supervisor([registry, gateway])
    _ = supervisor.start()
    _ = supervisor.spawned("registry", pid: 1, now: .zero)
    #expect(
      supervisor.exited("registry", .exited(64), now: at(1), random: 0) == [
        .report(.misconfigured("registry")), .finished(.usage),
      ])
  }

  @Test("a library that is missing at the start takes everything down with status 69, once")
  func unloadable() {
    var supervisor = Supervisor([registry, gateway])
    _ = supervisor.start()
    _ = supervisor.spawned("registry", pid: 1, now: .zero)
    #expect(
      supervisor.exited("registry", .exited(127), now: at(1), random: 0) == [
        .report(.unloadable("registry")), .finished(.unavailable),
      ])
    // A child that ran before has its libraries, so its exit with 127 is an ordinary crash.
    var later = running()
    let directives = later.exited("gateway", .exited(127), now: at(1), random: 0)
    #expect(directives.count == 1)
    guard case .report(.restarting("gateway", .exited(127), _)) = directives.first else {
      Issue.record("\(directives)")
      return
    }
  }

  @Test("draining goes from the highest stage to the lowest, each after the one before is gone")
  func drainOrder() {
    var supervisor = running()
    #expect(supervisor.drain(now: at(9)) == [.terminate("gateway", pid: 3)])
    #expect(supervisor.drain(now: at(9)).isEmpty)
    #expect(
      supervisor.exited("gateway", .exited(0), now: at(10), random: 0) == [
        .terminate("planner", pid: 2)
      ])
    #expect(
      supervisor.exited("planner", .exited(0), now: at(11), random: 0) == [
        .terminate("registry", pid: 1)
      ])
    #expect(
      supervisor.exited("registry", .exited(0), now: at(12), random: 0) == [.finished(.done)])
  }

  @Test("a child that outlives its grace is killed, once")
  func grace() {
    var supervisor = running()
    _ = supervisor.drain(now: at(0))
    #expect(supervisor.nextDeadline == at(10))
    #expect(
      supervisor.tick(now: at(10)) == [
        .report(.overdue("gateway")), .kill("gateway", pid: 3),
      ])
    #expect(supervisor.tick(now: at(11)).isEmpty)
  }

  @Test("a child that waits for its restart is not started again by a drain")
  func drainDuringBackOff() {
    var supervisor = running()
    _ = supervisor.exited("gateway", .exited(1), now: at(1), random: 0)
    #expect(supervisor.drain(now: at(1)) == [.terminate("planner", pid: 2)])
    #expect(supervisor.tick(now: at(5)).isEmpty)
  }

  @Test("a process that was being started when the drain began is asked to go at once")
  func drainDuringSpawn() {
    var supervisor = Supervisor([gateway])
    _ = supervisor.start()
    #expect(supervisor.drain(now: at(1)).isEmpty)
    #expect(
      supervisor.spawned("gateway", pid: 7, now: at(1)) == [.terminate("gateway", pid: 7)])
    #expect(
      supervisor.exited("gateway", .exited(0), now: at(2), random: 0) == [.finished(.done)])
  }

  @Test("a child that dies while an earlier one drains is not started again")
  func deathDuringDrain() {
    var supervisor = running()
    _ = supervisor.drain(now: at(1))
    #expect(supervisor.exited("planner", .signalled(9), now: at(2), random: 0).isEmpty)
    #expect(
      supervisor.exited("gateway", .exited(0), now: at(3), random: 0) == [
        .terminate("registry", pid: 1)
      ])
  }

  @Test("a second signal kills everybody who still runs")
  func killAll() {
    var supervisor = running()
    _ = supervisor.drain(now: at(1))
    #expect(
      supervisor.killAll(now: at(2)) == [
        .kill("registry", pid: 1), .kill("planner", pid: 2), .kill("gateway", pid: 3),
      ])
    _ = supervisor.exited("registry", .signalled(9), now: at(2), random: 0)
    _ = supervisor.exited("planner", .signalled(9), now: at(2), random: 0)
    #expect(
      supervisor.exited("gateway", .signalled(9), now: at(2), random: 0) == [.finished(.done)])
  }
}

@Suite("Parsing of command line text")
struct CommandLineTextTests {
  @Test("columns are aligned, and control characters are shown as visible text")
  func table() {
    var table = TextTable([("task", .left), ("ms", .right)])
    table.append(["a\u{1B}[2J", "7"])
    table.append(["proposer-1", "1234"])
    #expect(
      table.lines == [
        "task          ms",
        "a\u{241B}[2J          7",
        "proposer-1  1234",
      ])
  }

  @Test("spans are indented under the span that asked for them; orphans and cycles stay visible")
  func spanTree() {
    func span(_ id: UInt64, parent: UInt64, start: UInt64) -> SpanRecord {
      SpanRecord(
        trace: TraceID(high: 1, low: 1), span: SpanID(id), parent: SpanID(parent),
        service: "gateway", name: "\(id)", startUnixMicroseconds: start, durationMicroseconds: 1)
    }
    let tree = SpanTree([
      span(3, parent: 1, start: 130), span(1, parent: 0, start: 100),
      span(2, parent: 1, start: 120), span(4, parent: 2, start: 125),
      span(9, parent: 77, start: 140), span(5, parent: 5, start: 150),
    ])
    #expect(
      tree.lines.map { "\($0.depth):\($0.span.name)" } == [
        "0:1", "1:2", "2:4", "1:3", "0:9", "0:5",
      ])
    #expect(tree.lines.map(\.offsetMicroseconds) == [0, 20, 25, 30, 40, 50])
  }

  @Test("the attempts of a span are separate from its other facts")
  func attempts() throws {
    let tree = SpanTree([
      SpanRecord(
        trace: TraceID(high: 1, low: 2), span: SpanID(1), parent: .none, service: "gateway",
        name: "gateway", startUnixMicroseconds: 1, durationMicroseconds: 1,
        attributes: [
          Attribute("host", "h1"),
          Attribute("attempt 1", "host=h2;role=first;outcome=beaten;tokens=1;ended_ms=9"),
          Attribute("attempt 2", "of an older version"), Attribute("attempt", "1"),
        ])
    ])
    let line = try #require(tree.lines.first)
    #expect(
      line.attempts == [
        Attribute("attempt 1", "h2 first beaten, 1 token, 0–9 ms"),
        Attribute("attempt 2", "of an older version"),
      ])
    #expect(line.facts == [Attribute("host", "h1"), Attribute("attempt", "1")])
  }

  @Test(
    "a gateway's address gives those of the registry and the monitor",
    arguments: [
      "http://127.0.0.1:8080", "http://127.0.0.1:8080/", "http://127.0.0.1:8080/v1",
      "http://127.0.0.1:8080/v1/",
    ])
  func address(url: String) throws {
    let address = try ClusterAddress(gatewayURL: url)
    #expect(address.gateway == "http://127.0.0.1:8080")
    #expect(address.registry == "http://127.0.0.1:8081")
    #expect(address.monitor == "http://127.0.0.1:8082")
  }

  @Test(
    "a value that is not a gateway's address is a usage error",
    arguments: [
      "", "127.0.0.1:8080", "ftp://x:1", "http://", "http://:80", "http://x:99999", "http://x:y",
      "http://x:1/other", "http://u@x:1",
    ])
  func badAddress(url: String) throws {
    let failure = #expect(throws: ProcessFailure.self) { try ClusterAddress(gatewayURL: url) }
    #expect(failure?.status == .usage)
  }

  @Test("two servers on two cores get one thread each, and none gets less than one")
  func threads() {
    #expect(ClusterLayout.threadsPerHost(cores: 2, hosts: 2) == 1)
    #expect(ClusterLayout.threadsPerHost(cores: 16, hosts: 2) == 8)
    #expect(ClusterLayout.threadsPerHost(cores: 1, hosts: 4) == 1)
    #expect(ClusterLayout.threadsPerHost(cores: 4, hosts: 0) == 4)
  }

  @Test(
    """
    a cluster has every service once, the gateway drains first and the registry last, and the \
    services of plans yield the processor
    """)
  func layout() throws {
    let layout = ClusterLayout(
      dataDirectory: "/d", binDirectory: "/b", gatewayPort: 9000,
      modelHosts: [
        .init(id: "embedded-1", port: 5, threads: 1, interpreter: "/p", launcher: "/l")
      ])
    let children = layout.children
    #expect(Set(children.map(\.name)).count == ServiceName.all.count + 1)
    let stages = Dictionary(uniqueKeysWithValues: children.map { ($0.name, $0.stage) })
    let gateway = try #require(stages["gateway"])
    let registry = try #require(stages["registry"])
    #expect(stages.values.allSatisfy { $0 <= gateway })
    #expect(stages.filter { $0.value < registry }.keys.sorted() == ["embedded-1"])
    let yielding = children.filter { $0.niceness > 0 }.map(\.name).sorted()
    #expect(
      yielding == [
        "agent-code", "agent-coordinator", "agent-creative", "agent-critic", "agent-reasoning",
        "agent-research", "dispatcher", "monitor", "planner", "registry",
      ])
    let nice = Dictionary(uniqueKeysWithValues: children.map { ($0.name, $0.niceness) })
    // Any request may wait for the registry to reserve money. Only plans wait for the planner.
    #expect(try #require(nice["registry"]) < #require(nice["planner"]))
    #expect(layout.registryURL == "http://127.0.0.1:9001")
    #expect(layout.monitorURL == "http://127.0.0.1:9002")
    #expect(layout.executables.contains("/b/tutti-agent-research"))
  }
}
