import ClusterModel
import CommandLineCore
import Files
import Foundation

/// Starts `tutti up` as a process in a session of its own, and waits until its cluster is ready.
struct DetachedStart {
  let dataDirectory: String
  /// Arguments of `tutti`, without the flag that detaches.
  let arguments: [String]

  /// Name of the log with the process's output.
  static let logName = "up"
  /// Interval between looks at the log.
  private static let interval = Duration.milliseconds(100)
  /// Bytes that one look reads: far more than a start prints.
  private static let pieceBytes = 1 << 20

  /// Prints the output of the process until the cluster is ready.
  /// - Throws: if the process cannot be started or ends before its cluster is ready. The process
  ///   has printed the reason.
  func run() async throws {
    let log = try openLog()
    defer { close(log) }
    let start = lseek(log, 0, SEEK_END)
    let child = Child(
      name: Self.logName, executable: try binDirectory() + "/tutti", arguments: arguments, stage: 0,
      grace: .zero)
    let pid = try ChildProcess.spawn(child, log: log, inheritance: nil)
    guard let reader = FileHandle(forReadingAtPath: logPath) else {
      throw ProcessFailure(.failed, "\(logPath) cannot be read; see `tutti status`")
    }
    defer { try? reader.close() }
    try reader.seek(toOffset: UInt64(clamping: start))
    var output = DetachedOutput()
    while true {
      // The process is checked before its output is read, so its last lines are not lost.
      let exit = ChildProcess.reap(pid)
      let piece = try reader.read(upToCount: Self.pieceBytes) ?? Data()
      for line in output.lines(of: piece) { show(line) }
      if output.isReady { return }
      if let exit {
        let status: ExitStatus =
          if case .exited(let code) = exit {
            ExitStatus(rawValue: code) ?? .failed
          } else {
            .failed
          }
        throw ProcessFailure(
          status == .done ? .failed : status, "the cluster did not start; see \(logPath)")
      }
      try await Task.sleep(for: Self.interval)
    }
  }

  private var logPath: String { ChildLog.path(of: Self.logName, in: dataDirectory) }

  private func openLog() throws -> Int32 {
    do throws(FileRefused) {
      try PrivateDirectory.prepare(dataDirectory)
      try PrivateDirectory.prepare(dataDirectory + "/logs")
    } catch {
      throw ProcessFailure(.unavailable, "\(error.message) Its flag is --data-dir")
    }
    return try ChildLog.open(Self.logName, in: dataDirectory)
  }

  private func show(_ line: DetachedOutput.Line) {
    if line.isAnswer { Terminal.line(line.text) } else { Terminal.note(line.text) }
  }
}
