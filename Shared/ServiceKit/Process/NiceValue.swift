#if canImport(Glibc)
  import Glibc
#endif

/// The nice value of this process, which an operator or `tutti up` chose.
enum NiceValue {
  /// Runs the work at background priority if the nice value is at least `background`.
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
      // Awaiting the value of the new Swift task would raise its priority to that of the current
      // one.
      return await withCheckedContinuation { continuation in
        Task.detached(priority: .background) { continuation.resume(returning: await work()) }
      }
    #else
      return await work()
    #endif
  }

  /// libdispatch's nice value for Swift tasks of background priority.
  private static let background = 10
}
