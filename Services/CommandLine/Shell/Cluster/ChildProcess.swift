import ClusterModel
import CommandLineCore
import Foundation
import ServiceKit

/// Starts, signals and reaps the children of `tutti up`.
enum ChildProcess {
  /// Descriptors that every child gets in addition to the standard ones.
  struct Inheritance: Sendable {
    /// Read end of the lifeline. An end-of-file means that `tutti up` is gone.
    let lifeline: Int32
    /// The locked file of the data directory. It stays locked until the last child is gone.
    let lock: Int32
  }

  /// Descriptor numbers in the child.
  private static let lifelineNumber: Int32 = 3
  private static let lockNumber: Int32 = 4

  /// POSIX_SPAWN_SETSID: the child gets a session of its own and does not end with the terminal.
  /// glibc declares it only with _GNU_SOURCE.
  #if canImport(Glibc)
    private static let newSession: Int32 = 0x80
  #else
    private static let newSession: Int32 = 0x0400
  #endif

  /// - Parameters:
  ///   - log: descriptor for the child's standard output and error.
  ///   - inheritance: `nil` means that the child is another `tutti up`. It gets a session of its
  ///     own and the settings of this process, and lives on after it.
  /// - Returns: the process id, which is also the id of the child's own process group. So a
  ///   terminal's SIGINT reaches only `tutti up`, which then drains the children in order.
  static func spawn(
    _ child: Child, log: Int32, inheritance: Inheritance?
  ) throws(ProcessFailure) -> pid_t {
    var variables = child.variables(from: ProcessInfo.processInfo.environment)
    variables["TUTTI_LIFELINE_FD"] = inheritance.map { _ in "\(lifelineNumber)" }
    if inheritance != nil {
      for name in UpConfiguration.ownVariables { variables[name] = nil }
    }
    if child.inherits == nil, inheritance != nil {
      variables["SWIFT_BACKTRACE"] =
        variables["SWIFT_BACKTRACE"] ?? CrashReports.backtraceOptions
    }

    // A `dup2` to a descriptor of the child would overwrite a source with the same number. So each
    // source first gets a duplicate with a number above all descriptors of the child.
    let inherited = inheritance.map { [$0.lifeline, $0.lock] } ?? []
    let sources = ([log] + inherited).map { fcntl($0, F_DUPFD_CLOEXEC, lockNumber + 1) }
    defer { for source in sources where source >= 0 { close(source) } }
    guard sources.allSatisfy({ $0 >= 0 }) else {
      throw ProcessFailure(.failed, "no descriptor is left (\(errorText(errno)))")
    }
    closeOthersOnExec()

    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, sources[0], 1)
    unsafe posix_spawn_file_actions_adddup2(&actions, sources[0], 2)
    for (source, number) in zip(sources.dropFirst(), [lifelineNumber, lockNumber]) {
      unsafe posix_spawn_file_actions_adddup2(&actions, source, number)
    }

    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    let group = inheritance == nil ? newSession : Int32(POSIX_SPAWN_SETPGROUP)
    let flags = group | Int32(POSIX_SPAWN_SETSIGDEF) | Int32(POSIX_SPAWN_SETSIGMASK)
    unsafe posix_spawnattr_setflags(&attributes, Int16(flags))
    unsafe posix_spawnattr_setpgroup(&attributes, 0)
    // `tutti up` ignores SIGINT and SIGTERM, because dispatch sources receive them. Without this
    // call, a child would ignore them, too.
    var all = sigset_t()
    unsafe sigfillset(&all)
    unsafe posix_spawnattr_setsigdefault(&attributes, &all)
    var none = sigset_t()
    unsafe sigemptyset(&none)
    unsafe posix_spawnattr_setsigmask(&attributes, &none)

    let arguments = [child.executable] + child.arguments
    var pid: pid_t = 0
    let result = unsafe withCStrings(arguments) { argv in
      unsafe withCStrings(variables.map { "\($0.key)=\($0.value)" }) { envp in
        unsafe posix_spawn(&pid, child.executable, &actions, &attributes, argv, envp)
      }
    }
    guard result == 0 else {
      throw ProcessFailure(.failed, "\(child.executable): \(errorText(result))")
    }
    if child.niceness > 0 { lowerPriority(of: pid, by: Int32(child.niceness)) }
    return pid
  }

  /// Raises the nice value of a child that has just started. Its threads, which start later,
  /// inherit the value. If this fails, the child only gets a larger share of the processor.
  private static func lowerPriority(of pid: pid_t, by niceness: Int32) {
    #if canImport(Glibc)
      let process = __priority_which_t(PRIO_PROCESS.rawValue)
    #else
      let process = PRIO_PROCESS
    #endif
    _ = setpriority(process, id_t(pid), getpriority(process, 0) + niceness)
  }

  /// Keeps a child from inheriting descriptors that a library has opened. A child needs only the
  /// descriptors of `Inheritance` and the standard ones.
  private static func closeOthersOnExec() {
    let open = (try? FileManager.default.contentsOfDirectory(atPath: "/dev/fd")) ?? []
    for descriptor in open.compactMap({ Int32($0) }) where descriptor > 2 {
      _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    }
  }

  /// Returns how the process ended. `nil` means that the process still runs.
  static func reap(_ pid: pid_t) -> ChildExit? {
    var status: Int32 = 0
    let result = unsafe waitpid(pid, &status, WNOHANG)
    if result == 0 { return nil }
    // The process was already reaped, so it is no child any more and has ended.
    guard result == pid else { return .exited(-1) }
    let signal = status & 0x7F
    return signal == 0 ? .exited((status >> 8) & 0xFF) : .signalled(signal)
  }

  /// Signals the child's whole group, because a model server may have helper processes.
  static func signal(_ number: Int32, _ pid: pid_t) {
    _ = kill(-pid, number)
  }

  static func errorText(_ code: Int32) -> String {
    ErrorSentence.of(errno: code)
  }

  /// - Parameter body: gets an array of C strings that ends with a null pointer. The strings live
  ///   until `body` returns.
  private static func withCStrings<R>(
    _ strings: [String],
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> R
  ) -> R {
    var pointers = unsafe strings.map { unsafe strdup($0) }
    unsafe pointers.append(nil)
    defer { unsafe pointers.forEach { unsafe free($0) } }
    return unsafe pointers.withUnsafeMutableBufferPointer { buffer in
      // The array is not empty, because it ends with nil.
      unsafe body(buffer.baseAddress!)
    }
  }
}
