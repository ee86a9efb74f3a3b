import ClusterModel
import Synchronization

/// Requests that wait for the end of a host's next probe.
final class ProbeWaiters: Sendable {
  private struct State {
    var waiters: [HostID: [UInt64: AsyncStream<Void>.Continuation]] = [:]
    var last: UInt64 = 0
  }

  private let state = Mutex(State())

  /// Returns a stream that ends with the host's next probe.
  func wait(for id: HostID) -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
    let key = state.withLock { state in
      state.last += 1
      state.waiters[id, default: [:]][state.last] = continuation
      return state.last
    }
    continuation.onTermination = { [self] _ in
      state.withLock { state in
        state.waiters[id]?[key] = nil
        if state.waiters[id]?.isEmpty == true { state.waiters[id] = nil }
      }
    }
    return stream
  }

  /// Ends the streams of a host whose probe has ended, or that is no longer probed.
  func settled(_ id: HostID) {
    let waiters = state.withLock { $0.waiters.removeValue(forKey: id) }
    for continuation in (waiters ?? [:]).values { continuation.finish() }
  }
}
