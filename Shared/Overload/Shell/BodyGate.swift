public import ClusterModel
public import Limits
public import OverloadCore
import Synchronization

/// Limits the bytes of each owner's request bodies in memory; further bodies wait unread.
public final class BodyGate: Sendable {
  private enum Outcome {
    case entered, left, late
  }

  private struct Waiter {
    let continuation: CheckedContinuation<Outcome, Never>
    /// Ends the wait. `nil` until it is started.
    var timer: Task<Void, Never>?

    func resume(returning outcome: Outcome) {
      timer?.cancel()
      continuation.resume(returning: outcome)
    }
  }

  private struct State {
    var queue = BodyQueue()
    var waiting: [Int: Waiter] = [:]
    var next = 0

    mutating func take(_ ids: [Int]) -> [Waiter] {
      ids.compactMap { waiting.removeValue(forKey: $0) }
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
    let id = state.withLock { state in
      state.next += 1
      return state.next
    }
    let outcome = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let known = state.withLock { state -> Outcome? in
          if Task.isCancelled { return .left }
          if state.queue.ask(id, bytes, owner, share: share) { return .entered }
          state.waiting[id] = Waiter(continuation: continuation)
          return nil
        }
        if let known {
          continuation.resume(returning: known)
        } else {
          startTimer(of: id, owner, share, wait)
        }
      }
    } onCancel: {
      giveUp(id, owner, share, .left)
    }
    switch outcome {
    case .entered: return Pass(self, bytes, owner, share)
    case .left: throw Failure(.cancelled, "the client has left")
    case .late:
      throw Failure(
        .rateLimited,
        "this client's requests with large bodies take \(share) bytes already (limit \(limit)), and "
          + "none of them ended in time; try again in a moment", retryAfter: .seconds(1))
    }
  }

  private func startTimer(of id: Int, _ owner: BodyOwner, _ share: Int, _ wait: Duration) {
    let timer = Task {
      if (try? await Task.sleep(for: wait)) != nil { giveUp(id, owner, share, .late) }
    }
    let isWaiting = state.withLock { state in
      guard state.waiting[id] != nil else { return false }
      state.waiting[id]?.timer = timer
      return true
    }
    if !isWaiting { timer.cancel() }
  }

  private func giveUp(_ id: Int, _ owner: BodyOwner, _ share: Int, _ outcome: Outcome) {
    let (waiter, served) = state.withLock { state -> (Waiter?, [Waiter]) in
      guard let waiter = state.waiting.removeValue(forKey: id) else { return (nil, []) }
      return (waiter, state.take(state.queue.withdraw(id, owner, share: share)))
    }
    waiter?.resume(returning: outcome)
    for other in served { other.resume(returning: .entered) }
  }

  private func leave(_ bytes: Int, _ owner: BodyOwner, _ share: Int) {
    let served = state.withLock { $0.take($0.queue.release(bytes, owner, share: share)) }
    for waiter in served { waiter.resume(returning: .entered) }
  }
}
