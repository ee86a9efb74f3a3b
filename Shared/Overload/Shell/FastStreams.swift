public import ClusterModel
import Limits
import OverloadCore
import Synchronization

/// The rate that the streams of this process share that are faster than any model.
public final class FastStreams: Sendable {
  private let pace: Mutex<SharedPace>

  /// - Parameter loops: event loops of this process, as many as it has cores.
  public init(loops: Int, at now: Instant) {
    pace = Mutex(
      SharedPace(
        perSecond: Limits.fastStreamRate.value.multipliedCapped(by: max(loops, 1)), at: now))
  }

  /// - Returns: how long to wait before asking again; `nil` means that the bytes may be read now.
  public func take(_ bytes: Int, at now: Instant) -> Duration? {
    pace.withLock { $0.take(bytes, at: now) }
  }
}
