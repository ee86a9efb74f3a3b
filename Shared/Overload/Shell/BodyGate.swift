public import ClusterModel
public import Limits
public import OverloadCore
import Synchronization

/// Limits the bytes of each owner's request bodies in memory; further bodies wait unread.
public final class BodyGate: Sendable {
  private enum Outcome {
    case entered, left, late
  }

  /// A body that has no room yet.
  private enum Waiting {
    /// The Swift task that waits for this body has not suspended yet.
    case asked
    case suspended(CheckedContinuation<Outcome, Never>)
    /// The wait ended before the Swift task suspended.
    case ended(Outcome)
  }

  private struct State {
    var queue = BodyQueue()
    var waiting: [Int: Waiting] = [:]
    var next = 0

    /// Ends the wait of a body.
    /// - Returns: the continuation to resume, if the Swift task is suspended.
    mutating func end(_ id: Int, _ outcome: Outcome) -> CheckedContinuation<Outcome, Never>? {
      switch waiting[id] {
      case .asked: waiting[id] = .ended(outcome)
      case .suspended(let continuation):
        waiting[id] = nil
        return continuation
      case .ended, nil: break
      }
      return nil
    }

    mutating func admit(_ ids: [Int]) -> [CheckedContinuation<Outcome, Never>] {
      ids.compactMap { end($0, .entered) }
    }
  }

  private let state = Mutex(State())

  public init() {}

  /// Room reserved for one body. It is released on deinitialization.
  public final class Pass: Sendable {
    private let gate: BodyGate
    private let bytes: Mutex<Int>
    private let owner: BodyOwner
    private let share: Int

    fileprivate init(_ gate: BodyGate, _ bytes: Int, _ owner: BodyOwner, _ share: Int) {
      self.gate = gate
      self.bytes = Mutex(bytes)
      self.owner = owner
      self.share = share
    }

    /// Releases the room above `size`, now that the body's size is known.
    public func shrink(to size: Int) {
      let surplus = bytes.withLock { bytes in
        let surplus = max(0, bytes - size)
        bytes -= surplus
        return surplus
      }
      if surplus > 0 { gate.leave(surplus, owner, share) }
    }

    deinit { gate.leave(bytes.withLock { $0 }, owner, share) }
  }

  /// Waits for room.
  ///
  /// - Parameters:
  ///   - share: maximum bytes that the owner's bodies may take together.
  ///   - limit: name of the limit, for the failure.
  ///   - wait: longest wait.
  /// - Throws: `cancelled` if the client disconnects while waiting; `rateLimited` if there is no
  ///   room after `wait`.
  public func enter(
    _ bytes: Int, _ owner: BodyOwner, share: Int, limit: String,
    wait: Duration = .milliseconds(Limits.bodyWait.value)
  ) async throws(Failure) -> Pass {
    let id = state.withLock { state -> Int? in
      state.next += 1
      guard !state.queue.ask(state.next, bytes, owner, share: share) else { return nil }
      state.waiting[state.next] = .asked
      return state.next
    }
    guard let id else { return Pass(self, bytes, owner, share) }
    switch await outcome(of: id, owner, share, wait) {
    case .entered: return Pass(self, bytes, owner, share)
    case .left: throw Failure(.cancelled, "the client has left")
    case .late:
      throw Failure(
        .rateLimited,
        "this client's requests with large bodies take \(share) bytes already (limit \(limit)), and "
          + "none of them ended in time; try again in a moment", retryAfter: .seconds(1))
    }
  }

  private func outcome(
    of id: Int, _ owner: BodyOwner, _ share: Int, _ wait: Duration
  ) async -> Outcome {
    await withTaskGroup(of: Outcome?.self) { group in
      group.addTask { await self.suspend(id, owner, share) }
      group.addTask {
        if (try? await Task.sleep(for: wait)) != nil { self.giveUp(id, owner, share, .late) }
        return nil
      }
      for await outcome in group {
        guard let outcome else { continue }
        group.cancelAll()
        return outcome
      }
      return .left
    }
  }

  private func suspend(_ id: Int, _ owner: BodyOwner, _ share: Int) async -> Outcome {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let outcome = state.withLock { state -> Outcome? in
          if case .ended(let outcome) = state.waiting[id] {
            state.waiting[id] = nil
            return outcome
          }
          state.waiting[id] = .suspended(continuation)
          return nil
        }
        if let outcome { continuation.resume(returning: outcome) }
      }
    } onCancel: {
      giveUp(id, owner, share, .left)
    }
  }

  /// Ends the wait of a body that has no room yet.
  private func giveUp(_ id: Int, _ owner: BodyOwner, _ share: Int, _ outcome: Outcome) {
    let resumed = state.withLock { state in
      switch state.waiting[id] {
      case .asked, .suspended:
        let waiter = state.end(id, outcome)
        let served = state.admit(state.queue.withdraw(id, owner, share: share))
        return (waiter.map { [($0, outcome)] } ?? []) + served.map { ($0, .entered) }
      case .ended, nil: return []
      }
    }
    for (waiter, outcome) in resumed { waiter.resume(returning: outcome) }
  }

  private func leave(_ bytes: Int, _ owner: BodyOwner, _ share: Int) {
    let served = state.withLock { $0.admit($0.queue.release(bytes, owner, share: share)) }
    for waiter in served { waiter.resume(returning: .entered) }
  }
}
