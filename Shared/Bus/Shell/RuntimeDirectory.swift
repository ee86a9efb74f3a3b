public import ClusterModel
import Foundation

/// The directory that holds a cluster's `ipc://` sockets.
///
/// A wrong frame-type byte on a raw connection aborts a nanomsg process, and a socket path longer
/// than the system's limit fails an assertion in it. So the directory is short and private, and is
/// checked before nanomsg uses it.
public enum RuntimeDirectory {
  /// Maximum bytes of the directory's path. Together with the name of a socket, it must fit into
  /// `sun_path`, which holds 108 bytes with its NUL on Linux and 104 on macOS.
  static let maximumLength = 50

  /// Returns a short path for a data directory of any length: `$XDG_RUNTIME_DIR/tutti-HASH`,
  /// otherwise `/tmp/tutti-UID-HASH`. The directory is created with mode 0700. It is refused if it
  /// belongs to another user or if other users may enter it.
  public static func path(forDataDirectory dataDirectory: String) throws(Failure) -> String {
    try path(
      forDataDirectory: dataDirectory,
      runtime: ProcessInfo.processInfo.environment["XDG_RUNTIME_DIR"])
  }

  static func path(
    forDataDirectory dataDirectory: String, runtime: String?
  ) throws(Failure) -> String {
    let absolute = URL(filePath: dataDirectory).standardizedFileURL.resolvingSymlinksInPath().path
    let hash = fingerprint(absolute)
    if let runtime, !runtime.isEmpty {
      let path = "\(runtime)/tutti-\(hash)"
      if path.utf8.count <= maximumLength, FileManager.default.isWritableFile(atPath: runtime) {
        try makePrivate(path)
        return path
      }
    }
    let path = "/tmp/tutti-\(getuid())-\(hash)"
    try makePrivate(path)
    return path
  }

  /// Removes stale sockets of killed processes of this name.
  static func removeSockets(of name: String, in directory: String) {
    for file in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    where file.hasPrefix("\(name)-") {
      let rest = file.dropFirst(name.count + 1)
      if UInt64(rest, radix: 36) != nil {
        try? FileManager.default.removeItem(atPath: "\(directory)/\(file)")
      }
    }
  }

  /// 64-bit FNV-1a hash. The same directory yields the same sockets in every process and release.
  private static func fingerprint(_ text: String) -> String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in text.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return String(hash, radix: 36)
  }

  private static func makePrivate(_ path: String) throws(Failure) {
    let made = unsafe path.withCString { unsafe mkdir($0, 0o700) }
    guard made == 0 || errno == EEXIST else {
      throw Failure(
        .internalError,
        "cannot create \(path) for the bus's sockets: \(unsafe String(cString: strerror(errno)))")
    }
    var status = stat()
    let read = unsafe path.withCString { unsafe lstat($0, &status) }
    guard read == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == getuid(),
      status.st_mode & 0o077 == 0
    else {
      throw Failure(
        .internalError,
        "\(path) is not a directory that only this user can use (mode 0700): remove it and start "
          + "again")
    }
  }
}
