public import ClusterModel
import OverloadCore
import Synchronization

/// Limits the jobs that run at the same time, and lets clients take turns (round robin). While a
/// client waits for its next job to begin, every other client begins at most one.
public final class ClientTurns: Sendable {
  private struct State {
    var queue: FairQueue<UInt64, UInt64>
    var waiting: [UInt64: CheckedContinuation<Bool, Never>] = [:]
    var last: UInt64 = 0

    mutating func resumed(_ tickets: [UInt64]) -> [CheckedContinuation<Bool, Never>] {
      tickets.compactMap { waiting.removeValue(forKey: $0) }
    }
  }

  private let state: Mutex<State>

  /// - Parameter limit: maximum jobs at the same time.
  public init(limit: Int) { state = Mutex(State(queue: FairQueue(limit: limit))) }

  public var waitingCount: Int { state.withLock(\.queue.waitingCount) }

  /// A job's turn. It ends on deinitialization.
  public final class Turn: Sendable {
    private let turns: ClientTurns

    fileprivate init(_ turns: ClientTurns) { self.turns = turns }

    deinit { turns.end() }
  }

  /// Waits for a turn.
  ///
  /// - Parameter client: identifies the client when clients take turns.
  /// - Throws: `cancelled` if the client disconnects while it waits.
  public func enter(for client: UInt64) async throws(Failure) -> Turn {
    let ticket = state.withLock { state in
      state.last += 1
      return state.last
    }
    let isIn = await withTaskCancellationHandler {
      await withCheckedContinuation { waiter in
        let begun = state.withLock { state -> [CheckedContinuation<Bool, Never>]? in
          if Task.isCancelled { return nil }
          state.waiting[ticket] = waiter
          return state.resumed(state.queue.join(ticket, client: client))
        }
        guard let begun else { return waiter.resume(returning: false) }
        for waiter in begun { waiter.resume(returning: true) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        _ = state.queue.leave(ticket)
        return state.waiting.removeValue(forKey: ticket)
      }
      waiter?.resume(returning: false)
    }
    guard isIn else { throw Failure(.cancelled, "the client has left") }
    return Turn(self)
  }

  private func end() {
    let begun = state.withLock { $0.resumed($0.queue.end()) }
    for waiter in begun { waiter.resume(returning: true) }
  }
}
