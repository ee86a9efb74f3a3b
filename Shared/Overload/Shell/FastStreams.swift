public import ClusterModel
import Limits
import OverloadCore
import Synchronization

/// Bandwidth shared by the streams of this process that are faster than any model.
public final class FastStreams: Sendable {
  private let pace: Mutex<SharedPace>

  /// - Parameter loops: number of event loops in this process, one per core.
  public init(loops: Int, at now: Instant) {
    pace = Mutex(
      SharedPace(
        perSecond: Limits.fastStreamRate.value.multipliedCapped(by: max(loops, 1)), at: now))
  }

  /// - Returns: the wait before the next try. `nil` means that the bytes may be read now.
  public func take(_ bytes: Int, at now: Instant) -> Duration? {
    pace.withLock { $0.take(bytes, at: now) }
  }
}
