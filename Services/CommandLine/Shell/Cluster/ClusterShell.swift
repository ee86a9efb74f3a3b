import Clocks
import ClusterModel
import CommandLineCore
import EmbeddedModel
import Files
import Foundation
import ServiceKit
import Synchronization

/// Runs the processes of a cluster as its `Supervisor` decides, until none runs any more.
final class ClusterShell: Sendable {
  private enum Event: Sendable {
    case signal
    case lifelineEnded
    case childEnded
    case ready(String, pid: pid_t, StartLines.Times)
    /// - Parameters:
    ///   - isOpen: whether requests need no key. `nil` means not known.
    ///   - hosts: all registered hosts. Empty if the registry does not answer.
    case answering(Bool, isOpen: Bool?, hosts: [HostDetails])
    /// The first host can answer, after the cluster was announced without a host.
    case answersAtLast
    case startIsOverdue
    case startIsSlow
    case tick
  }

  /// Interval between reports about the children that are not ready yet. A usual start is shorter.
  static let slowStartInterval = Duration.seconds(15)
  /// Maximum wait for a host that can answer. A running host answers within a probe or two.
  /// After this time, the cluster is announced without a host, because it is still useful. The wait
  /// for a host continues.
  static let hostPatience = Duration.seconds(8)
  /// Maximum wait for the first probe of every host after the cluster can answer. A host that does
  /// not exist is known to be unreachable after the 2 s of a probe.
  static let probePatience = Duration.milliseconds(2_500)
  /// Interval between probes of unreachable hosts.
  static let hostInterval = Duration.seconds(1)

  private let layout: ClusterLayout
  private let hostURLs: [String]
  private let lock: DataDirectoryLock
  private let readiness: ClusterReadiness
  private let clock = ProcessClock()
  /// Running processes. The wait until a process is ready ends if the process is removed from the
  /// set.
  private let live = Mutex<Set<pid_t>>([])
  /// Whether all hosts of the command line have been registered or refused.
  private let isIntroduced = Atomic(false)
  private let crashes = Mutex<[String: ChildCrashes]>([:])

  /// - Parameter hostURLs: hosts that are not children.
  init(_ layout: ClusterLayout, hostURLs: [String], lock: DataDirectoryLock) {
    self.layout = layout
    self.hostURLs = hostURLs
    self.lock = lock
    self.readiness = ClusterReadiness(
      layout: layout, adminTokenFile: layout.dataDirectory + "/admin-token")
  }

  private var now: Instant { clock.now }
  private var clusterFile: String { layout.dataDirectory + "/cluster.json" }
  private var crashFile: String { layout.dataDirectory + "/crashes.json" }

  /// - Parameter lifeline: descriptor of this process's lifeline. `nil` means that it has none.
  func run(lifeline: Int32?) async throws -> ExitStatus {
    // The stream needs no bound, because each event is a signal, the end of a child or the end of a
    // wait, and the number of children is limited.
    let (events, inbox) = AsyncStream.makeStream(of: Event.self)
    let pipe = try Lifeline()
    let processEvents = ProcessEvents(
      lifeline: lifeline, onSignal: { inbox.yield(.signal) },
      onChild: { inbox.yield(.childEnded) }, onLifelineEnd: { inbox.yield(.lifelineEnded) })
    defer {
      withExtendedLifetime((pipe, processEvents)) {}
      for file in [clusterFile, crashFile] { try? FileManager.default.removeItem(atPath: file) }
    }
    CrashReports.install(name: "up", dataDirectory: layout.dataDirectory)
    writeCrashes()
    try FileManager.default.createDirectory(
      atPath: layout.dataDirectory + "/logs", withIntermediateDirectories: true,
      attributes: [.posixPermissions: 0o700])
    return await withDiscardingTaskGroup { group in
      let status = await supervise(events, inbox, pipe, &group)
      group.cancelAll()
      return status
    }
  }

  private func supervise(
    _ events: AsyncStream<Event>, _ inbox: AsyncStream<Event>.Continuation, _ pipe: Lifeline,
    _ group: inout DiscardingTaskGroup
  ) async -> ExitStatus {
    let children = Dictionary(uniqueKeysWithValues: layout.children.map { ($0.name, $0) })
    var supervisor = Supervisor(layout.children)
    var pids: [pid_t: String] = [:]
    var isDraining = false
    var armed: Instant?
    var directives = supervisor.start()
    var lines = StartLines(servers: servers, services: Set(ServiceName.all.map(\.description)))
    for line in lines.loading { Terminal.progress(line) }
    let startLimit = layout.startLimit
    group.addTask {
      try? await Task.sleep(for: startLimit)
      if !Task.isCancelled { inbox.yield(.startIsOverdue) }
    }
    group.addTask {
      let clock = ContinuousClock()
      let end = clock.now + startLimit
      while !Task.isCancelled, clock.now < end {
        try? await Task.sleep(for: Self.slowStartInterval)
        if !Task.isCancelled { inbox.yield(.startIsSlow) }
      }
    }
    group.addTask { [self] in await introduceHosts() }
    group.addTask { [self] in await boundLogs() }

    var iterator = events.makeAsyncIterator()
    while true {
      while !directives.isEmpty {
        switch directives.removeFirst() {
        case .spawn(let name):
          guard let child = children[name] else { continue }
          do {
            let pid = try start(child, pipe)
            pids[pid] = name
            directives += supervisor.spawned(name, pid: pid, now: now)
            group.addTask { [self] in
              let times = try? await readiness.await(child, clock: clock) {
                live.withLock { $0.contains(pid) }
              }
              if let times { inbox.yield(.ready(name, pid: pid, times)) }
            }
          } catch {
            directives += supervisor.exited(
              name, .notStarted(error.message), now: now, random: .random(in: 0 ... .max))
          }
        case .terminate(_, let pid): ChildProcess.signal(SIGTERM, pid)
        case .kill(_, let pid): ChildProcess.signal(SIGKILL, pid)
        case .report(.allReady):
          group.addTask { [self] in
            let answers = await answersSoon()
            let hosts = await probedHosts()
            inbox.yield(.answering(answers, isOpen: await readiness.isOpen(), hosts: hosts))
            if !answers, await answersAtLast() { inbox.yield(.answersAtLast) }
          }
        case .report(let report): printReport(report)
        case .finished(let status): return status
        }
      }
      if let deadline = supervisor.nextDeadline, deadline != armed {
        armed = deadline
        let wait = now.duration(to: deadline)
        group.addTask {
          try? await Task.sleep(for: wait)
          inbox.yield(.tick)
        }
      }
      guard let event = await iterator.next() else { return .failed }
      switch event {
      case .signal where isDraining:
        Terminal.progress("killing every process")
        directives += supervisor.killAll(now: now)
      case .signal, .lifelineEnded:
        if !isDraining { Terminal.progress("draining; press Ctrl-C again to kill") }
        isDraining = true
        directives += supervisor.drain(now: now)
      case .childEnded:
        for (pid, name) in pids {
          guard let exit = ChildProcess.reap(pid) else { continue }
          pids[pid] = nil
          _ = live.withLock { $0.remove(pid) }
          directives += supervisor.exited(
            name, exit, now: now, random: .random(in: 0 ... .max))
          record(name, exit, pid: pid, count: supervisor.crashCount(of: name))
        }
      case .ready(let name, let pid, let times):
        // The process may have ended after it was ready.
        guard pids[pid] == name else { continue }
        if !isDraining, let line = lines.ready(name, times, now: now) { Terminal.progress(line) }
        directives += supervisor.becameReady(name, pid: pid)
      case .answering(let answers, let isOpen, let hosts):
        announce(answering: answers, isOpen: isOpen, hosts: hosts)
      case .answersAtLast: Terminal.progress("a host answers now: the cluster is ready")
      case .startIsOverdue:
        let missing = supervisor.notReadyYet
        guard !missing.isEmpty, !isDraining else { continue }
        isDraining = true
        for name in missing { explain(name, "is not ready after \(startLimit)") }
        directives += supervisor.drain(now: now, status: .unavailable)
      case .startIsSlow:
        guard !isDraining else { continue }
        let line = StartLines.waiting(for: supervisor.notReadyYet, now: now)
        if let line { Terminal.progress(line) }
      case .tick:
        directives += supervisor.tick(now: now)
      }
    }
  }

  private func start(_ child: Child, _ pipe: Lifeline) throws(ProcessFailure) -> pid_t {
    var child = child
    if child.inherits == nil, let earlier = crashes.withLock({ $0[child.name] }) {
      let note = CrashNote(
        count: earlier.count, lastUnixSeconds: earlier.lastUnixSeconds, reason: earlier.reason)
      child.environment[CrashNote.variable] = note.description
    }
    let log = try ChildLog.open(child.name, in: layout.dataDirectory)
    defer { close(log) }
    let pid = try ChildProcess.spawn(
      child, log: log, inheritance: .init(lifeline: pipe.readEnd, lock: lock.descriptor))
    _ = live.withLock { $0.insert(pid) }
    return pid
  }

  /// The model servers, for the lines about the start.
  private var servers: [StartLines.Server] {
    layout.modelHosts.map { host in
      StartLines.Server(
        name: host.id.name, model: host.model?.name ?? EmbeddedHost.model,
        bytes: host.model?.bytes ?? EmbeddedHost.modelBytes, threads: host.threads)
    }
  }

  // MARK: - Hosts

  /// Removes model servers of earlier starts, and registers the hosts that are not children. Waits
  /// until the registry answers.
  private func introduceHosts() async {
    await ask { await self.readiness.forgetFormerHosts() }
    for url in hostURLs {
      await ask {
        await self.readiness.isRegistered(url) { refusal in
          Terminal.progress("host \(url) cannot be added: \(refusal)")
        }
      }
    }
    isIntroduced.store(true, ordering: .relaxed)
  }

  /// Repeats `isDone` until it returns true or the Swift task is cancelled.
  private func ask(_ isDone: () async -> Bool) async {
    while !Task.isCancelled {
      if await isDone() { return }
      try? await Task.sleep(for: ClusterReadiness.interval)
    }
  }

  /// Whether a host can answer within `hostPatience`.
  /// Returns early if every host has a known problem. For example, waiting does not help if a host
  /// refuses connections.
  private func answersSoon() async -> Bool {
    // Without a host, there is nothing to wait for.
    guard !hostURLs.isEmpty || !layout.modelHosts.isEmpty else { return false }
    let end = now + Self.hostPatience
    while now < end, !Task.isCancelled {
      if await readiness.canAnswer() { return true }
      if isIntroduced.load(ordering: .relaxed), let problems = await readiness.hostProblems() {
        for problem in problems { Terminal.progress(problem) }
        return false
      }
      try? await Task.sleep(for: ClusterReadiness.interval)
    }
    return false
  }

  /// All registered hosts, after each was probed or `probePatience` ended.
  private func probedHosts() async -> [HostDetails] {
    let end = now + Self.probePatience
    while true {
      let hosts = await readiness.hosts() ?? []
      let isComplete =
        isIntroduced.load(ordering: .relaxed)
        && hosts.allSatisfy { $0.state != HostState.unknown.rawValue }
      if isComplete || now >= end || Task.isCancelled { return hosts }
      try? await Task.sleep(for: ClusterReadiness.interval)
    }
  }

  /// Waits until a host can answer. Returns false if the cluster ends first.
  private func answersAtLast() async -> Bool {
    while !Task.isCancelled {
      try? await Task.sleep(for: Self.hostInterval)
      if await readiness.canAnswer() { return true }
      // Hosts of the command line may be in backoff, so ask the registry to probe them now. A host
      // that is added later needs no request, because the registry probes a new host at once.
      if !hostURLs.isEmpty { await readiness.probeHosts() }
    }
    return false
  }

  /// Keeps the logs of the children from filling the disk.
  private func boundLogs() async {
    while !Task.isCancelled {
      for name in layout.children.map(\.name) + [DetachedStart.logName] {
        ChildLog.rotate(name, in: layout.dataDirectory)
      }
      try? await Task.sleep(for: ChildLog.lookInterval)
    }
  }

  // MARK: - Crashes

  private func record(_ name: String, _ exit: ChildExit, pid: pid_t, count: Int) {
    let isNew = crashes.withLock { crashes in
      guard count > crashes[name]?.count ?? 0 else { return false }
      crashes[name] = ChildCrashes(
        name: name, count: count, lastUnixSeconds: Int64(Date().timeIntervalSince1970),
        reason: exit.description,
        report: exit.isCrash
          ? CrashReports.path(of: name, pid: pid, in: layout.dataDirectory) : nil)
      return true
    }
    if isNew { writeCrashes() }
  }

  /// Writes the crashes for `tutti status`.
  private func writeCrashes() {
    let all = crashes.withLock { $0.values.sorted { $0.name < $1.name } }
    do {
      try PrivateFile.replace(crashFile, with: Array(JSONEncoder().encode(all)))
    } catch {
      Terminal.progress("\(crashFile) cannot be written; `tutti status` will not show crashes")
    }
  }

  // MARK: - Messages to the operator

  private func announce(answering: Bool, isOpen: Bool?, hosts: [HostDetails]) {
    let address = ClusterAddress(
      gateway: layout.gatewayURL, registry: layout.registryURL, monitor: layout.monitorURL,
      pid: getpid(), adminTokenFile: layout.dataDirectory + "/admin-token", crashFile: crashFile)
    do {
      try PrivateFile.replace(clusterFile, with: Array(JSONEncoder().encode(address)))
    } catch {
      Terminal.progress("\(clusterFile) cannot be written; other commands need --url")
    }
    if !answering {
      Terminal.progress(
        hostURLs.isEmpty && layout.modelHosts.isEmpty
          ? "there is no host yet; add one with `tutti hosts add URL`"
          : "no host can answer yet; the cluster is ready when one does (`tutti hosts list`)")
    }
    var table = TextTable([("ready", .left), ("in \(now.sinceStart.wholeMilliseconds) ms", .left)])
    table.append(["gateway", layout.gatewayURL + "/v1"])
    table.append(["registry", layout.registryURL + "/admin/v1"])
    table.append(["monitor", layout.monitorURL + "/metrics"])
    // Hosts of the command line and model servers first, then hosts of earlier starts.
    let own = Set(hostURLs + layout.modelHosts.map(\.url))
    let sorted = hosts.filter { own.contains($0.url) } + hosts.filter { !own.contains($0.url) }
    for host in sorted.prefix(Self.shownHosts) {
      table.append(["host", "\(host.url)  \(host.stateText)"])
    }
    let more = sorted.count - Self.shownHosts
    if more > 0 { table.append(["host", "and \(more) more (`tutti hosts list`)"]) }
    table.append(["data", layout.dataDirectory])
    table.append([DetachedOutput.lastTitle, AccessLine.text(isOpen: isOpen)])
    for line in table.lines { Terminal.line(line) }
  }

  /// Number of hosts that are listed at the start. More would push the addresses off the screen.
  private static let shownHosts = 24

  private func printReport(_ report: Supervisor.Report) {
    switch report {
    case .allReady: break
    case .restarting(let name, let exit, let delay):
      Terminal.progress("\(name) \(exit); it starts again in \(delay.wholeMilliseconds) ms")
      if exit.isCrash {
        Terminal.progress("its backtrace goes to \(layout.dataDirectory)/crashes")
      }
    case .crashLoop(let name, let exit, let delay):
      explain(
        name,
        "\(exit) repeatedly; the next restart is in \(delay.wholeMilliseconds / 1_000) s")
    case .misconfigured(let name):
      explain(name, "reports a configuration error")
    case .unloadable(let name):
      explain(name, "cannot be loaded, a library is missing: run `make setup`, which installs it")
    case .overdue(let name):
      Terminal.progress("\(name) did not drain in time and is killed")
    }
  }

  private func explain(_ name: String, _ what: String) {
    Terminal.progress(
      "\(name) \(what); see \(ChildLog.path(of: name, in: layout.dataDirectory))")
    for line in ChildLog.tail(name, in: layout.dataDirectory) { Terminal.note("  " + line) }
  }
}
