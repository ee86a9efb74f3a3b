import ClusterModel
import Clocks
import OverloadCore
import Synchronization

/// Delays cheap answers of a client that gets too many of them; the shell of `ClientPace`.
public final class AnswerPace: Sendable {
  private let pace = Mutex(ClientPace())
  private let clock = ProcessClock()

  public init() {}

  /// Counts a cheap answer, and waits for its time. Returns early if the Swift task is cancelled.
  public func waitAfter(_ client: UInt64) async {
    let now = clock.now
    await Self.wait(pace.withLock { $0.take(client, at: now) })
  }

  /// Waits before a request of a client that has had too many cheap answers. Returns early if the
  /// Swift task is cancelled.
  public func waitBefore(_ client: UInt64) async {
    let now = clock.now
    await Self.wait(pace.withLock { $0.delay(of: client, at: now) })
  }

  private static func wait(_ delay: Duration) async {
    guard delay > .zero else { return }
    try? await Task.sleep(for: delay)
  }
}
