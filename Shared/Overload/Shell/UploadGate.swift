public import ClusterModel
public import OverloadCore
import Synchronization

/// Limits the bytes of large bodies that each client sends at once; further bodies wait unread.
public final class UploadGate: Sendable {
  private struct State {
    var queue = UploadQueue()
    var waiting: [Int: CheckedContinuation<Bool, Never>] = [:]
    var next = 0
  }

  private let state = Mutex(State())

  public init() {}

  /// Room reserved for one body. It is released on deinitialization.
  public final class Pass: Sendable {
    private let gate: UploadGate
    private let bytes: Int
    private let client: ClientID

    fileprivate init(_ gate: UploadGate, _ bytes: Int, _ client: ClientID) {
      self.gate = gate
      self.bytes = bytes
      self.client = client
    }

    deinit { gate.leave(bytes, client) }
  }

  /// Waits for room.
  /// - Throws: `cancelled` if the client disconnects while waiting.
  public func enter(_ bytes: Int, _ client: ClientID) async throws(Failure) -> Pass {
    let id = state.withLock { state in
      state.next += 1
      return state.next
    }
    let isIn = await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        let known = state.withLock { state -> Bool? in
          if Task.isCancelled { return false }
          if state.queue.ask(id, bytes, client) { return true }
          state.waiting[id] = continuation
          return nil
        }
        if let known { continuation.resume(returning: known) }
      }
    } onCancel: {
      let waiter = state.withLock { state in
        state.queue.withdraw(id)
        return state.waiting.removeValue(forKey: id)
      }
      waiter?.resume(returning: false)
    }
    guard isIn else { throw Failure(.cancelled, "the client has left") }
    return Pass(self, bytes, client)
  }

  private func leave(_ bytes: Int, _ client: ClientID) {
    let served = state.withLock { state in
      state.queue.release(bytes, client).compactMap { state.waiting.removeValue(forKey: $0) }
    }
    for waiter in served { waiter.resume(returning: true) }
  }
}
