import ClusterModel
import Foundation

/// A pipe that wakes the reactor from `poll`.
///
/// Both ends are set once in `init` and closed in `deinit`; writing to and reading from a pipe is
/// safe from any thread.
final class WakePipe: Sendable {
  let readEnd: Int32
  private let writeEnd: Int32

  init() throws(Failure) {
    var ends: [Int32] = [-1, -1]
    guard unsafe pipe(&ends) == 0 else {
      throw Failure(.internalError, "cannot open a pipe: too many open files? Raise ulimit -n.")
    }
    for end in ends {
      _ = fcntl(end, F_SETFD, FD_CLOEXEC)
      _ = fcntl(end, F_SETFL, O_NONBLOCK)
    }
    readEnd = ends[0]
    writeEnd = ends[1]
  }

  deinit {
    _ = Foundation.close(readEnd)
    _ = Foundation.close(writeEnd)
  }

  func signal() {
    var byte: UInt8 = 1
    _ = unsafe write(writeEnd, &byte, 1)
  }

  func drain() {
    var bytes = [UInt8](repeating: 0, count: 64)
    while unsafe read(readEnd, &bytes, 64) == 64 {}
  }
}
