import CommandLineCore
import Foundation

/// The files that the children's output goes to: DATA_DIR/logs/NAME.log.
enum ChildLog {
  /// A log that has grown beyond this is put aside when its child starts, and replaces the one put
  /// aside before: at most twice this for each child, between its starts.
  static let rotationBytes: off_t = 8 << 20

  static func path(of child: String, in dataDirectory: String) -> String {
    "\(dataDirectory)/logs/\(child).log"
  }

  /// - Returns: a descriptor to append with; the caller closes it.
  static func open(_ child: String, in dataDirectory: String) throws(CommandFailure) -> Int32 {
    let path = path(of: child, in: dataDirectory)
    var facts = stat()
    if unsafe stat(path, &facts) == 0, facts.st_size > rotationBytes {
      unsafe rename(path, path + ".1")
    }
    let descriptor = unsafe Foundation.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw CommandFailure(.failed, "\(path): \(ChildProcess.errorText(errno))")
    }
    return descriptor
  }

  /// Its last lines, for a message that says why a child does not start.
  static func tail(_ child: String, in dataDirectory: String, lines: Int = 5) -> [String] {
    guard let file = FileHandle(forReadingAtPath: path(of: child, in: dataDirectory)) else {
      return []
    }
    defer { try? file.close() }
    // 4 KiB hold more than the few lines that are shown.
    let end = (try? file.seekToEnd()) ?? 0
    try? file.seek(toOffset: end > 4096 ? end - 4096 : 0)
    let bytes = (try? file.read(upToCount: 4096)) ?? Data()
    return String(decoding: bytes, as: UTF8.self)
      .split(separator: "\n").suffix(lines).map { TextTable.printable(String($0)) }
  }
}
