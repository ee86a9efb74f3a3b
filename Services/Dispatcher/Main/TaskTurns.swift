import ClusterModel
import DispatcherCore
import Metrics
import OverloadCore
import Synchronization

/// Lets only so many tasks be with agents, and with the hosts behind them, at once. The others wait
/// here, where clients take turns, instead of in lines that nobody can look into.
final class TaskTurns: Sendable {
  /// A task that a host is there for.
  struct Place: Sendable {
    fileprivate let ticket: UInt64
    /// nil: its agent chooses.
    let host: HostID?
  }

  /// What ends a wait.
  private enum Turn: Sendable {
    case agent
    case host(HostID?)
  }

  private struct State {
    var agents: [AgentRole: FairQueue<String, UInt64>] = [:]
    var hosts = HostLine<UInt64>()
    var waiting: [UInt64: CheckedContinuation<Turn?, Never>] = [:]
    /// Those that left before they waited.
    var left: Set<UInt64> = []
    var next: UInt64 = 0
  }

  private let limit: @Sendable (AgentRole) -> Int
  private let places: @Sendable () -> [HostPlace]
  private let state = Mutex(State())
  private let began = ContinuousClock.now

  /// - Parameters:
  ///   - limit: how many tasks the agents of a role may have, as it is now.
  ///   - places: the hosts, as they are now.
  init(
    limit: @escaping @Sendable (AgentRole) -> Int, places: @escaping @Sendable () -> [HostPlace]
  ) {
    self.limit = limit
    self.places = places
  }

  private var now: Instant { Instant(sinceStart: began.duration(to: .now)) }

  // MARK: - Agents

  /// Returns when an agent of the role may have one more task, and it is the client's turn; then `end`
  /// must follow.
  /// - Returns: false if the caller was cancelled first.
  func pass(_ role: AgentRole, client: String) async -> Bool {
    let limit = limit(role)
    let (_, turn) = await wait { state, ticket in
      var queue = state.agents[role] ?? FairQueue(limit: limit)
      let admitted = queue.setLimit(limit) + queue.join(ticket, client: client)
      return Self.store(queue, of: role, admitting: admitted, in: &state)
    } leave: { state, ticket in
      _ = state.agents[role]?.leave(ticket)
    }
    return turn != nil
  }

  func end(_ role: AgentRole) {
    let limit = limit(role)
    resume { state in
      guard var queue = state.agents[role] else { return [] }
      let admitted = queue.setLimit(limit) + queue.end()
      return Self.store(queue, of: role, admitting: admitted, in: &state)
    }
  }

  // MARK: - Hosts

  /// Returns when a host is there for the work; then `leave` must follow.
  /// - Returns: nil if the caller was cancelled first.
  func place(_ work: HostWork, client: String) async -> Place? {
    let (ticket, turn) = await wait { state, ticket in
      Self.turns(state.hosts.join(ticket, work, client: client, now: self.now), in: state)
    } leave: { state, ticket in
      _ = state.hosts.leave(ticket)
    }
    guard case .host(let host) = turn else { return nil }
    return Place(ticket: ticket, host: host)
  }

  /// - Parameter report: what was done there; nil: nothing.
  func leave(_ place: Place, report: TaskReport?) {
    resume { state in
      Self.turns(state.hosts.end(place.ticket, report, now: self.now), in: state)
    }
  }

  /// The hosts, or what they have to do, have changed.
  func reconsider() {
    let places = places()
    resume { state in Self.turns(state.hosts.setPlaces(places, now: self.now), in: state) }
  }

  // MARK: - Waiting

  private func wait(
    join: (inout State, UInt64) -> [(UInt64, Turn)],
    leave: @escaping @Sendable (inout State, UInt64) -> Void
  ) async -> (ticket: UInt64, turn: Turn?) {
    let ticket = state.withLock { state -> UInt64 in
      state.next += 1
      return state.next
    }
    // A cancellation that comes when its turn has come leaves its mark.
    defer { state.withLock { _ = $0.left.remove(ticket) } }
    let turn = await withTaskCancellationHandler {
      await withCheckedContinuation { (continuation: CheckedContinuation<Turn?, Never>) in
        let hasLeft = state.withLock { state -> Bool in
          if !state.left.contains(ticket) { state.waiting[ticket] = continuation }
          return state.left.contains(ticket)
        }
        if hasLeft { return continuation.resume(returning: nil) }
        resume { state in
          // It may have left since.
          state.waiting[ticket] == nil ? [] : join(&state, ticket)
        }
      }
    } onCancel: {
      let continuation = state.withLock { state -> CheckedContinuation<Turn?, Never>? in
        guard let waiting = state.waiting.removeValue(forKey: ticket) else {
          state.left.insert(ticket)
          return nil
        }
        leave(&state, ticket)
        return waiting
      }
      continuation?.resume(returning: nil)
    }
    return (ticket, turn)
  }

  /// Changes the state and lets those go on whose turn that makes it.
  private func resume(_ change: (inout State) -> [(UInt64, Turn)]) {
    let ready = state.withLock { state -> [(CheckedContinuation<Turn?, Never>, Turn)] in
      change(&state).compactMap { ticket, turn in
        state.waiting.removeValue(forKey: ticket).map { ($0, turn) }
      }
    }
    for (continuation, turn) in ready { continuation.resume(returning: turn) }
  }

  private static func store(
    _ queue: FairQueue<String, UInt64>, of role: AgentRole, admitting admitted: [UInt64],
    in state: inout State
  ) -> [(UInt64, Turn)] {
    state.agents[role] = queue
    tell(role.rawValue, running: queue.running, waiting: queue.waitingCount)
    return admitted.map { ($0, .agent) }
  }

  private static func turns(
    _ admitted: [HostLine<UInt64>.Admission], in state: State
  ) -> [(UInt64, Turn)] {
    tell("hosts", running: state.hosts.runningCount, waiting: state.hosts.waitingCount)
    return admitted.map { ($0.ticket, .host($0.host)) }
  }

  private static func tell(_ gate: String, running: Int, waiting: Int) {
    let dimensions = [("gate", gate)]
    Gauge(label: "tutti_dispatcher_running_tasks", dimensions: dimensions).record(running)
    Gauge(label: "tutti_dispatcher_waiting_tasks", dimensions: dimensions).record(waiting)
  }
}
