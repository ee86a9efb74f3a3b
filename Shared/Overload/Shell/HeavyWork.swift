public import ClusterModel
public import Limits
import Metrics
import NIOCore
import NIOPosix
import OverloadCore
import Synchronization

/// One thread for work that is too long for an event loop: parsing, assembling and translating
/// large bodies. Jobs run one after another. Clients take turns.
///
/// There is one thread, because two would take both cores of a small machine from the event loops.
public final class HeavyWork: Sendable {
  private struct State {
    var queue = FairQueue<UInt64, UInt64>(limit: 1)
    var jobs: [UInt64: @Sendable () -> Void] = [:]
    var last: UInt64 = 0
  }

  private let thread: BackgroundThread
  /// Resumes the Swift tasks that wait for results. `nil` means that `thread` resumes them.
  private let resuming: (any EventLoop)?
  private let state = Mutex(State())
  private let limit: Limit

  /// - Parameters:
  ///   - limit: maximum jobs that wait or run.
  ///   - yieldsToLoops: whether the thread has a lower priority than event loops.
  public init(limit: Limit = Limits.heavyJobs, yieldsToLoops: Bool = false) {
    self.limit = limit
    thread = BackgroundThread(name: "heavy-work", isNice: yieldsToLoops)
    resuming = yieldsToLoops ? MultiThreadedEventLoopGroup.singleton.any() : nil
  }

  /// Queues a job.
  /// - Parameter client: identifies the client when clients take turns.
  /// - Returns: `false` if too many jobs wait or run. The new job is then not run.
  public func submit(for client: UInt64, _ job: @escaping @Sendable () -> Void) -> Bool {
    let first = state.withLock { state -> [UInt64]? in
      guard state.jobs.count < limit.value else { return nil }
      state.last += 1
      state.jobs[state.last] = job
      return state.queue.join(state.last, client: client)
    }
    guard let first else {
      Counter(label: "tutti_heavy_jobs_refused_total").increment()
      return false
    }
    begin(first)
    return true
  }

  private func begin(_ tickets: [UInt64]) {
    for ticket in tickets {
      thread.async { [self] in
        state.withLock { $0.jobs[ticket] }?()
        begin(
          state.withLock { state in
            state.jobs[ticket] = nil
            return state.queue.end()
          })
      }
    }
  }

  /// Runs a job and waits for its result without blocking the caller's thread.
  public func run<Value: Sendable>(
    for client: UInt64, _ job: @escaping @Sendable () -> Value
  ) async throws(Failure) -> Value {
    // The caller's own event loop resumes the caller, so that a busy loop delays only its own
    // requests.
    let resuming = resuming.map { MultiThreadedEventLoopGroup.currentEventLoop ?? $0 }
    let value = await withCheckedContinuation { (result: CheckedContinuation<Value?, Never>) in
      let isTaken = submit(for: client) {
        let value = job()
        if let resuming {
          resuming.execute { result.resume(returning: value) }
        } else {
          result.resume(returning: value)
        }
      }
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
