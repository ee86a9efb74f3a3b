import ClusterModel
import Foundation

/// Locks a process's name within its data directory. A second registry or monitor would write the
/// same files, and a second process of the same name would receive the first one's messages.
///
/// The kernel releases the lock when the process ends for any reason.
final class ProcessNameLock: Sendable {
  private let descriptor: Int32

  /// - Parameter dataDirectory: must exist.
  init(_ name: String, in dataDirectory: String) throws(ProcessFailure) {
    let directory = dataDirectory + "/locks"
    let path = "\(directory)/\(name)"
    try? FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard descriptor >= 0 else {
      throw ProcessFailure(
        .unavailable,
        "\(path) cannot be opened (\(unsafe String(cString: strerror(errno)))): make it writable, "
          + "or choose another directory with --data-dir.")
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw ProcessFailure(
        .tryLater,
        "A process named \(name) already runs with the data directory \(dataDirectory): stop it, or "
          + "choose another --name or --data-dir.")
    }
  }

  deinit { close(descriptor) }
}
