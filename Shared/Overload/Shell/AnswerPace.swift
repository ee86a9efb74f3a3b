import ClusterModel
import Clocks
public import OverloadCore
import Synchronization

/// Delays for a client that gets too many cheap answers; the shell of `ClientPace`.
public final class AnswerPace: Sendable {
  private let pace = Mutex(ClientPace())
  /// Health checks count apart, so that other requests from their address never delay them.
  private let healthChecks = Mutex(ClientPace())
  private let clock = ProcessClock()

  public init() {}

  /// Counts a cheap answer, or what counts as a part of one.
  /// - Returns: the delay of the answer.
  public func take(_ client: UInt64, for charge: ClientPace.Charge = .answer) -> Duration {
    let now = clock.now
    if charge == .healthCheck {
      return healthChecks.withLock { $0.take(client, for: charge, at: now) }
    }
    return pace.withLock { $0.take(client, for: charge, at: now) }
  }

  /// The delay of a client's next request.
  public func delay(of client: UInt64) -> Duration {
    let now = clock.now
    return pace.withLock { $0.delay(of: client, at: now) }
  }
}
