public import ClusterModel
import Dispatch
public import Limits
import Metrics
import Synchronization

/// One thread for work that is too long for an event loop: reading, assembling and translating large
/// bodies. Jobs run one after the other, in the order in which they came.
///
/// One thread, because two would take both cores from the event loops.
public final class HeavyWork: Sendable {
  private let queue = DispatchQueue(label: "tutti.heavy-work", qos: .utility)
  private let waiting = Mutex(0)
  private let limit: Limit

  public init(limit: Limit = Limits.heavyJobs) { self.limit = limit }

  /// - Returns: `false` if too many jobs wait; then the job is not run.
  public func submit(_ job: @escaping @Sendable () -> Void) -> Bool {
    let isTaken = waiting.withLock { waiting in
      guard waiting < limit.value else { return false }
      waiting += 1
      return true
    }
    guard isTaken else {
      Counter(label: "tutti_heavy_jobs_refused_total").increment()
      return false
    }
    queue.async { [self] in
      job()
      waiting.withLock { $0 -= 1 }
    }
    return true
  }

  /// Runs a job and waits for its result without holding a thread of the caller's.
  public func run<Value: Sendable>(
    _ job: @escaping @Sendable () -> Value
  ) async throws(Failure) -> Value {
    let value = await withCheckedContinuation { (result: CheckedContinuation<Value?, Never>) in
      let isTaken = submit { result.resume(returning: job()) }
      if !isTaken { result.resume(returning: nil) }
    }
    guard let value else {
      throw Failure(
        .overloaded,
        "\(limit.value) large bodies wait to be read already (limit \(limit.name)); try again in a "
          + "moment", retryAfter: .seconds(1))
    }
    return value
  }
}
