import CCrash
import Files
import Foundation
import Limits

/// Backtraces of crashed processes, in `DATA_DIR/crashes/NAME-PID.txt`.
public enum CrashReports {
  /// Options for `SWIFT_BACKTRACE`: no interactive prompt, and no parts that take long to write.
  public static let backtraceOptions =
    "enable=yes,interactive=no,color=no,threads=crashed,registers=none,images=none,limit=64"

  public static func path(of name: String, pid: Int32, in dataDirectory: String) -> String {
    "\(dataDirectory)/crashes/\(name)-\(pid).txt"
  }

  /// Installs the crash handler. A crash ends the process immediately, and a forked copy of the
  /// process writes the backtrace.
  public static func install(name: String, dataDirectory: String) {
    let folder = dataDirectory + "/crashes"
    // Without the folder the backtrace goes to standard error.
    let path =
      (try? PrivateDirectory.prepare(folder)) == nil
      ? "" : path(of: name, pid: getpid(), in: dataDirectory)
    removeOld(name, in: folder)
    unsafe ccrash_install(
      path, Int32(Limits.crashReportTime.value / 1_000), Int(Limits.crashReportBytes.value))
  }

  /// Deletes the oldest reports of this name, so that there is room for one more.
  private static func removeOld(_ name: String, in folder: String) {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let own = files.filter { file in
      guard file.hasPrefix(name + "-"), file.hasSuffix(".txt") else { return false }
      return Int32(file.dropFirst(name.utf8.count + 1).dropLast(4)) != nil
    }
    .map { folder + "/" + $0 }
    .sorted { modified($0) > modified($1) }
    for file in own.dropFirst(Limits.crashReports.value - 1) {
      try? FileManager.default.removeItem(atPath: file)
    }
  }

  private static func modified(_ path: String) -> Date {
    let attributes = try? FileManager.default.attributesOfItem(atPath: path)
    return attributes?[.modificationDate] as? Date ?? .distantPast
  }
}

/// Earlier crashes of a process of the same name: count, time of the last one, reason. `tutti up`
/// passes the note in a variable when it restarts the process.
public struct CrashNote: Hashable, Sendable, CustomStringConvertible {
  public static let variable = "TUTTI_CRASHES"

  var count: Int
  var lastUnixSeconds: Int64
  var reason: String

  public init(count: Int, lastUnixSeconds: Int64, reason: String) {
    self.count = count
    self.lastUnixSeconds = lastUnixSeconds
    self.reason = reason
  }

  /// - Returns: `nil` if the text is not a note.
  init?(_ text: String) {
    let parts = text.split(separator: " ", maxSplits: 2)
    guard parts.count == 3, let count = Int(parts[0]), count > 0, let time = Int64(parts[1])
    else { return nil }
    self.init(count: count, lastUnixSeconds: time, reason: String(parts[2]))
  }

  public var description: String { "\(count) \(lastUnixSeconds) \(reason)" }

  /// The note that `tutti up` passed to this process; `nil` if it passed none.
  static let own = ProcessInfo.processInfo.environment[variable].flatMap { CrashNote($0) }
}
