import NIOCore
import Synchronization

/// Runs Swift tasks on the thread of one event loop.
///
/// A Swift task that answers a request on the event loop of its connection needs no change of
/// threads to read the request, to write the answer, or to use connections of the same event loop.
final class LoopExecutor: TaskExecutor {
  let loop: any EventLoop
  /// Whether the next job runs before `enqueue` returns.
  private let runsNextJob = Atomic(false)

  init(_ loop: any EventLoop) { self.loop = loop }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if runsNextJob.load(ordering: .relaxed), loop.inEventLoop,
      runsNextJob.exchange(false, ordering: .relaxed)
    {
      unsafe job.runSynchronously(on: asUnownedTaskExecutor())
      return
    }
    loop.execute { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }

  /// Resumes a Swift task of this executor. The Swift task runs up to its next suspension before
  /// this call returns. Must be called on the event loop, and outside of Swift tasks.
  func resume(_ task: CheckedContinuation<Void, Never>) {
    runsNextJob.store(true, ordering: .relaxed)
    task.resume()
    runsNextJob.store(false, ordering: .relaxed)
  }
}
