import ClusterModel
import Dispatch
import NIOCore
import Synchronization

/// A page that takes long to make, for all requests that wait for it.
///
/// One page is made at a time, on a queue of its own. A request gets a page that was begun after
/// the request arrived, so a page is never stale, and any number of concurrent requests costs at
/// most two pages. A flood of requests takes at most a quarter of one core.
final class SharedPage: Sendable {
  private struct State {
    var isBusy = false
    var waiting: [CheckedContinuation<ByteBuffer, Never>] = []
  }

  /// Pause after a page, as a multiple of the time that the page took.
  private static let pauseFactor = 3
  /// Minimum pause after a page. Requests that arrive during a pause share the next page.
  private static let shortestPause = Duration.milliseconds(20)

  private let thread = DispatchQueue(label: "tutti.page", qos: .utility)
  private let make: @Sendable () -> String
  private let state = Mutex(State())

  init(_ make: @escaping @Sendable () -> String) { self.make = make }

  /// Number of requests that wait for the next page.
  var waitingCount: Int { state.withLock(\.waiting.count) }

  /// Returns a page that is begun after the call.
  func page() async -> ByteBuffer {
    await withCheckedContinuation { waiter in
      let begins = state.withLock { state in
        state.waiting.append(waiter)
        defer { state.isBusy = true }
        return !state.isBusy
      }
      if begins { thread.async { self.serve() } }
    }
  }

  /// Makes a page for all requests that wait now.
  private func serve() {
    let waiters = state.withLock { state in
      defer { state.waiting = [] }
      state.isBusy = !state.waiting.isEmpty
      return state.waiting
    }
    guard !waiters.isEmpty else { return }
    let began = ContinuousClock.now
    let page = ByteBuffer(string: make())
    for waiter in waiters { waiter.resume(returning: page) }
    let pause = max(Self.shortestPause, began.duration(to: .now) * Self.pauseFactor)
    let end = DispatchTime.now() + .milliseconds(Int(clamping: pause.wholeMilliseconds))
    thread.asyncAfter(deadline: end) { self.serve() }
  }
}
