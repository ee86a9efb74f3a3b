#if canImport(Glibc)
  import Glibc
#endif

/// The nice value of this process, which an operator or `tutti up` chose.
enum NiceValue {
  /// Runs the work at the priority that corresponds to the nice value.
  ///
  /// On Linux, libdispatch sets the nice value of a thread from the priority of its Swift tasks. In
  /// a process that was started with a higher nice value, such a thread would get more processor
  /// time than the operator chose.
  static func honour<Result: Sendable>(
    _ work: @escaping @Sendable () async -> Result
  ) async -> Result {
    #if canImport(Glibc)
      guard getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0) >= background else {
        return await work()
      }
      // Awaiting the new task's value would raise its priority to that of this Swift task.
      return await withCheckedContinuation { continuation in
        Task.detached(priority: .background) { continuation.resume(returning: await work()) }
      }
    #else
      return await work()
    #endif
  }

  /// libdispatch's nice value for background tasks.
  private static let background = 10
}
