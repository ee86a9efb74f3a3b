import Clocks
import ClusterModel
import DispatcherCore
import HostModel
import Metrics
import OverloadCore
import Synchronization

/// Limits the concurrent tasks of the agents and of each host.
/// Further tasks wait here, where clients take turns, and not in queues that the dispatcher cannot
/// see.
final class TaskAdmission: Sendable {
  /// Result of a wait.
  private enum Turn: Sendable {
    case agent
    case host(TaskPlacement)
  }

  private struct State {
    var agents: [AgentRole: FairQueue<String, UInt64>] = [:]
    var hosts = HostQueue<UInt64>()
    var waiting: [UInt64: CheckedContinuation<Turn?, Never>] = [:]
    /// Tickets that were cancelled before they waited or after their turn.
    var left: Set<UInt64> = []
    var next: UInt64 = 0
  }

  private let limit: @Sendable (AgentRole) -> Int
  private let hosts: @Sendable () -> [SchedulableHost]
  private let state = Mutex(State())
  private let clock = ProcessClock()

  /// - Parameters:
  ///   - limit: maximum tasks that the agents of a role may have now.
  ///   - hosts: the hosts and their load now.
  init(
    limit: @escaping @Sendable (AgentRole) -> Int,
    hosts: @escaping @Sendable () -> [SchedulableHost]
  ) {
    self.limit = limit
    self.hosts = hosts
  }

  private var now: Instant { clock.now }

  // MARK: - Agents

  /// Waits until an agent of the role may take a task of the client.
  /// - Returns: false if the caller was cancelled first. If the result is true, the caller must
  ///   call `end` after the task.
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

  /// Admits tasks after a change of the limit.
  func reconsiderAgents() {
    for role in AgentRole.allCases {
      let limit = limit(role)
      resume { state in
        guard var queue = state.agents[role] else { return [] }
        let admitted = queue.setLimit(limit)
        return Self.store(queue, of: role, admitting: admitted, in: &state)
      }
    }
  }

  // MARK: - Hosts

  /// Waits for a host that may do the work, and does the work.
  ///
  /// The host is freed before the result is returned. Otherwise a task that the result makes ready
  /// would find the host busy and begin at a slower host.
  /// - Parameter body: returns its result, and the task's report if the task succeeded.
  /// - Returns: `nil` if the caller was cancelled before the work began.
  func withHost<Result: Sendable>(
    for work: HostWork, client: String,
    _ body: (TaskPlacement) async -> (Result, TaskReport?)
  ) async -> Result? {
    let (ticket, turn) = await wait { state, ticket in
      Self.turns(state.hosts.join(ticket, work, client: client, now: self.now), in: state)
    } leave: { state, ticket in
      _ = state.hosts.leave(ticket)
    }
    guard case .host(let placement) = turn else { return nil }
    let (result, report) = await body(placement)
    resume { state in
      Self.turns(state.hosts.end(ticket, report, now: self.now), in: state)
    }
    return result
  }

  /// Admits tasks after a change of the hosts or their load.
  func reconsider() {
    let hosts = hosts()
    resume { state in Self.turns(state.hosts.setHosts(hosts, now: self.now), in: state) }
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
    // A cancellation after the ticket's turn leaves an entry in `left`.
    defer { state.withLock { _ = $0.left.remove(ticket) } }
    let turn = await withTaskCancellationHandler {
      await withCheckedContinuation { (continuation: CheckedContinuation<Turn?, Never>) in
        let hasLeft = state.withLock { state -> Bool in
          if !state.left.contains(ticket) { state.waiting[ticket] = continuation }
          return state.left.contains(ticket)
        }
        if hasLeft { return continuation.resume(returning: nil) }
        resume { state in
          // If the ticket was cancelled in the meantime, it must not join.
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

  /// Changes the state and resumes the waiting tasks that the change admits.
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
    recordGauges(role.rawValue, running: queue.running, waiting: queue.waitingCount)
    return admitted.map { ($0, .agent) }
  }

  private static func turns(
    _ admitted: [HostQueue<UInt64>.Admission], in state: State
  ) -> [(UInt64, Turn)] {
    recordGauges("hosts", running: state.hosts.runningCount, waiting: state.hosts.waitingCount)
    return admitted.map { ($0.ticket, .host($0.placement)) }
  }

  private static func recordGauges(_ gate: String, running: Int, waiting: Int) {
    let dimensions = [("gate", gate)]
    Gauge(label: "tutti_dispatcher_running_tasks", dimensions: dimensions).record(running)
    Gauge(label: "tutti_dispatcher_waiting_tasks", dimensions: dimensions).record(waiting)
  }
}
