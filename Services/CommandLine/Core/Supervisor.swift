public import ClusterModel

/// State machine that keeps the processes of a cluster running.
/// It starts the processes stage by stage, restarts a process that ends, and drains all in the
/// opposite order. It uses no process, signal or clock: its input is events, and its output is
/// directives.
public struct Supervisor: Sendable {
  public enum Directive: Equatable, Sendable {
    /// Starts the process. The shell then calls `spawned`, or `exited` with `.notStarted`.
    case spawn(String)
    /// Asks the process to drain (SIGTERM).
    case terminate(String, pid: Int32)
    /// Ends a process at once (SIGKILL), because its grace is over or the operator asks for it.
    case kill(String, pid: Int32)
    /// A message for the operator.
    case report(Report)
    /// No process runs any more.
    case finished(ExitStatus)
  }

  public enum Report: Equatable, Sendable {
    /// Every child has been ready once.
    case allReady
    case restarting(String, ChildExit, after: Duration)
    /// The child ends repeatedly and is restarted slowly. Each crash loop is reported once.
    case crashLoop(String, ChildExit, retryAfter: Duration)
    /// The child's configuration is wrong, so the cluster cannot start.
    case misconfigured(String)
    /// The system's loader lacks a library of the child, so the cluster cannot start.
    case unloadable(String)
    /// The child did not drain within its grace.
    case overdue(String)
  }

  private enum Phase: Equatable {
    /// Not every child has been ready yet. Can become `running` or `draining`.
    case starting
    /// Can become `draining`.
    case running
    /// Stops the children, the highest stage first. Can become `finished`.
    case draining
    case finished
  }

  private enum State: Equatable {
    /// An earlier stage is not ready. Can become `spawning` or `ended`.
    case waiting
    /// The shell was asked to start the child. Can become `running`, `backingOff`, `ended` or, if a
    /// drain began meanwhile, `ending`.
    case spawning
    /// Can become `backingOff`, `ending` or `ended`.
    case running(pid: Int32)
    /// The child ended by itself or could not be started. Can become `spawning`, or `ended` when a
    /// drain begins.
    case backingOff(until: Instant)
    /// The child was asked to end. `killAt` is `nil` after the child was killed. Can become
    /// `ended`.
    case ending(pid: Int32, killAt: Instant?)
    case ended
  }

  private struct Entry {
    let child: Child
    var state = State.waiting
    /// Whether the child has been ready since the cluster began. A restart keeps the value `true`,
    /// so that a child that restarts does not delay other children.
    var wasReady = false
    /// Times of crashes, newest last. At most `loopCrashes` are kept, because more times would not
    /// change a decision.
    var crashes: [Instant] = []
    var isLooping = false
    /// Number of all crashes since the cluster began. `crashes` has only the latest.
    var crashCount = 0
  }

  private var entries: [Entry]
  private let policy: RestartPolicy
  private var phase = Phase.starting
  private var status = ExitStatus.done

  /// Exit status of a program that the loader could not link. No Tutti program uses it.
  static let loaderStatus: Int32 = 127

  /// - Parameter children: children with different names.
  public init(_ children: [Child], policy: RestartPolicy = .standard) {
    self.entries = children.sorted { $0.stage < $1.stage }.map { Entry(child: $0) }
    self.policy = policy
  }

  // MARK: - Queries

  /// Time at which `tick` has work next. `nil` means that no work is scheduled.
  public var nextDeadline: Instant? {
    entries.compactMap { entry -> Instant? in
      switch entry.state {
      case .backingOff(let until): until
      case .ending(_, let killAt): killAt
      case .waiting, .spawning, .running, .ended: nil
      }
    }.min()
  }

  /// Children that have not been ready yet, in the order of their start.
  public var notReadyYet: [String] {
    entries.filter { !$0.wasReady }.map(\.child.name)
  }

  /// Number of times that a child ended by itself or could not be started.
  public func crashCount(of name: String) -> Int {
    index(of: name).map { entries[$0].crashCount } ?? 0
  }

  // MARK: - Events

  public mutating func start() -> [Directive] {
    startStages()
  }

  public mutating func spawned(_ name: String, pid: Int32, now: Instant) -> [Directive] {
    guard let index = index(of: name) else { return [] }
    precondition(entries[index].state == .spawning, "spawned \(name): \(entries[index].state)")
    guard phase == .draining else {
      entries[index].state = .running(pid: pid)
      return []
    }
    // The drain began while the child was being started.
    return terminate(index, pid: pid, now: now)
  }

  /// Records that a child is ready. A late event of a process that has ended is normal and has no
  /// effect.
  public mutating func becameReady(_ name: String, pid: Int32) -> [Directive] {
    guard let index = index(of: name), entries[index].state == .running(pid: pid) else { return [] }
    entries[index].wasReady = true
    var directives = startStages()
    if phase == .starting, entries.allSatisfy(\.wasReady) {
      phase = .running
      directives.append(.report(.allReady))
    }
    return directives
  }

  /// - Parameter random: uniform, for the jitter of the restart.
  public mutating func exited(
    _ name: String, _ exit: ChildExit, now: Instant, random: UInt64
  ) -> [Directive] {
    guard let index = index(of: name) else { return [] }
    switch entries[index].state {
    case .ending:
      entries[index].state = .ended
      return drainStages(now: now)
    case .spawning, .running:
      guard phase != .draining else {
        entries[index].state = .ended
        return drainStages(now: now)
      }
      if exit == .exited(ExitStatus.usage.rawValue), !entries[index].wasReady {
        entries[index].state = .ended
        return [.report(.misconfigured(name))] + drain(now: now, status: .usage)
      }
      if exit == .exited(Self.loaderStatus), !entries[index].wasReady {
        entries[index].state = .ended
        return [.report(.unloadable(name))] + drain(now: now, status: .unavailable)
      }
      return restart(index, after: exit, now: now, random: random)
    case .waiting, .backingOff, .ended:
      preconditionFailure("\(name) ended without running; state: \(entries[index].state)")
    }
  }

  public mutating func tick(now: Instant) -> [Directive] {
    var directives: [Directive] = []
    for index in entries.indices {
      switch entries[index].state {
      case .backingOff(let until) where until <= now:
        entries[index].state = .spawning
        directives.append(.spawn(entries[index].child.name))
      case .ending(let pid, let killAt?) where killAt <= now:
        entries[index].state = .ending(pid: pid, killAt: nil)
        directives.append(.report(.overdue(entries[index].child.name)))
        directives.append(.kill(entries[index].child.name, pid: pid))
      case .waiting, .spawning, .running, .backingOff, .ending, .ended: break
      }
    }
    return directives
  }

  /// Stops all children, the highest stage first.
  /// - Parameter status: exit status of `tutti up`.
  public mutating func drain(now: Instant, status: ExitStatus = .done) -> [Directive] {
    guard phase == .starting || phase == .running else { return [] }
    phase = .draining
    self.status = status
    for index in entries.indices {
      switch entries[index].state {
      case .waiting, .backingOff: entries[index].state = .ended
      case .spawning, .running, .ending, .ended: break
      }
    }
    return drainStages(now: now)
  }

  /// Kills all running children now. A child that is just being started is asked to drain.
  public mutating func killAll(now: Instant) -> [Directive] {
    var directives = drain(now: now)
    // A process that is killed does not need to drain.
    directives.removeAll { if case .terminate = $0 { true } else { false } }
    for index in entries.indices {
      switch entries[index].state {
      case .running(let pid), .ending(let pid, _):
        entries[index].state = .ending(pid: pid, killAt: nil)
        directives.append(.kill(entries[index].child.name, pid: pid))
      case .waiting, .spawning, .backingOff, .ended: break
      }
    }
    return directives
  }

  // MARK: - Decisions

  private func index(of name: String) -> Int? {
    entries.firstIndex { $0.child.name == name }
  }

  /// Starts the waiting children that need not wait for a child of an earlier stage.
  private mutating func startStages() -> [Directive] {
    guard phase == .starting else { return [] }
    let held = entries.filter { $0.child.blocksLaterStages && !$0.wasReady }.map(\.child.stage)
      .min()
    var directives: [Directive] = []
    for index in entries.indices where entries[index].state == .waiting {
      if let held, entries[index].child.stage > held { continue }
      entries[index].state = .spawning
      directives.append(.spawn(entries[index].child.name))
    }
    return directives
  }

  private mutating func restart(
    _ index: Int, after exit: ChildExit, now: Instant, random: UInt64
  ) -> [Directive] {
    let name = entries[index].child.name
    let last = entries[index].crashes.last
    entries[index].crashes.removeAll { $0.duration(to: now) > policy.window }
    if let last, last.duration(to: now) > policy.window + policy.slow {
      entries[index].isLooping = false
    }
    entries[index].crashes.append(now)
    entries[index].crashCount += 1
    if entries[index].crashes.count > policy.loopCrashes {
      entries[index].crashes.removeFirst()
    }
    let crashes = entries[index].crashes.count
    let beginsLoop = !entries[index].isLooping && crashes >= policy.loopCrashes
    if beginsLoop { entries[index].isLooping = true }
    let delay = policy.delay(
      crashes: crashes, isLooping: entries[index].isLooping, random: random)
    entries[index].state = .backingOff(until: now.advanced(by: delay))
    let report: Report =
      beginsLoop
      ? .crashLoop(name, exit, retryAfter: delay) : .restarting(name, exit, after: delay)
    return [.report(report)]
  }

  private mutating func terminate(_ index: Int, pid: Int32, now: Instant) -> [Directive] {
    let child = entries[index].child
    entries[index].state = .ending(pid: pid, killAt: now.advanced(by: child.grace))
    return [.terminate(child.name, pid: pid)]
  }

  /// Terminates the highest stage that still runs, or finishes if all children have ended.
  private mutating func drainStages(now: Instant) -> [Directive] {
    guard phase == .draining else { return [] }
    guard let stage = entries.filter({ $0.state != .ended }).map(\.child.stage).max() else {
      phase = .finished
      return [.finished(status)]
    }
    var directives: [Directive] = []
    for index in entries.indices where entries[index].child.stage == stage {
      if case .running(let pid) = entries[index].state {
        directives += terminate(index, pid: pid, now: now)
      }
    }
    return directives
  }
}
