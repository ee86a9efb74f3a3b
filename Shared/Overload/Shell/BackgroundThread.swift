import Dispatch
import Foundation
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// A thread that runs jobs in their order. It ends when this object is deinitialized.
///
/// A nice thread has a lower priority than the other threads of the process. On Linux, if all cores
/// are busy, an event loop gets about ten times as much processor time. Threads that a nice thread
/// starts inherit its priority. So its jobs must not resume Swift tasks, because the runtime may
/// start a thread for them.
final class BackgroundThread: Sendable {
  private final class Line: Sendable {
    /// The jobs that have not begun, in their order. `nil` ends the thread.
    let jobs = Mutex<[(@Sendable () -> Void)?]>([])
    let arrived = DispatchSemaphore(value: 0)

    func append(_ job: (@Sendable () -> Void)?) {
      jobs.withLock { $0.append(job) }
      arrived.signal()
    }

    func run() {
      while true {
        arrived.wait()
        let jobs = jobs.withLock { jobs in
          defer { jobs = [] }
          return jobs
        }
        for job in jobs {
          guard let job else { return }
          job()
        }
      }
    }
  }

  /// Nice value of a nice thread. Processes have the value 0 by default.
  private static let niceness: Int32 = 10

  private let line = Line()

  init(name: String, isNice: Bool) {
    let thread = Thread { [line] in
      #if os(Linux)
        // For the id 0, Linux changes the calling thread alone. If the change fails, the thread only
        // keeps its priority.
        if isNice { setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Self.niceness) }
      #endif
      line.run()
    }
    thread.name = name
    if isNice { thread.qualityOfService = .utility }
    thread.start()
  }

  deinit { line.append(nil) }

  func async(_ job: @escaping @Sendable () -> Void) { line.append(job) }
}
