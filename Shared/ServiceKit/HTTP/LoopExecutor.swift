import NIOCore

/// Runs tasks on the thread of one event loop.
///
/// A task that answers a request on the event loop of its connection needs no change of threads to
/// read the request, to write the answer, or to use connections of the same event loop.
final class LoopExecutor: TaskExecutor {
  private let loop: any EventLoop

  init(_ loop: any EventLoop) { self.loop = loop }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    loop.execute { unsafe job.runSynchronously(on: self.asUnownedTaskExecutor()) }
  }
}
