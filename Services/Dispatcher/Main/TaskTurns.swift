import ClusterModel
import DispatcherCore
import Metrics
import Synchronization

/// Lets only so many tasks be with agents, and with the hosts behind them, at once. The others wait
/// here, where clients take turns, instead of in lines that nobody can look into.
final class TaskTurns: Sendable {
  /// What there is only so much of.
  enum Gate: Hashable, Sendable, CustomStringConvertible {
    case agents(AgentRole)
    case hosts

    var description: String {
      switch self {
      case .agents(let role): role.rawValue
      case .hosts: "hosts"
      }
    }
  }

  private struct State {
    var queues: [Gate: FairQueue<UInt64>] = [:]
    var waiting: [UInt64: CheckedContinuation<Bool, Never>] = [:]
    /// Those that left before they waited.
    var left: Set<UInt64> = []
    var next: UInt64 = 0
  }

  private let limit: @Sendable (Gate) -> Int
  private let state = Mutex(State())

  /// - Parameter limit: how many may have passed a gate and not ended, as it is now.
  init(limit: @escaping @Sendable (Gate) -> Int) { self.limit = limit }

  /// Returns when it is the client's turn; then `end` must follow.
  /// - Returns: false if the caller was cancelled first.
  func pass(_ gate: Gate, client: String) async -> Bool {
    let ticket = state.withLock { state -> UInt64 in
      state.next += 1
      return state.next
    }
    // A cancellation that comes when its turn has come leaves its mark.
    defer { state.withLock { _ = $0.left.remove(ticket) } }
    return await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let limit = limit(gate)
        let ready = state.withLock { state -> [Ready] in
          if state.left.contains(ticket) { return [Ready(continuation, mayBegin: false)] }
          state.waiting[ticket] = continuation
          var queue = state.queues[gate] ?? FairQueue(limit: limit)
          let admitted = queue.setLimit(limit) + queue.join(ticket, client: client)
          return store(queue, of: gate, admitting: admitted, in: &state)
        }
        for item in ready { item.resume() }
      }
    } onCancel: {
      let continuation = state.withLock { state -> CheckedContinuation<Bool, Never>? in
        guard let waiting = state.waiting.removeValue(forKey: ticket) else {
          state.left.insert(ticket)
          return nil
        }
        _ = state.queues[gate]?.leave(ticket)
        return waiting
      }
      continuation?.resume(returning: false)
    }
  }

  func end(_ gate: Gate) {
    let limit = limit(gate)
    let ready = state.withLock { state -> [Ready] in
      guard var queue = state.queues[gate] else { return [] }
      let admitted = queue.setLimit(limit) + queue.end()
      return store(queue, of: gate, admitting: admitted, in: &state)
    }
    for item in ready { item.resume() }
  }

  private struct Ready {
    let continuation: CheckedContinuation<Bool, Never>
    let mayBegin: Bool

    init(_ continuation: CheckedContinuation<Bool, Never>, mayBegin: Bool) {
      self.continuation = continuation
      self.mayBegin = mayBegin
    }

    func resume() { continuation.resume(returning: mayBegin) }
  }

  private func store(
    _ queue: FairQueue<UInt64>, of gate: Gate, admitting admitted: [UInt64],
    in state: inout State
  ) -> [Ready] {
    state.queues[gate] = queue
    let dimensions = [("gate", gate.description)]
    Gauge(label: "tutti_dispatcher_running_tasks", dimensions: dimensions).record(queue.running)
    Gauge(label: "tutti_dispatcher_waiting_tasks", dimensions: dimensions)
      .record(queue.waitingCount)
    return admitted.compactMap { ticket in
      state.waiting.removeValue(forKey: ticket).map { Ready($0, mayBegin: true) }
    }
  }
}
