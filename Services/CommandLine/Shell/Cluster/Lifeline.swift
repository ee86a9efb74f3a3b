import ClusterModel
import Foundation

/// A pipe that carries no data. Only this process holds its write end. So when this process ends
/// for any reason, every child reads an end-of-file.
final class Lifeline: Sendable {
  let readEnd: Int32
  private let writeEnd: Int32

  init() throws(ProcessFailure) {
    var ends: [Int32] = [0, 0]
    let result = unsafe pipe(&ends)
    // No child is started before this loop, so no child can inherit the ends without the flag.
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    guard result == 0 else {
      throw ProcessFailure(.failed, "a pipe cannot be created (\(ChildProcess.errorText(errno)))")
    }
    readEnd = ends[0]
    writeEnd = ends[1]
  }

  deinit {
    close(readEnd)
    close(writeEnd)
  }
}
