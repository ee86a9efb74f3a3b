import ClusterModel
import CommandLineCore
import Files
import Foundation

/// Locks the data directory for one cluster.
/// The children inherit the locked descriptor. If `tutti up` is killed, the lock lasts until the
/// last child ends.
final class DataDirectoryLock: Sendable {
  let descriptor: Int32

  /// - Parameters:
  ///   - directory: created with mode 0700 if it does not exist.
  ///   - patience: maximum wait for the children of a `tutti up` that is gone.
  ///   - notice: called once before waiting.
  init(
    _ directory: String, patience: Duration, notice: (String) -> Void
  ) async throws {
    do throws(FileRefused) {
      try PrivateDirectory.prepare(directory)
    } catch {
      throw ProcessFailure(
        .unavailable, "the data directory cannot be used. \(error.message) Its flag is --data-dir")
    }
    let path = directory + "/lock"
    let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else {
      throw ProcessFailure(
        .unavailable,
        "\(path) cannot be opened (\(ChildProcess.errorText(errno))); "
          + "make it writable, or name another directory with --data-dir")
    }
    let clock = ContinuousClock()
    let deadline = clock.now.advanced(by: patience)
    var noticed = false
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      let holder = Int32(Self.text(descriptor)) ?? 0
      let holderLives = holder > 0 && kill(holder, 0) == 0
      guard !holderLives, clock.now < deadline else {
        close(descriptor)
        throw ProcessFailure(
          .tryLater,
          holderLives
            ? "the data directory \(directory) is in use by `tutti up` (pid \(holder)); "
              + "stop it, or name another with --data-dir"
            : "the data directory \(directory) is in use by services of a `tutti up` that is "
              + "gone (pid \(holder)); end them and try again")
      }
      if !noticed {
        notice("waiting for the services of a `tutti up` that is gone (pid \(holder))")
        noticed = true
      }
      do {
        try await Task.sleep(for: .milliseconds(50))
      } catch {
        close(descriptor)
        throw error
      }
    }
    self.descriptor = descriptor
    let pid = Array("\(getpid())\n".utf8)
    _ = ftruncate(descriptor, 0)
    _ = unsafe pid.withUnsafeBytes { bytes in
      unsafe pwrite(descriptor, bytes.baseAddress, bytes.count, 0)
    }
  }

  deinit { close(descriptor) }

  /// State of a data directory's lock.
  enum Holder: Equatable {
    case free
    /// A `tutti up`, or its services if it is gone.
    case process(pid_t)
    /// A `tutti up` that has just locked the directory and not yet written its process id.
    case starting
  }

  /// - Throws: if the lock cannot be read.
  static func holder(of directory: String) throws(ProcessFailure) -> Holder {
    let path = directory + "/lock"
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
    guard descriptor >= 0 else {
      if errno == ENOENT { return .free }
      throw ProcessFailure(
        .failed, "\(path) cannot be read (\(ChildProcess.errorText(errno)))")
    }
    defer { close(descriptor) }
    // A shared lock, so that two commands that ask at the same time do not see each other. It ends
    // with the descriptor.
    if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return .free }
    guard let pid = pid_t(text(descriptor)), pid > 0 else { return .starting }
    return .process(pid)
  }

  private static func text(_ descriptor: Int32) -> String {
    // Room for a process id and a line end.
    var bytes = [UInt8](repeating: 0, count: 32)
    let count = unsafe bytes.withUnsafeMutableBytes { buffer in
      unsafe pread(descriptor, buffer.baseAddress, buffer.count, 0)
    }
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
      .trimmingCharacters(in: .whitespacesAndNewlines)
  }
}
