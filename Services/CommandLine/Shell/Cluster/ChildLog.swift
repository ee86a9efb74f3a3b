import ClusterModel
import CommandLineCore
import Foundation
import Limits

/// Log files of the children's output: DATA_DIR/logs/NAME.log.
enum ChildLog {
  /// Interval between checks of the logs' sizes.
  static let lookInterval = Duration.seconds(10)

  static func path(of child: String, in dataDirectory: String) -> String {
    "\(dataDirectory)/logs/\(child).log"
  }

  /// - Returns: a descriptor for appending, which the caller closes.
  static func open(_ child: String, in dataDirectory: String) throws(ProcessFailure) -> Int32 {
    let path = path(of: child, in: dataDirectory)
    rotate(path)
    let descriptor = unsafe Foundation.open(
      path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else {
      throw ProcessFailure(.failed, "\(path): \(ChildProcess.errorText(errno))")
    }
    return descriptor
  }

  /// Moves the contents of a log above its size limit to NAME.log.1, whose earlier contents are
  /// lost.
  static func rotate(_ child: String, in dataDirectory: String) {
    rotate(path(of: child, in: dataDirectory))
  }

  /// Copies the log and truncates it, because the child keeps its descriptor. Lines that are
  /// written between the two steps are lost.
  private static func rotate(_ path: String) {
    var facts = stat()
    guard unsafe lstat(path, &facts) == 0, facts.st_mode & S_IFMT == S_IFREG,
      facts.st_size > off_t(Limits.childLogBytes.value)
    else { return }
    try? FileManager.default.removeItem(atPath: path + ".1")
    try? FileManager.default.copyItem(atPath: path, toPath: path + ".1")
    unsafe truncate(path, 0)
  }

  /// Last lines of a log, for the message about a child that does not start.
  static func tail(_ child: String, in dataDirectory: String, lines: Int = 5) -> [String] {
    guard let file = FileHandle(forReadingAtPath: path(of: child, in: dataDirectory)) else {
      return []
    }
    defer { try? file.close() }
    // The last 4 KiB usually hold the few lines that are shown.
    let end = (try? file.seekToEnd()) ?? 0
    try? file.seek(toOffset: end > 4096 ? end - 4096 : 0)
    let bytes = (try? file.read(upToCount: 4096)) ?? Data()
    return String(decoding: bytes, as: UTF8.self)
      .split(separator: "\n").suffix(lines).map { TextTable.printable(String($0)) }
  }
}
